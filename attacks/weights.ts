/** safetensors files, and the configurations inside them. */
import { encodeSafetensors, type TensorEntry } from '../packages/formats/src/index.js';
import { fileOf } from '../packages/formats/test/safetensors-cases.js';
import { type Attack, file } from './attack.js';
import { languageModel } from './sound-model.js';

const header = (
  name: string,
  tries: string,
  refusal: RegExp,
  text: string | (() => Uint8Array),
  bytes = 8,
): Attack => ({
  name: `safetensors-${name}`,
  tries,
  files: file('model.safetensors', () => (typeof text === 'string' ? fileOf(text, bytes) : text())),
  command: ['inspect', '@/model.safetensors'],
  refusal,
});

const tensor = (shape: string, offsets: string) =>
  `{"dtype":"F32","shape":${shape},"data_offsets":${offsets}}`;

function lengthOnly(length: bigint): Uint8Array {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setBigUint64(0, length, true);
  return bytes;
}

/** A sound tensor of zeros. */
export const zeros = (...shape: number[]): TensorEntry => ({
  dtype: 'F32',
  shape,
  data: new Uint8Array(4 * shape.reduce((product, size) => product * size, 1)),
});

/** A weight file with this configuration inside. */
export function configured(
  config: string | object,
  tensors: Readonly<Record<string, TensorEntry>> = {},
): Uint8Array {
  const text = typeof config === 'string' ? config : JSON.stringify(config);
  return encodeSafetensors(new Map(Object.entries(tensors)), { model: text });
}

const languageWeights = {
  'in_emb.weight': zeros(256, 4),
  'layers.0.attn.proj_query.weight': zeros(4, 4),
  'layers.0.ff.fc1.weight': zeros(4, 4),
};
const classifier = {
  kind: 'sequence-classifier',
  classes: 2,
  vocabularySize: 8,
  maxLength: 8,
  layers: 1,
  modelDim: 4,
  heads: 1,
  innerDim: 4,
};
const classifierWeights = (block: string) => ({
  'model.embeddings.word_embeddings.weight': zeros(8, 4),
  'model.embeddings.position_embeddings.weight': zeros(8, 4),
  'seq_classifer.mlpblock.2.weight': zeros(2, 4),
  [`model.${block}.mha.W_q.weight`]: zeros(4, 4),
  [`model.${block}.mlpblock.0.weight`]: zeros(4, 4),
});
const vision = {
  kind: 'vil-ls',
  imageHeight: 8,
  imageWidth: 8,
  classes: 2,
  stages: [{ layers: 1, modelDim: 4, heads: 1, patchSize: 4 }],
};

const config = (
  name: string,
  tries: string,
  refusal: RegExp,
  value: string | object,
  tensors: Readonly<Record<string, TensorEntry>> = {},
): Attack => ({
  name: `config-${name}`,
  tries,
  files: file('model/model.safetensors', () => configured(value, tensors)),
  command: ['inspect', '@/model'],
  refusal,
});

export const weightAttacks: readonly Attack[] = [
  header(
    'overlap',
    'two tensors over the same bytes',
    /./,
    `{"a":${tensor('[2]', '[0,8]')},"b":${tensor('[2]', '[0,8]')}}`,
  ),
  header(
    'hole',
    'bytes that belong to no tensor, where something could hide',
    /./,
    `{"a":${tensor('[1]', '[0,4]')}}`,
  ),
  header(
    'huge-offset',
    'data at 2^63',
    /./,
    `{"a":${tensor('[2]', '[9223372036854775808,9223372036854775816]')}}`,
  ),
  header('offset-beyond', 'data behind the end of the file', /./, `{"a":${tensor('[2]', '[8,16]')}}`),
  header('backwards', 'data that end before they begin', /./, `{"a":${tensor('[2]', '[8,0]')}}`),
  header(
    'shape-overflow',
    'sizes whose product is small in 64 bits',
    /./,
    `{"a":${tensor('[4294967296,4294967296,2]', '[0,8]')}}`,
  ),
  header(
    'duplicate',
    'a tensor named twice, for two readers to differ',
    /once/,
    `{"a":${tensor('[2]', '[0,8]')},"a":${tensor('[2]', '[0,8]')}}`,
  ),
  header(
    'prototype',
    'a tensor named __proto__ that is none',
    /./,
    `{"__proto__":{"dtype":"F32"},"a":${tensor('[2]', '[0,8]')}}`,
  ),
  header('nesting', 'brackets, 100,000 deep', /at most 64 levels/, `{"a":${'['.repeat(100_000)}`),
  header('nan', 'NaN, which is no JSON', /expected a value/, `{"a":${tensor('[NaN]', '[0,8]')}}`),
  header('exponent', 'a size written as 1e999', /./, `{"a":${tensor('[1e999]', '[0,8]')}}`),
  header(
    'terminal',
    'a name that would move the cursor of a terminal',
    /\\u001b/,
    `{"\\u001b[2J\\u001b]0;owned":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}}`,
  ),
  header('header-length', 'a header of 2^63 bytes', /./, () => lengthOnly(2n ** 63n)),
  header('header-beyond', 'a header of 99 MB in a file of 16 bytes', /./, () => lengthOnly(99_000_000n)),
  header(
    'many-keys',
    'a header of 200,000 names and no tensor',
    /./,
    `{${Array.from({ length: 200_000 }, (_, i) => `"${i}":0`).join()}}`,
  ),
  config(
    'layers',
    'a model of two thousand million layers',
    /layers/,
    { ...languageModel, layers: 2 ** 31 - 1 },
    languageWeights,
  ),
  config(
    'shared-layers',
    'the same weights used two thousand million times',
    /layers/,
    { ...classifier, layers: 2 ** 31 - 1, sharedLayers: true },
    classifierWeights('transformer'),
  ),
  config(
    'vocabulary',
    'a table of 2^31 words, 32 GB',
    /expected shape/,
    { ...languageModel, vocabularySize: 2 ** 31 - 1 },
    languageWeights,
  ),
  config(
    'window',
    'a window of 2^31 tokens',
    /position tables|quarter/,
    { ...languageModel, windowSize: 2 ** 31 - 1 },
    languageWeights,
  ),
  config(
    'random-features',
    'random features that no weight in the file vouches for',
    /./,
    { ...classifier, pooling: 'mean', attention: { name: 'performer', randomFeatures: 2 ** 31 - 1 } },
    classifierWeights('transformer_0'),
  ),
  config(
    'projection',
    'a projection to 2^31 vectors',
    /./,
    { ...classifier, attention: { projectionRank: 2 ** 31 - 1 } },
    classifierWeights('transformer_0'),
  ),
  config(
    'linformer',
    'a projection of the whole length to 2^31 vectors',
    /./,
    { ...classifier, pooling: 'mean', attention: { name: 'linformer', projectionRank: 2 ** 31 - 1 } },
    classifierWeights('transformer_0'),
  ),
  config(
    'convolution',
    'a convolution of 2^31 - 1 tokens',
    /./,
    { ...classifier, attention: { convolutionSize: 2 ** 31 - 1 } },
    classifierWeights('transformer_0'),
  ),
  config(
    'classifier-window',
    'windows of 2^31 tokens, to which every text is filled up',
    /quarter/,
    { ...classifier, attention: { windowSize: 2 ** 31 - 1, projectionRank: 0 } },
    classifierWeights('transformer_0'),
  ),
  config('image', 'pictures of 2^31 x 2^31 pixels', /./, {
    ...vision,
    imageHeight: 2 ** 31 - 1,
    imageWidth: 2 ** 31 - 1,
  }),
  config('stages', 'more stages than there are', /a list of 1 to 8 items/, {
    ...vision,
    stages: Array.from({ length: 1000 }, () => vision.stages[0]),
  }),
  config('unknown-key', 'a key that no schema knows', /did you mean|unknown/, {
    ...languageModel,
    __proto_: 1,
    layer: 3,
  }),
  config(
    'duplicate-key',
    'a size said twice',
    /once/,
    JSON.stringify(languageModel).replace('"heads":1', '"heads":1,"heads":2'),
  ),
  config(
    'prototype',
    'a prototype in place of the settings',
    /./,
    `{"__proto__":${JSON.stringify(languageModel)}}`,
  ),
  config(
    'infinity',
    'a size of 1e999',
    /whole number/,
    JSON.stringify(languageModel).replace('"modelDim":4', '"modelDim":1e999'),
  ),
  config('fraction', 'a size of 2.5', /whole number/, { ...languageModel, heads: 2.5 }),
];
