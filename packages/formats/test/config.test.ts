import { describe, expect, it } from 'vitest';
import {
  ConfigError,
  describe as describeFields,
  type LanguageModelConfig,
  languageModelSchema,
  languageModelTrainingSchema,
  parseConfig,
  parseConfigText,
  type TrainingConfig,
  trainingSchema,
} from '../src/index.js';
import { languageModel, training } from './example-configs.js';

const problems = (action: () => unknown): readonly string[] => {
  try {
    action();
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
};
const modelProblems = (change: object) =>
  problems(() => parseConfig(languageModelSchema, { ...languageModel, ...change }, 'model'));
const runProblems = (change: object) =>
  problems(() => parseConfig(trainingSchema, { ...training, ...change }, 'run'));

describe('defaults', () => {
  it('of a language model', () => {
    const config: LanguageModelConfig = parseConfig(languageModelSchema, languageModel);
    expect(config).toEqual({
      ...languageModel,
      mode: 'consistent',
      activation: 'gelu',
      normPlacement: 'pre',
      projectionBiases: false,
      dropout: 0,
      embeddingDropout: 0,
      windowPositionClamp: null,
      chunkPositionClamp: null,
    });
  });

  it('of a training run', () => {
    const config: TrainingConfig = parseConfig(trainingSchema, training);
    expect(config).toEqual({
      ...training,
      model: parseConfig(languageModelSchema, languageModel),
      data: { name: 'embedded', path: null },
      gradientAccumulation: 1,
      optimizer: {
        name: 'adamw',
        learningRate: 1e-3,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weightDecay: 0,
      },
      schedule: {
        name: 'cosine',
        warmupSteps: 10,
        warmupFraction: 0,
        initialLearningRateFraction: 0,
        finalLearningRateFraction: 0.1,
      },
      clipNorm: null,
      emaDecay: null,
      maxTokens: null,
      maxSeconds: null,
      keepCheckpoints: 2,
      precision: 'float32',
      activationCheckpointing: false,
      stopAfterNonFinite: 10,
      initialWeights: null,
      resetMemoryAtEpoch: true,
      threads: null,
      device: 'cpu',
    });
  });

  it('come back unchanged through JSON', () => {
    const config = parseConfig(trainingSchema, training);
    expect(parseConfigText(trainingSchema, JSON.stringify(config))).toEqual(config);
  });
});

describe('settings of a model that contradict each other', () => {
  it.each([
    [{ heads: 6 }, 'model.heads: expected a divisor of modelDim 64, received 6'],
    [
      { modelDim: 35, heads: 5 },
      'model.modelDim: expected an even number (half sines, half cosines), received 35',
    ],
    [{ memoryLength: 60 }, 'model.memoryLength: expected a multiple of chunkSize 8, received 60'],
    [
      { mode: 'reference', memoryLength: 24 },
      'model.memoryLength: expected at least windowSize 32 in reference mode, received 24',
    ],
    [{ normPlacement: 'post' }, 'model.normPlacement: expected pre in consistent mode, received post'],
    [
      { windowSize: 0 },
      'model.windowSize: expected a whole number at least 1 and at most 2147483647, received 0',
    ],
    [{ dropout: 1 }, 'model.dropout: expected a number at least 0 and below 1, received 1'],
    [
      { windowPositionClamp: 0 },
      'model.windowPositionClamp: expected a whole number at least 1 and at most 2147483647, received 0',
    ],
  ])('%j', (change, message) => {
    expect(modelProblems(change)).toEqual([message]);
  });

  it.each([
    [{ memoryLength: 0, projectionRank: 0 }],
    [{ mode: 'reference', memoryLength: 32, normPlacement: 'post' }],
    [{ chunkSize: 64, memoryLength: 128, windowSize: 1 }],
  ])('but not %j', (change) => {
    expect(modelProblems(change)).toEqual([]);
  });
});

describe('settings of a run that contradict each other', () => {
  const reference = { ...languageModel, mode: 'reference' };

  it.each([
    [
      { maxSteps: null },
      'run.maxSteps: expected a limit in maxSteps, maxTokens or maxSeconds, received null in all three',
    ],
    [
      { schedule: { name: 'constant', warmupSteps: 200 } },
      'run.schedule.warmupSteps: expected at most maxSteps 100, received 200',
    ],
    [
      { maxSteps: null, maxTokens: 1000, schedule: { name: 'one-cycle', warmupSteps: 10 } },
      'run.maxSteps: expected at least 2 for the schedule one-cycle, received null',
    ],
    [
      { model: reference, segmentLength: 48 },
      'run.segmentLength: expected at most windowSize 32 or a multiple of it in reference mode, received 48',
    ],
    [
      { keepCheckpoints: 1 },
      'run.keepCheckpoints: expected a whole number at least 2 and at most 2147483647, received 1',
    ],
    [{ device: 'gpu' }, 'run.device: expected cpu, cuda or cuda:<number>, received "gpu"'],
    [
      { precision: 'bfloat' },
      'run.precision: expected float32, bfloat16 or float16, received "bfloat", did you mean bfloat16?',
    ],
    [{ data: { name: '' } }, 'run.data.name: expected a text that is not empty, received ""'],
    [
      { model: { ...languageModel, heads: 6 } },
      'run.model.heads: expected a divisor of modelDim 64, received 6',
    ],
  ])('%j', (change, message) => {
    expect(runProblems(change)).toEqual([message]);
  });

  it.each([
    [{ maxSteps: null, maxSeconds: 0.5 }],
    [{ maxSteps: null, maxTokens: 1 }],
    [{ model: reference, segmentLength: 24 }],
    [{ segmentLength: 48 }],
    [{ device: 'cuda:1', precision: 'bfloat16' }],
  ])('but not %j', (change) => {
    expect(runProblems(change)).toEqual([]);
  });
});

it('describes every field, nested ones under their object', () => {
  const fields = describeFields(languageModelTrainingSchema);
  const byPath = new Map(fields.map((field) => [field.path, field]));
  expect(byPath.get('optimizer.beta1')).toEqual({
    path: 'optimizer.beta1',
    doc: 'Decay of the running mean of gradients.',
    expected: 'a number at least 0 and below 1',
    fallback: 0.9,
  });
  expect(byPath.get('model.windowSize')).not.toHaveProperty('fallback');
  expect(byPath.get('clipNorm')).toMatchObject({ fallback: null, expected: 'a number above 0, or null' });
  for (const { doc } of fields) expect(doc).toMatch(/^.{10,120}\.$/);
});
