/** Complete runs of Long Range Arena: the published ones (spec 5.1, 2.7), and ones for two CPU cores. */
import type { ClassifierConfig, ClassifierTrainingConfig } from '@transformer-ls/formats';
import { setDefinition } from '../lra/sets.js';
import { classifierPreset } from '../models/sequence-classifier/presets.js';

/** A field that is not named here has the schema's default. */
type Settings = Omit<Partial<ClassifierTrainingConfig>, 'optimizer' | 'schedule' | 'data'> & {
  readonly model: ClassifierConfig;
  readonly data: Partial<ClassifierTrainingConfig['data']> & { readonly name: string };
  readonly optimizer: Partial<ClassifierTrainingConfig['optimizer']>;
  readonly schedule: Partial<ClassifierTrainingConfig['schedule']>;
};

/** One column of the table in spec 5.1. */
interface PublishedTask {
  readonly set: string;
  readonly preset: string;
  readonly steps: number;
  readonly warmupSteps: number;
  readonly evaluateEverySteps: number;
  readonly weightDecay: number;
  readonly seed: number;
}

function published(task: PublishedTask): Settings {
  const { set, preset, steps, warmupSteps, evaluateEverySteps, weightDecay, seed } = task;
  return {
    model: classifierPreset(preset, 'reference'),
    data: { name: set },
    documentLength: setDefinition(set).documentLength,
    batchSize: 32,
    optimizer: { name: 'adamw', learningRate: 1e-4, beta2: 0.999, epsilon: 1e-6, weightDecay },
    // Starts at a 25th of the peak and ends at a 250,000th; beta1 goes from 0.95 to 0.85 and back (spec 2.7).
    schedule: { name: 'one-cycle', warmupSteps, finalLearningRateFraction: 1 / 250_000 },
    maxSteps: steps,
    evaluateEverySteps,
    checkpointEverySteps: evaluateEverySteps,
    seed,
  };
}

const listOps = {
  set: 'listops',
  steps: 5000,
  warmupSteps: 1000,
  evaluateEverySteps: 50,
  weightDecay: 0,
  seed: 1234,
};
const text = {
  set: 'imdb',
  steps: 20_000,
  warmupSteps: 8000,
  evaluateEverySteps: 500,
  weightDecay: 0.01,
  seed: 1234,
};
const retrieval = {
  set: 'aan',
  steps: 30_000,
  warmupSteps: 8000,
  evaluateEverySteps: 300,
  weightDecay: 0.01,
  seed: 4096,
};

export const lraRecipes: Readonly<Record<string, Settings>> = {
  'lra/listops': published({ ...listOps, preset: 'lra-listops' }),
  'lra/listops-best': published({ ...listOps, preset: 'lra-listops-best' }),
  'lra/text': published({ ...text, preset: 'lra-text' }),
  'lra/text-best': published({ ...text, preset: 'lra-text-best' }),
  'lra/retrieval': published({ ...retrieval, preset: 'lra-retrieval' }),
  'lra/retrieval-best': published({ ...retrieval, preset: 'lra-retrieval-best' }),
};
