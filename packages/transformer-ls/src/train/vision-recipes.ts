/** Complete runs of vision models: as published, for GPUs (spec 4.6, 5.3), and small ones for two CPU cores. */
import {
  type ImageClassifierConfig,
  type ImageTrainingConfig,
  parseConfig,
  vilLsSchema,
} from '@transformer-ls/formats';
import { augmentation } from '../images/augment/presets.js';
import { parseArchString } from '../models/vil-ls/arch-string.js';
import { type VisionPresetName, visionPreset } from '../models/vision/presets.js';

/** A field that is not named here has the schema's default. */
type Settings = Omit<Partial<ImageTrainingConfig>, 'optimizer' | 'schedule' | 'data'> & {
  readonly model: ImageClassifierConfig;
  readonly data: Partial<ImageTrainingConfig['data']> & { readonly name: string };
  readonly optimizer: Partial<ImageTrainingConfig['optimizer']>;
  readonly schedule: Partial<ImageTrainingConfig['schedule']>;
};

/** Updates of an epoch of ImageNet with 1,024 pictures each. */
const IMAGENET_EPOCH = 1251;
const PUBLISHED_BATCH = 1024;

/**
 * 300 epochs with 1,024 pictures an update.
 *
 * @param batchSize pictures of one GPU in the published run: mixing is within them
 */
function published(preset: VisionPresetName, mode: 'reference' | 'consistent', batchSize = 128): Settings {
  const [learningRate, epochs] = [8e-4, 300];
  return {
    model: visionPreset(preset, { mode }),
    data: { name: 'imagenet', split: 'published' },
    augmentation: augmentation('published'),
    batchSize,
    gradientAccumulation: PUBLISHED_BATCH / batchSize,
    optimizer: { name: 'adamw-decay-after', learningRate, weightDecay: 0.1 },
    schedule: {
      name: 'vision-cosine',
      warmupFraction: 5 / epochs,
      initialLearningRateFraction: 0.002,
      finalLearningRateFraction: 1e-6 / learningRate,
    },
    maxEpochs: epochs,
    evaluateEverySteps: IMAGENET_EPOCH,
    checkpointEverySteps: IMAGENET_EPOCH,
    precision: 'float16',
    seed: 1,
    device: 'cuda',
  };
}

/**
 * CvT-LS has no published run: DeiT's, which CvT's is close to (spec section 6), for as many pictures an update as ViL-LS. Rates and
 * decay are DeiT's, the rest is that of ViL-LS.
 */
function likeDeit(preset: VisionPresetName): Settings {
  const [learningRate, least] = [1e-3, 1e-5];
  const base = published(preset, 'consistent');
  return {
    ...base,
    optimizer: { name: 'adamw', learningRate, weightDecay: 0.05 },
    schedule: {
      ...base.schedule,
      initialLearningRateFraction: 1e-6 / learningRate,
      finalLearningRateFraction: least / learningRate,
    },
  };
}

/** ViL-LS for small pictures: long-short attention on the two finer grids, full attention on the coarsest. */
function smallVilLs(imageSize: number, firstPatch: number): ImageClassifierConfig {
  const arch = [
    `l1,h2,d48,n1,s1,g1,p${firstPatch},f4,a0,r4`,
    'l2,h3,d96,n3,s1,g1,p2,f4,a0,r4',
    'l3,h6,d192,n2,s0,g0,p2,f4,a0,r0',
  ].join('_');
  return parseConfig(
    vilLsSchema,
    {
      kind: 'vil-ls',
      imageHeight: imageSize,
      imageWidth: imageSize,
      classes: 10,
      stages: parseArchString(arch, 'consistent'),
      dropPath: 0.05,
    },
    'model',
  );
}

/**
 * What the runs for one or two CPU cores share: few epochs, so little augmentation, and small batches, since many updates are worth
 * more than exact gradients.
 */
function onCpu(name: string, model: ImageClassifierConfig): Settings {
  return {
    model,
    data: { name },
    augmentation: augmentation('light'),
    batchSize: 32,
    optimizer: { name: 'adamw', learningRate: 1e-3, weightDecay: 0.05 },
    schedule: {
      name: 'vision-cosine',
      warmupFraction: 0.05,
      initialLearningRateFraction: 0.01,
      finalLearningRateFraction: 0.01,
    },
    clipNorm: 1,
    maxEpochs: 5,
    evaluationCropRatio: 1,
    evaluateExamples: 1000,
    evaluateEverySteps: 500,
    checkpointEverySteps: 500,
    seed: 1,
  };
}

export const visionRecipes: Readonly<Record<string, Settings>> = {
  'vision/vil-ls-tiny': published('vil-ls-tiny', 'reference'),
  'vision/vil-ls-small': published('vil-ls-small', 'reference'),
  'vision/vil-ls-medium': published('vil-ls-medium', 'reference'),
  'vision/vil-ls-base': published('vil-ls-base', 'reference', 64),
  'vision/vil-ls-medium-384': published('vil-ls-medium-384', 'reference', 32),
  'vision/cvt-ls-13': likeDeit('cvt-ls-13'),
  'vision/cvt-ls-17': likeDeit('cvt-ls-17'),
  'vision/cvt-ls-21': likeDeit('cvt-ls-21'),
  'vision/cvt-ls-21s': likeDeit('cvt-ls-21s'),
  'vision/cifar10-cpu': onCpu('cifar10', smallVilLs(32, 2)),
  'vision/tiny-imagenet-cpu': { ...onCpu('tiny-imagenet', smallVilLs(64, 4)), maxEpochs: 15 },
};
