/** A small model of every family, exported, and what libtorch makes of the inputs of the tests. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  byteVocabulary,
  classifierSchema,
  cvtLsSchema,
  IMAGENET_MEAN,
  IMAGENET_STD,
  languageModelSchema,
  normalisation,
  normalised,
  parseConfig,
  seenByModel,
} from '@transformer-ls/formats';
import { type Module, manualSeed, noGrad, scope, tensor } from '@transformer-ls/torch';
import { exportModel } from '../../../packages/transformer-ls/src/export/export.js';
import type { Exportable } from '../../../packages/transformer-ls/src/export/exportable.js';
import { exportableImageClassifier } from '../../../packages/transformer-ls/src/export/image-classifier.js';
import { exportableLanguageModel } from '../../../packages/transformer-ls/src/export/language-model.js';
import { exportableTextClassifier } from '../../../packages/transformer-ls/src/export/text-classifier.js';
import { generate } from '../../../packages/transformer-ls/src/generate/stream.js';
import { createLanguageModel } from '../../../packages/transformer-ls/src/models/language-model/create.js';
import { SequenceClassifier } from '../../../packages/transformer-ls/src/models/sequence-classifier/model.js';
import { vilLsPreset } from '../../../packages/transformer-ls/src/models/vil-ls/presets.js';
import {
  createImageClassifier,
  type ImageClassifier,
} from '../../../packages/transformer-ls/src/models/vision/image-classifier.js';

export interface ClassExpectation {
  readonly kind: 'classifier';
  readonly shares: readonly { readonly id: string; readonly probability: number }[];
  readonly features: readonly number[];
}

export interface FamilyExpectation {
  readonly name: string;
  readonly expected: { readonly kind: 'language-model'; readonly text: string } | ClassExpectation;
}

const PROMPT = 'The history of the world is long. '.repeat(8);
/** As the test in the browser has them. */
const DOCUMENT = 'One of the best films I have seen in years, and then some.';

export async function exportFamilies(folder: string): Promise<FamilyExpectation[]> {
  manualSeed(7);
  return [
    await languageModel(folder, 'consistent'),
    await languageModel(folder, 'reference'),
    await textClassifier(folder, 'consistent'),
    await textClassifier(folder, 'reference'),
    await imageClassifier(folder, 'vil'),
    await imageClassifier(folder, 'cvt'),
  ];
}

async function languageModel(folder: string, mode: 'consistent' | 'reference'): Promise<FamilyExpectation> {
  const config = parseConfig(languageModelSchema, {
    kind: 'language-model',
    mode,
    vocabularySize: 256,
    layers: 2,
    modelDim: 32,
    heads: 4,
    innerDim: 64,
    windowSize: 32,
    memoryLength: 64,
    chunkSize: 16,
    projectionRank: 1,
  });
  const model = wilder(createLanguageModel(config));
  await exported(folder, `lm-${mode}`, exportableLanguageModel(model, byteVocabulary));
  let text = '';
  const stream = generate(model, { prompt: PROMPT, maxTokens: 40, seed: 5, temperature: 0.7 });
  for await (const piece of stream.text()) text += piece;
  model.dispose();
  return { name: `lm-${mode}`, expected: { kind: 'language-model', text } };
}

async function textClassifier(folder: string, mode: 'consistent' | 'reference'): Promise<FamilyExpectation> {
  const config = parseConfig(classifierSchema, {
    kind: 'sequence-classifier',
    mode,
    inputs: 'one',
    classes: 3,
    vocabularySize: 257,
    maxLength: 96,
    layers: 2,
    modelDim: 32,
    heads: 2,
    innerDim: 32,
    attention: { name: 'long-short', windowSize: 8, projectionRank: 4 },
    pooling: 'class-token-last-layer',
  });
  const model = wilder(new SequenceClassifier(config));
  const classes = ['a', 'b', 'c'];
  const loaded = { model, config, classes, training: undefined } as unknown as Parameters<
    typeof exportableTextClassifier
  >[0];
  const name = `text-${mode}`;
  await exported(folder, name, exportableTextClassifier(loaded));
  const bytes = new TextEncoder().encode(DOCUMENT);
  const length = mode === 'reference' ? config.maxLength : bytes.length;
  const expected = noGrad(() =>
    scope(() => {
      const ids = tensor(
        Int32Array.from({ length }, (_, i) => (i < bytes.length ? bytes[i]! + 1 : 0)),
        { shape: [1, length] },
      ).to('int64');
      const features = model.features({ ids, mask: ids.ne(0) });
      return {
        shares: sharesOf(model.logitsOf(features).softmax(-1).toFloat32Array(), classes),
        features: [...features.toFloat32Array()],
      };
    }),
  );
  model.dispose();
  return { name, expected: { kind: 'classifier', ...expected } };
}

async function imageClassifier(folder: string, kind: 'vil' | 'cvt'): Promise<FamilyExpectation> {
  const model = wilder(createImageClassifier(kind === 'vil' ? smallVil() : smallCvt())) as ImageClassifier;
  const { config } = model;
  const classes = Array.from({ length: config.classes }, (_, i) => ({ id: String(i), name: String(i) }));
  const loaded = { model, config, classes, training: undefined } as unknown as Parameters<
    typeof exportableImageClassifier
  >[0];
  await exported(folder, kind, exportableImageClassifier(loaded));
  const image = {
    width: 40,
    height: 36,
    data: Uint8Array.from({ length: 3 * 40 * 36 }, (_, i) => (i * 37) % 256),
  };
  const { imageHeight: height, imageWidth: width } = config;
  const seen = seenByModel(image, { height, width }, { cropRatio: 0.875, filter: 'bicubic' });
  const planes = normalised(seen.image, normalisation(IMAGENET_MEAN, IMAGENET_STD));
  const expected = noGrad(() =>
    scope(() => {
      const features = model.features(tensor(planes, { shape: [1, 3, height, width] }));
      return {
        shares: sharesOf(
          model.logitsOf(features).softmax(-1).toFloat32Array(),
          classes.map(({ id }) => id),
        ),
        features: [...features.toFloat32Array()],
      };
    }),
  );
  model.dispose();
  return { name: kind, expected: { kind: 'classifier', ...expected } };
}

function smallVil() {
  const preset = vilLsPreset('vil-ls-tiny', { mode: 'consistent' });
  const stages = preset.stages
    .slice(0, 2)
    .map((stage, i) => ({ ...stage, layers: 1, modelDim: 24 * (i + 1), windowSize: 3, projectionRank: 4 }));
  return { ...preset, stages, imageHeight: 32, imageWidth: 32, classes: 5, dropPath: 0 };
}

function smallCvt() {
  return parseConfig(cvtLsSchema, {
    kind: 'cvt-ls',
    imageHeight: 32,
    imageWidth: 32,
    classes: 5,
    stages: [
      {
        modelDim: 16,
        heads: 1,
        layers: 1,
        embeddingKernel: 7,
        embeddingStride: 4,
        windowSize: 3,
        projectionRank: 2,
      },
      { modelDim: 32, heads: 2, layers: 1, embeddingKernel: 3, embeddingStride: 2, attention: 'full' },
    ],
  });
}

async function exported(folder: string, name: string, exportable: Exportable): Promise<void> {
  const out = join(folder, name);
  await mkdir(out);
  await exportModel(exportable, out, {
    name,
    weights: 'float32',
    version: '0.0.0',
    provenance: { source: 'test', step: null, weightsSha256: '0'.repeat(64), data: null, exported: 'test' },
  });
}

/** Random weights say more where they are not all but zero. */
function wilder<M extends Module>(model: M): M {
  model.eval();
  noGrad(() =>
    scope(() => {
      for (const parameter of model.parameters()) parameter.mul_(1.5);
    }),
  );
  return model;
}

function sharesOf(shares: Float32Array, ids: readonly string[]) {
  return ids.map((id, i) => ({ id, probability: shares[i]! }));
}
