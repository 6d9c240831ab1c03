import { parseConfig, trainingSchema } from '@transformer-ls/formats';
import { describe, expect, it } from 'vitest';
import { createLanguageModel } from '../../src/models/language-model/create.js';
import { preset, presetNames } from '../../src/models/language-model/presets.js';
import { recipe, recipeNames } from '../../src/train/recipes.js';

describe('presets', () => {
  it('keep their names: users and documents hold them', () => {
    expect(presetNames).toEqual(['enwik8-base', 'enwik8-large', 'text8-base', 'small', 'debug']);
  });

  it.each([
    ['enwik8-base', 44_294_448],
    ['enwik8-large', 110_576_064],
    ['text8-base', 44_204_160],
  ])('%s has the published number of parameters in reference mode (spec 7)', (name, count) => {
    using model = createLanguageModel(preset(name, { mode: 'reference' }));
    expect(model.countParameters()).toBe(count);
  });

  it.each(presetNames)('%s works in both modes', (name) => {
    expect(preset(name)).toMatchObject({ mode: 'consistent', vocabularySize: 256 });
    expect(preset(name, { mode: 'reference', memoryLength: 4096 }).memoryLength).toBe(4096);
  });

  it('a mistyped name gets the nearest one', () => {
    expect(() => preset('smal')).toThrow(
      'there is no model "smal"; did you mean small? expected one of enwik8-base, enwik8-large, text8-base, small, debug',
    );
  });
});

describe('recipes', () => {
  it('keep their names', () => {
    expect(recipeNames).toEqual([
      'enwik8-base/phase-1',
      'enwik8-base/phase-2',
      'enwik8-base/phase-3',
      'enwik8-large/phase-1',
      'enwik8-large/phase-2',
      'enwik8-large/phase-3',
      'text8-base/phase-1',
      'text8-base/phase-2',
      'text8-base/phase-3',
      'wikipedia-100m/small-1h',
      'wikipedia-100m/small-15m',
      'embedded/quickstart',
      'embedded/small-1h',
      'embedded/debug',
      'text/small',
      'lra/listops',
      'lra/listops-best',
      'lra/listops-cpu',
      'lra/text',
      'lra/text-best',
      'lra/text-cpu',
      'lra/retrieval',
      'lra/retrieval-best',
      'lra/retrieval-cpu',
      'lra/image',
      'lra/image-cpu',
      'lra/pathfinder',
      'lra/pathfinder-cpu',
      'lra/path-x',
      'lra/path-x-cpu',
      'vision/vil-ls-tiny',
      'vision/vil-ls-small',
      'vision/vil-ls-medium',
      'vision/vil-ls-base',
      'vision/vil-ls-medium-384',
      'vision/cvt-ls-13',
      'vision/cvt-ls-17',
      'vision/cvt-ls-21',
      'vision/cvt-ls-21s',
      'vision/cifar10-cpu',
      'vision/tiny-imagenet-cpu',
    ]);
  });

  it.each(recipeNames)('%s is a complete configuration that survives JSON', (name) => {
    const config = recipe(name);
    expect(config.recipe).toBe(name);
    expect(parseConfig(trainingSchema, JSON.parse(JSON.stringify(config)))).toEqual(config);
  });

  // Rows of the table in spec 5.2: lr, warm-up, updates, T = mem, lanes on 8 GPUs, update frequency, dropout, decay.
  it.each([
    ['enwik8-base/phase-1', 2.5e-4, 10_000, 430_000, 2048, 32, 1, 0.2, 0.01],
    ['enwik8-base/phase-2', 1.25e-4, 5000, 50_000, 4096, 32, 1, 0.2, 0.01],
    ['enwik8-base/phase-3', 6.25e-5, 5000, 50_000, 8192, 32, 1, 0.2, 0.01],
    ['enwik8-large/phase-1', 2.5e-4, 10_000, 430_000, 2048, 32, 1, 0.4, 0.1],
    ['enwik8-large/phase-2', 1.25e-4, 5000, 50_000, 4096, 16, 4, 0.4, 0.1],
    ['enwik8-large/phase-3', 6.25e-5, 5000, 50_000, 8192, 8, 4, 0.4, 0.1],
    ['text8-base/phase-1', 5e-4, 10_000, 430_000, 2048, 32, 1, 0.2, 0.01],
    ['text8-base/phase-2', 2.5e-4, 5000, 50_000, 4096, 32, 1, 0.2, 0.01],
    ['text8-base/phase-3', 1.25e-4, 5000, 50_000, 8192, 16, 1, 0.2, 0.01],
  ])(
    '%s is the published one',
    (name, learningRate, warmupSteps, maxSteps, T, lanes, frequency, dropout, weightDecay) => {
      expect(recipe(name)).toMatchObject({
        model: {
          mode: 'reference',
          memoryLength: T,
          dropout,
          embeddingDropout: dropout,
          windowSize: 512,
          chunkSize: 16,
        },
        optimizer: { name: 'adam', learningRate, weightDecay, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
        schedule: { name: 'constant', warmupSteps },
        maxSteps,
        segmentLength: T,
        batchSize: lanes,
        gradientAccumulation: frequency,
        clipNorm: null,
        precision: 'float16',
        resetMemoryAtEpoch: false,
      });
    },
  );

  // Spec 5.3 and 4.6: batch on each GPU, drop path, window, side.
  it.each([
    ['vision/vil-ls-medium', 128, 0.3, 7, 224],
    ['vision/vil-ls-base', 64, 0.5, 7, 224],
    ['vision/vil-ls-medium-384', 32, 0.2, 8, 384],
  ])('%s is the published one', (name, batchSize, dropPath, windowSize, side) => {
    const config = recipe(name);
    expect(config).toMatchObject({
      kind: 'image-training',
      model: { mode: 'reference', dropPath, imageHeight: side, imageWidth: side, classes: 1000, dropout: 0 },
      optimizer: {
        name: 'adamw-decay-after',
        learningRate: 8e-4,
        weightDecay: 0.1,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
      },
      schedule: { name: 'vision-cosine', warmupFraction: 5 / 300, initialLearningRateFraction: 0.002 },
      augmentation: {
        randAugment: 'rand-m9-mstd0.5-inc1',
        mixup: 0.8,
        cutmix: 1,
        smoothing: 0.1,
        erasing: 0.25,
      },
      batchSize,
      maxEpochs: 300,
      clipNorm: null,
      emaDecay: null,
      precision: 'float16',
      evaluationCropRatio: 0.875,
    });
    if (config.kind !== 'image-training') return;
    expect(config.gradientAccumulation * batchSize).toBe(1024);
    expect(config.schedule.finalLearningRateFraction * 8e-4).toBeCloseTo(1e-6, 15);
    expect(config.model.stages.every((stage) => stage.windowSize === windowSize)).toBe(true);
  });

  it('later phases start from the weights that were published as their start', () => {
    expect(recipe('enwik8-base/phase-2').initialWeights).toBe('runs/enwik8-base-phase-1/checkpoints');
    expect(recipe('enwik8-base/phase-3').initialWeights).toBe('runs/enwik8-base-phase-2/best');
    expect(recipe('enwik8-large/phase-2').initialWeights).toBe('runs/enwik8-large-phase-1/best');
  });

  it('a mistyped name gets the nearest one', () => {
    expect(() => recipe('embedded/quickstrat')).toThrow('did you mean embedded/quickstart?');
  });
});
