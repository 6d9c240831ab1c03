// A model and a text so small that a step takes milliseconds.
import {
  type LanguageModelTrainingConfig,
  languageModelTrainingSchema,
  parseConfig,
} from '@transformer-ls/formats';
import { manualSeed } from '@transformer-ls/torch';
import { onTestFinished } from 'vitest';
import { syntheticCorpus } from '../../src/data/synthetic.js';
import { byteVocabulary } from '../../src/data/vocabulary.js';
import { createLanguageModel } from '../../src/models/language-model/create.js';
import { createRun, type RunFolder } from '../../src/run/run-folder.js';
import { LanguageModelTask } from '../../src/train/language-model-task.js';
import { Precision } from '../../src/train/precision.js';
import { Trainer, type TrainerOptions } from '../../src/train/trainer.js';
import { scratchFolder } from '../data/scratch-folder.js';

export const smallModel = {
  kind: 'language-model',
  vocabularySize: 256,
  layers: 2,
  modelDim: 16,
  heads: 2,
  innerDim: 32,
  windowSize: 8,
  chunkSize: 4,
  projectionRank: 1,
  memoryLength: 32,
};

export function smallConfig(changes: object = {}, model: object = {}): LanguageModelTrainingConfig {
  return parseConfig(languageModelTrainingSchema, {
    kind: 'training',
    recipe: 'test',
    model: { ...smallModel, ...model },
    data: { name: 'text' },
    segmentLength: 16,
    batchSize: 2,
    optimizer: { name: 'adamw', learningRate: 3e-3 },
    schedule: { name: 'constant', warmupSteps: 0 },
    clipNorm: 1,
    maxSteps: 20,
    evaluateEverySteps: 1000,
    evaluateTokens: 64,
    checkpointEverySteps: 1000,
    threads: 1,
    seed: 1,
    ...changes,
  });
}

export function smallTask(config: LanguageModelTrainingConfig, bytes = 4000): LanguageModelTask {
  manualSeed(config.seed);
  const model = createLanguageModel(config.model);
  const corpus = (split: 'train' | 'valid') =>
    syntheticCorpus('pattern', split, { bytes, seed: 0, distance: 20 });
  const precision = new Precision(config.precision, config.device);
  const [train, valid] = [corpus('train'), corpus('valid')];
  return new LanguageModelTask({ model, config, vocabulary: byteVocabulary, train, valid, precision });
}

export interface SmallTrainer {
  readonly trainer: Trainer;
  readonly folder: RunFolder;
  /** What was recorded. */
  readonly records: Parameters<TrainerOptions['onRecord']>[0][];
}

/** A trainer on a run folder of its own; `wrap` may change the task. */
export async function smallTrainer(
  config: LanguageModelTrainingConfig,
  changes: Partial<TrainerOptions> = {},
): Promise<SmallTrainer> {
  const folder = await createRun(`${scratchFolder()}/run`, { ...config }, { onProblem: throwLine });
  onTestFinished(() => folder.close());
  const records: SmallTrainer['records'] = [];
  const trainer = new Trainer({
    config,
    task: smallTask(config),
    precision: new Precision(config.precision, config.device),
    folder,
    onRecord: (record) => records.push(record),
    onSaved: () => undefined,
    shouldStop: () => false,
    ...changes,
  });
  return { trainer, folder, records };
}

function throwLine(line: string): never {
  throw new Error(line);
}
