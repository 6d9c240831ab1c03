/** The models and segments that benches/training-step.mjs measures; sizes as in the package's configurations. */
import { languageModelSchema, parseConfig } from '../packages/formats/dist/index.js';
import { classifierPreset } from '../packages/transformer-ls/dist/models/sequence-classifier/presets.js';
import { archString } from '../packages/transformer-ls/dist/models/vil-ls/arch-string.js';
import { vilLsPreset } from '../packages/transformer-ls/dist/models/vil-ls/presets.js';

const SIZES = {
  // For smoke runs.
  tiny: {
    model: {
      vocabularySize: 64,
      layers: 2,
      modelDim: 32,
      heads: 2,
      innerDim: 64,
      windowSize: 16,
      memoryLength: 64,
    },
    segmentLength: 64,
    batchSize: 2,
  },
  small: {
    model: {
      vocabularySize: 256,
      layers: 6,
      modelDim: 256,
      heads: 4,
      innerDim: 1024,
      windowSize: 128,
      memoryLength: 1024,
    },
    segmentLength: 512,
    batchSize: 8,
  },
  // 6 layers of width 256 on 4 x 1,024 tokens, with the window of the published models.
  '4x1024': {
    model: {
      vocabularySize: 256,
      layers: 6,
      modelDim: 256,
      heads: 4,
      innerDim: 1024,
      windowSize: 512,
      memoryLength: 1024,
    },
    segmentLength: 1024,
    batchSize: 4,
  },
  'enwik8-base': {
    model: {
      vocabularySize: 208,
      layers: 12,
      modelDim: 512,
      heads: 8,
      innerDim: 2048,
      windowSize: 512,
      memoryLength: 2048,
    },
    segmentLength: 1024,
    batchSize: 1,
  },
};

/** The published classifiers on rows as they are published: padded to the longest length. */
const CLASSIFIERS = {
  'reference/listops': { config: classifierPreset('lra-listops', 'reference'), batchSize: 32, shortest: 500 },
  'reference/text': { config: classifierPreset('lra-text', 'reference'), batchSize: 16, shortest: 200 },
};

const languageModels = Object.fromEntries(
  ['reference', 'consistent'].flatMap((mode) =>
    Object.entries(SIZES).map(([size, { model, ...segment }]) => [
      `${mode}/${size}`,
      {
        config: parseConfig(languageModelSchema, {
          kind: 'language-model',
          mode,
          chunkSize: 16,
          projectionRank: 1,
          ...model,
        }),
        ...segment,
      },
    ]),
  ),
);

/** The published vision models at 224 x 224, without stochastic depth, which would draw other paths on each side. */
const VISION_MODELS = Object.fromEntries(
  ['tiny', 'medium'].map((size) => {
    const config = { ...vilLsPreset(`vil-ls-${size}`, { mode: 'reference' }), dropPath: 0 };
    const batchSize = size === 'tiny' ? 8 : 4;
    return [`reference/vil-ls-${size}`, { config, arch: archString(config.stages), batchSize }];
  }),
);

/** Names such as `reference/small`; all but the tiny ones are measured by default. */
export const CASES = { ...languageModels, ...CLASSIFIERS, ...VISION_MODELS };

export const DEFAULT_CASES = Object.keys(CASES).filter((name) => !name.endsWith('/tiny'));
