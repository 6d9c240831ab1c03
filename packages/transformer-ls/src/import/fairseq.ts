/**
 * The configuration of a language model from a file of fairseq (spec 3.10): sizes from the tensors, the rest from the settings of the
 * training, which stand beside them.
 */
import {
  ConfigError,
  InertObject,
  type LanguageModelConfig,
  languageModelSchema,
  PickleDict,
  type PickleValue,
  PthNamespace,
} from '@transformer-ls/formats';
import { preset as languageModelPreset } from '../models/language-model/presets.js';
import { flat, type Inference, type Said, settled } from './said.js';
import type { TensorShapes } from './state-dict.js';

/**
 * @param object all that was saved
 * @throws ConfigError with everything that does not fit together or is not said
 */
export function inferLanguageModel(
  shapes: TensorShapes,
  object: PickleValue,
  said: Said,
): Inference<LanguageModelConfig> {
  const sizes = sizesOf(shapes);
  const training = trainingSettings(object);
  const contradictions = Object.entries(sizes).flatMap(([key, value]) =>
    training[key] === undefined || training[key] === value
      ? []
      : [`${key}: the tensors say ${value}, the settings in the file ${training[key]}`],
  );
  if (contradictions.length > 0) throw new ConfigError(contradictions);
  const { memoryLength, dropout, embeddingDropout, ...fixed } = training;
  const config = settled(
    languageModelSchema,
    {
      known: { kind: 'language-model', ...fixed, ...sizes },
      // All published scripts train with --pre-ln and --use-gelu.
      assumed: {
        mode: 'reference',
        normPlacement: 'pre',
        activation: 'gelu',
        ...withoutUndefined({ memoryLength, dropout, embeddingDropout }),
      },
      needed: ['heads', 'projectionRank', 'windowSize', 'chunkSize', 'memoryLength'],
    },
    said,
    presetValues(said.preset),
  );
  const isTold = training.windowSize !== undefined;
  return {
    config,
    notes: [
      `${config.layers} layers of width ${config.modelDim}, ${config.heads} heads, rank ${config.projectionRank}, ${config.vocabularySize} token ids (by the shapes)`,
      `window ${config.windowSize}, chunks of ${config.chunkSize}, memory ${config.memoryLength} (${isTold ? 'by the settings in the file' : 'as said'})`,
    ],
  };
}

function presetValues(name: string | undefined): Record<string, unknown> {
  if (name === undefined) return {};
  const { mode: _, vocabularySize: __, ...values } = flat(languageModelPreset(name, { mode: 'reference' }));
  return values;
}

/** @throws ConfigError with every tensor that is missing or has the wrong number of dimensions */
function sizesOf(shapes: TensorShapes): Record<string, unknown> {
  const problems: string[] = [];
  const sizeOf = (name: string, dimension: number): number => {
    const size = shapes.get(name)?.[dimension];
    if (size === undefined)
      problems.push(`${name}: expected at least ${dimension + 1} dimension(s), received none`);
    return size ?? 1;
  };
  const numbers = [...shapes.keys()].map((name) => Number(/^layers\.(\d{1,5})\./.exec(name)?.[1] ?? -1));
  const heads = shapes.get('layers.0.attn.r_r_bias')?.[1];
  const slots = shapes.get('layers.0.attn.dconv_1.weight')?.[0] ?? 0;
  const sizes = {
    vocabularySize: sizeOf('in_emb.weight', 0),
    modelDim: sizeOf('in_emb.weight', 1),
    innerDim: sizeOf('layers.0.ff.fc1.weight', 0),
    layers: numbers.reduce((most, number) => Math.max(most, number), -1) + 1,
    projectionBiases: shapes.has('layers.0.attn.proj_query.bias'),
    ...(heads === undefined ? {} : { heads, projectionRank: slots / heads }),
  };
  if (heads !== undefined && slots % heads !== 0)
    problems.push(
      `layers.0.attn.dconv_1.weight: expected rows in a multiple of ${heads} heads, received ${slots}`,
    );
  if (problems.length > 0) throw new ConfigError(problems);
  return sizes;
}

/** Published names, what they are called here, and how their values read. */
const SETTINGS: readonly (readonly [
  published: string,
  key: string,
  read: (value: PickleValue) => unknown,
])[] = [
  ['d_model', 'modelDim', asNumber],
  ['n_head', 'heads', asNumber],
  ['d_inner', 'innerDim', asNumber],
  ['n_layer', 'layers', asNumber],
  ['window_len', 'windowSize', asNumber],
  ['chunk_size', 'chunkSize', asNumber],
  ['chunk_rank', 'projectionRank', asNumber],
  ['mem_len', 'memoryLength', asNumber],
  ['dropout', 'dropout', asNumber],
  ['emb_dropout', 'embeddingDropout', asNumber],
  ['clamp_len', 'windowPositionClamp', asLimit],
  ['cpos_clamp_len', 'chunkPositionClamp', asLimit],
  ['use_bias', 'projectionBiases', (value) => (typeof value === 'boolean' ? value : undefined)],
  ['pre_ln', 'normPlacement', (value) => (typeof value === 'boolean' ? (value ? 'pre' : 'post') : undefined)],
  ['use_gelu', 'activation', (value) => (typeof value === 'boolean' ? (value ? 'gelu' : 'relu') : undefined)],
];

function asNumber(value: PickleValue): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

/** Off is -1. */
function asLimit(value: PickleValue): number | null | undefined {
  if (typeof value !== 'number') return undefined;
  return value > 0 ? value : null;
}

/** Settings of the training by our names: of `cfg.model`, else of `args`; none where the file has neither. */
function trainingSettings(object: PickleValue): Record<string, unknown> {
  const model = member(member(object, 'cfg'), 'model');
  const holder = member(model, 'd_model') === undefined ? member(object, 'args') : model;
  return withoutUndefined(
    Object.fromEntries(
      SETTINGS.map(([published, key, read]) => {
        const value = member(holder, published);
        return [key, value === undefined ? undefined : read(value)];
      }),
    ),
  );
}

function withoutUndefined(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

/** A value by its name in whatever fairseq keeps settings in: dicts, namespaces, data classes, and the nodes of OmegaConf. */
function member(holder: PickleValue | undefined, name: string): PickleValue | undefined {
  const entries = entriesOf(holder);
  const value = entries?.get(name);
  const inner = value instanceof InertObject ? entriesOf(value)?.get('_val') : undefined;
  return inner ?? value;
}

function entriesOf(holder: PickleValue | undefined): PickleDict | undefined {
  if (holder instanceof PthNamespace) return holder.entries;
  if (holder instanceof PickleDict) return holder;
  if (!(holder instanceof InertObject) || !(holder.state instanceof PickleDict)) return undefined;
  const content = holder.state.get('_content');
  return content instanceof PickleDict ? content : holder.state;
}
