/** The models and segments that benches/training-step.mjs measures; sizes as in the package's configurations. */
import { languageModelSchema, parseConfig } from '../packages/formats/dist/index.js';
import { classifierPreset } from '../packages/transformer-ls/dist/models/sequence-classifier/presets.js';

const SIZES = {
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

/** Names such as `reference/small`. */
export const CASES = { ...languageModels, ...CLASSIFIERS };
