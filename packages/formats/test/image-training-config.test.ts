import { describe, expect, it } from 'vitest';
import { ConfigError, describe as describeFields, imageTrainingSchema, parseConfig } from '../src/index.js';

const stage = { layers: 1, modelDim: 8, heads: 2, patchSize: 4 };
const model = { kind: 'vil-ls', imageHeight: 32, imageWidth: 32, classes: 10, stages: [stage] };
const run = {
  kind: 'image-training',
  recipe: 'debug',
  model,
  data: { name: 'photos' },
  augmentation: {},
  batchSize: 4,
  optimizer: { name: 'adamw-decay-after', learningRate: 1e-3 },
  schedule: { name: 'vision-cosine', warmupFraction: 0.1 },
  maxEpochs: 3,
  evaluateEverySteps: 50,
  checkpointEverySteps: 50,
  seed: 1,
};

function problems(change: object): readonly string[] {
  try {
    parseConfig(imageTrainingSchema, { ...run, ...change }, 'run');
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

it('fills in what is not said', () => {
  expect(parseConfig(imageTrainingSchema, run)).toMatchObject({
    data: { path: null, split: 'held-out', heldOutEvery: 10, examples: null },
    augmentation: { crop: 'random-resized', mixup: 0.8 },
    evaluationCropRatio: 0.875,
    emaDecay: null,
    gradientAccumulation: 1,
    loaderThreads: null,
    maxSteps: null,
    schedule: { warmupSteps: 0 },
  });
});

it('survives JSON', () => {
  const config = parseConfig(imageTrainingSchema, run);
  expect(parseConfig(imageTrainingSchema, JSON.parse(JSON.stringify(config)))).toEqual(config);
});

it('describes every field', () => {
  for (const { doc } of describeFields(imageTrainingSchema)) expect(doc).toMatch(/^.{4,150}\.$/);
});

describe('one line for what is wrong', () => {
  it.each([
    [
      { maxEpochs: null },
      'run.maxSteps: expected a limit in maxSteps, maxTokens, maxSeconds or maxEpochs, received null in all four',
    ],
    [
      { model: { ...model, imageWidth: 16 } },
      'run.model.imageWidth: expected imageHeight 32 for training, received 16',
    ],
    [
      { model: { ...model, channels: 1 } },
      'run.model.channels: expected 3, the colours of a picture, received 1',
    ],
    [{ emaDecay: 1 }, 'run.emaDecay: expected a number above 0 and below 1, received 1'],
    [
      { loaderThreads: 0 },
      'run.loaderThreads: expected a whole number at least 1 and at most 64, received 0',
    ],
    [
      { data: { name: 'photos', heldOutEvery: 1 } },
      'run.data.heldOutEvery: expected a whole number at least 2 and at most 2147483647, received 1',
    ],
    [
      { augmentation: { mixup: -1 } },
      'run.augmentation.mixup: expected a number at least 0 and at most 100, received -1',
    ],
    [
      { evaluationCropRatio: 0 },
      'run.evaluationCropRatio: expected a number above 0 and at most 1, received 0',
    ],
    [
      { schedule: { name: 'vision-cosine', warmupSteps: 5 } },
      'run.schedule.warmupSteps: expected 0 for the schedule vision-cosine, received 5',
    ],
  ])('%j', (change, message) => {
    expect(problems(change)).toEqual([message]);
  });
});
