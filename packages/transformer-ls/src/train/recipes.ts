/** Named complete runs. The published ones (spec 5.2) need a GPU; the others suit two CPU cores. */
import {
  type LanguageModelConfig,
  type LanguageModelTrainingConfig,
  parseConfig,
  type TrainingConfig,
  trainingSchema,
} from '@transformer-ls/formats';
import { type PresetName, preset, unknownName } from '../models/language-model/presets.js';
import { lraRecipes } from './lra-recipes.js';
import { visionRecipes } from './vision-recipes.js';

/** A field that is not named here has the schema's default. */
type Settings = Omit<Partial<LanguageModelTrainingConfig>, 'optimizer' | 'schedule' | 'data'> & {
  readonly model: LanguageModelConfig;
  readonly data: { readonly name: string };
  readonly optimizer: Partial<TrainingConfig['optimizer']>;
  readonly schedule: Partial<TrainingConfig['schedule']>;
};

/** One row of the table in spec 5.2. */
interface PublishedPhase {
  readonly model: PresetName;
  readonly corpus: 'enwik8' | 'text8';
  readonly learningRate: number;
  readonly warmupSteps: number;
  readonly maxSteps: number;
  /** T, and the memory too. */
  readonly segmentLength: number;
  /** On each of 8 GPUs; all of them together are the lanes here. */
  readonly lanesPerGpu: number;
  readonly updateFrequency: number;
  readonly weightDecay: number;
  readonly initialWeights: string | null;
}

const GPUS = 8;

function publishedPhase(row: PublishedPhase): Settings {
  const { learningRate, weightDecay, warmupSteps, maxSteps, segmentLength } = row;
  return {
    model: preset(row.model, { mode: 'reference', memoryLength: segmentLength }),
    data: { name: row.corpus },
    segmentLength,
    batchSize: GPUS * row.lanesPerGpu,
    gradientAccumulation: row.updateFrequency,
    optimizer: { name: 'adam', learningRate, weightDecay },
    schedule: { name: 'constant', warmupSteps },
    maxSteps,
    evaluateEverySteps: 1000,
    evaluateTokens: 5_000_000,
    checkpointEverySteps: 1000,
    precision: 'float16',
    initialWeights: row.initialWeights,
    resetMemoryAtEpoch: false,
    seed: 2,
    device: 'cuda',
  };
}

const phaseOne = { warmupSteps: 10_000, maxSteps: 430_000, segmentLength: 2048, initialWeights: null };
const phaseTwo = { warmupSteps: 5000, maxSteps: 50_000, segmentLength: 4096 };
const phaseThree = { warmupSteps: 5000, maxSteps: 50_000, segmentLength: 8192 };

const enwik8Base = { model: 'enwik8-base', corpus: 'enwik8', weightDecay: 0.01 } as const;
const enwik8Large = { model: 'enwik8-large', corpus: 'enwik8', weightDecay: 0.1 } as const;
const text8Base = { model: 'text8-base', corpus: 'text8', weightDecay: 0.01 } as const;

const published: Record<string, PublishedPhase> = {
  'enwik8-base/phase-1': {
    ...enwik8Base,
    ...phaseOne,
    learningRate: 2.5e-4,
    lanesPerGpu: 4,
    updateFrequency: 1,
  },
  'enwik8-base/phase-2': {
    ...enwik8Base,
    ...phaseTwo,
    learningRate: 1.25e-4,
    lanesPerGpu: 4,
    updateFrequency: 1,
    initialWeights: 'runs/enwik8-base-phase-1/checkpoints',
  },
  'enwik8-base/phase-3': {
    ...enwik8Base,
    ...phaseThree,
    learningRate: 6.25e-5,
    lanesPerGpu: 4,
    updateFrequency: 1,
    initialWeights: 'runs/enwik8-base-phase-2/best',
  },
  'enwik8-large/phase-1': {
    ...enwik8Large,
    ...phaseOne,
    learningRate: 2.5e-4,
    lanesPerGpu: 4,
    updateFrequency: 1,
  },
  'enwik8-large/phase-2': {
    ...enwik8Large,
    ...phaseTwo,
    learningRate: 1.25e-4,
    lanesPerGpu: 2,
    updateFrequency: 4,
    initialWeights: 'runs/enwik8-large-phase-1/best',
  },
  'enwik8-large/phase-3': {
    ...enwik8Large,
    ...phaseThree,
    learningRate: 6.25e-5,
    lanesPerGpu: 1,
    updateFrequency: 4,
    initialWeights: 'runs/enwik8-large-phase-2/best',
  },
  'text8-base/phase-1': {
    ...text8Base,
    ...phaseOne,
    learningRate: 5e-4,
    lanesPerGpu: 4,
    updateFrequency: 1,
  },
  'text8-base/phase-2': {
    ...text8Base,
    ...phaseTwo,
    learningRate: 2.5e-4,
    lanesPerGpu: 4,
    updateFrequency: 1,
    initialWeights: 'runs/text8-base-phase-1/checkpoints',
  },
  'text8-base/phase-3': {
    ...text8Base,
    ...phaseThree,
    learningRate: 1.25e-4,
    lanesPerGpu: 2,
    updateFrequency: 1,
    initialWeights: 'runs/text8-base-phase-2/best',
  },
};

/** What the runs for two CPU cores share. */
const cpu = (model: PresetName, corpus: string): Settings => ({
  model: preset(model),
  data: { name: corpus },
  segmentLength: 256,
  // Few tokens a step: a run of minutes gains more from many updates than from exact gradients.
  batchSize: 8,
  optimizer: { name: 'adamw', learningRate: 3e-3, beta2: 0.99, weightDecay: 0.1 },
  schedule: { name: 'cosine', warmupSteps: 100, finalLearningRateFraction: 0.05 },
  clipNorm: 1,
  evaluateEverySteps: 250,
  evaluateTokens: 65_536,
  checkpointEverySteps: 250,
  seed: 1,
});

const forCpu: Record<string, Settings> = {
  // A minute is left for the last evaluation and checkpoint, so that the whole is an hour.
  'wikipedia-100m/small-1h': {
    ...cpu('small', 'wikipedia-100m'),
    maxSeconds: 3540,
    evaluateEverySteps: 500,
    checkpointEverySteps: 500,
  },
  'wikipedia-100m/small-15m': { ...cpu('small', 'wikipedia-100m'), maxSeconds: 900 },
  // Smaller than `small`: in two minutes more text seen is worth more than more weights.
  'embedded/quickstart': {
    ...cpu('small', 'embedded'),
    model: { ...preset('small'), modelDim: 128, heads: 2, innerDim: 512, memoryLength: 512 },
    segmentLength: 128,
    optimizer: { name: 'adamw', learningRate: 4e-3, beta2: 0.99, weightDecay: 0.1 },
    schedule: { name: 'cosine', warmupSteps: 20, finalLearningRateFraction: 0.05 },
    maxSeconds: 120,
    evaluateEverySteps: 50,
    evaluateTokens: 16_384,
    checkpointEverySteps: 100,
  },
  'embedded/small-1h': {
    ...cpu('small', 'embedded'),
    maxSeconds: 3540,
    evaluateEverySteps: 500,
    checkpointEverySteps: 500,
  },
  'embedded/debug': {
    ...cpu('debug', 'embedded'),
    segmentLength: 128,
    batchSize: 4,
    schedule: { name: 'cosine', warmupSteps: 10, finalLearningRateFraction: 0.05 },
    maxSteps: 200,
    evaluateEverySteps: 50,
    evaluateTokens: 8192,
    checkpointEverySteps: 50,
  },
  'text/small': { ...cpu('small', 'text'), maxSeconds: 900 },
};

export const recipeNames: readonly string[] = [
  ...Object.keys(published),
  ...Object.keys(forCpu),
  ...Object.keys(lraRecipes),
  ...Object.keys(visionRecipes),
];

/** The complete configuration of a recipe. Throws ConfigError for a name that does not exist, with the nearest one. */
export function recipe(name: string): TrainingConfig {
  if (!recipeNames.includes(name)) throw unknownName('recipe', name, recipeNames);
  const unlimited = { maxSteps: null, maxTokens: null, maxSeconds: null };
  const classifier = lraRecipes[name];
  if (classifier !== undefined)
    return parseConfig(trainingSchema, {
      kind: 'classifier-training',
      recipe: name,
      ...unlimited,
      ...classifier,
    });
  const vision = visionRecipes[name];
  if (vision !== undefined)
    return parseConfig(trainingSchema, { kind: 'image-training', recipe: name, ...unlimited, ...vision });
  const row = published[name];
  const settings = row === undefined ? forCpu[name]! : publishedPhase(row);
  return parseConfig(trainingSchema, { kind: 'training', recipe: name, ...unlimited, ...settings });
}
