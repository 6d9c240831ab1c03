/** From a configuration to a training that is ready to run: data, model, task, run folder. */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import {
  ConfigError,
  type MetricsRecord,
  parseConfig,
  type TrainingConfig,
  trainingSchema,
} from '@transformer-ls/formats';
import { isCudaAvailable, manualSeed, setNumThreads } from '@transformer-ls/torch';
import type { ByteCorpus } from '../data/byte-corpus.js';
import { corpusDescriptor } from '../data/corpora.js';
import { type PrepareProgress, prepareCorpus } from '../data/prepare.js';
import { openPrepared } from '../data/prepared-corpus.js';
import { byteVocabulary, FairseqDictionary, type Vocabulary } from '../data/vocabulary.js';
import { type CausalLanguageModel, createLanguageModel } from '../models/language-model/create.js';
import type { JsonObject } from '../run/json.js';
import { writeJson } from '../run/json.js';
import { CONFIG_NAME, createRun, type RunFolder, readRunConfig, resumeRun } from '../run/run-folder.js';
import { loadInitialWeights } from './initial-weights.js';
import { LanguageModelTask } from './language-model-task.js';
import { withOverrides } from './overrides.js';
import { Precision } from './precision.js';
import { RunSummary } from './summary.js';
import { type BestEvaluation, Trainer, type TrainingEnd } from './trainer.js';
import { restoreTrainer } from './training-state.js';

/** Folders that hold data. */
export interface DataPlaces {
  /** Of all prepared corpora. */
  readonly folder: string;
  /** More folders in which the file of a fixed corpus may lie. */
  readonly searchFolders: readonly string[];
}

/** A run to begin, or one to continue, where settings may be changed. */
export type TrainingRequest =
  | {
      readonly kind: 'new';
      readonly config: TrainingConfig;
      readonly folder: string;
      readonly data: DataPlaces;
    }
  | {
      readonly kind: 'resume';
      readonly folder: string;
      readonly data: DataPlaces;
      readonly overrides: Readonly<Record<string, unknown>>;
    };

export interface TrainingObserver {
  /** A line for the user that is no measurement. */
  message(line: string): void;
  record(record: MetricsRecord): void;
  saved(step: number, path: string): void;
  prepare?(progress: PrepareProgress): void;
}

export interface TrainingResult {
  readonly end: TrainingEnd;
  readonly step: number;
  readonly tokens: number;
  readonly seconds: number;
  readonly best: BestEvaluation | null;
}

/** A training that is ready. */
export interface Training {
  readonly config: TrainingConfig;
  readonly folder: string;
  /** Where it goes on; step 0 for a new one. */
  readonly from: { step: number; tokens: number; seconds: number; bestBpc: number | undefined };
  /** A resumed run whose budgets are used up. */
  readonly isComplete: boolean;
  run(shouldStop: () => boolean): Promise<TrainingResult>;
  /** Gives the run folder back. */
  close(): Promise<void>;
}

/**
 * Opens the data, builds the model, takes the run folder. Nothing is written before data and model are known to be good.
 *
 * Throws ConfigError, DataError, RunFolderError, SafetensorsError or ArgumentError: bad input, each in one line.
 */
export async function openTraining(request: TrainingRequest, observer: TrainingObserver): Promise<Training> {
  if (request.kind === 'new') {
    const { config } = request;
    const parts = await buildParts(config, request.data, observer);
    if (config.initialWeights !== null) await loadInitialWeights(parts.model, config.initialWeights);
    const folder = await createRun(request.folder, asJson(config), folderOptions(config, observer));
    return assemble(config, parts, folder, observer);
  }
  return resume(request.folder, request.data, request.overrides, observer);
}

/** What a run cannot change once it has begun: its checkpoints would not fit, or it would be another run. */
const FIXED_SETTINGS =
  /^(model\..*|segmentLength|batchSize|seed|initialWeights|data\.name|optimizer\.(?!learningRate$).*)$/;

async function resume(
  path: string,
  data: DataPlaces,
  overrides: Readonly<Record<string, unknown>>,
  observer: TrainingObserver,
): Promise<Training> {
  const fixed = Object.keys(overrides).find((key) => FIXED_SETTINGS.test(key));
  if (fixed !== undefined)
    throw new ConfigError([`${fixed} cannot change in a run that is resumed; start a new run`]);
  const before = parseConfig(trainingSchema, await readRunConfig(path), join(path, CONFIG_NAME));
  const config = withOverrides(before, overrides);
  const parts = await buildParts(config, data, observer);
  const folder = await resumeRun(path, folderOptions(config, observer));
  try {
    for (const skipped of folder.skipped)
      observer.message(`passed over a damaged checkpoint: ${skipped.path}: ${skipped.reason}`);
    const training = await assemble(config, parts, folder, observer);
    if (Object.keys(overrides).length > 0) await folder.writeText(CONFIG_NAME, writeJson(asJson(config)));
    return training;
  } catch (error) {
    await folder.close();
    throw error;
  }
}

interface Parts {
  readonly model: CausalLanguageModel;
  readonly vocabulary: Vocabulary;
  readonly train: ByteCorpus;
  readonly valid: ByteCorpus;
}

/** Seeds, then makes everything that draws random numbers in a fixed order. */
async function buildParts(
  config: TrainingConfig,
  data: DataPlaces,
  observer: TrainingObserver,
): Promise<Parts> {
  checkDevice(config);
  const { name, path } = config.data;
  const prepared = await prepareCorpus(name, {
    folder: data.folder,
    from: path ?? undefined,
    searchFolders: data.searchFolders,
    onProgress: observer.prepare,
  });
  const [train, valid] = [openPrepared(prepared, 'train'), openPrepared(prepared, 'valid')];
  const vocabulary = vocabularyOf(config, train);
  setNumThreads(config.threads ?? availableParallelism());
  manualSeed(config.seed);
  const model = createLanguageModel(config.model);
  model.to({ device: config.device });
  return { model, vocabulary, train, valid };
}

function checkDevice({ device, precision }: TrainingConfig): void {
  if (device === 'cpu' && precision === 'float16')
    throw new ConfigError(['precision: float16 needs a GPU, on the CPU take float32 or bfloat16']);
  if (device !== 'cpu' && !isCudaAvailable())
    throw new ConfigError([
      `device: ${device} was asked for, but this libtorch sees no GPU; take --device cpu`,
    ]);
}

function vocabularyOf({ model, data }: TrainingConfig, train: ByteCorpus): Vocabulary {
  const { dictionaryStyle } = corpusDescriptor(data.name);
  const isReference = model.mode === 'reference';
  const vocabulary = isReference ? FairseqDictionary.fromCorpus(train, dictionaryStyle) : byteVocabulary;
  const { vocabularySize } = vocabulary;
  if (vocabularySize === model.vocabularySize) return vocabulary;
  const kind = isReference ? `the dictionary of ${data.name} (reference mode)` : 'bytes (consistent mode)';
  throw new ConfigError([
    `model.vocabularySize: expected ${vocabularySize} for ${kind}, received ${model.vocabularySize}; ` +
      `add --set model.vocabularySize=${vocabularySize}`,
  ]);
}

async function assemble(
  config: TrainingConfig,
  { model, vocabulary, train, valid }: Parts,
  folder: RunFolder,
  observer: TrainingObserver,
): Promise<Training> {
  const precision = new Precision(config.precision, config.device);
  const task = new LanguageModelTask({ model, config, vocabulary, train, valid, precision });
  const summary = new RunSummary(config, folder, train, model.countParameters());
  let stopAsked = () => false;
  const trainer = new Trainer({
    config,
    task,
    precision,
    folder,
    onRecord: (record) => {
      summary.add(record);
      observer.record(record);
    },
    onSaved: (step, path) => observer.saved(step, path),
    shouldStop: () => stopAsked(),
  });
  if (folder.newest !== undefined) await restoreTrainer(trainer, folder.newest);
  else if (vocabulary instanceof FairseqDictionary) await folder.writeText('dict.txt', vocabulary.toText());
  const { step, tokens, seconds, best } = trainer.counters;
  return {
    config,
    folder: folder.path,
    from: { step, tokens, seconds, bestBpc: best?.bpc },
    isComplete: trainer.isComplete(),
    run: async (shouldStop) => {
      stopAsked = shouldStop;
      const end = await trainer.run();
      const { skipped, skippedInARow, ...counted } = trainer.counters;
      const result = { end, ...counted };
      await summary.write(result);
      return result;
    },
    close: async () => {
      train.close();
      valid.close();
      await folder.close();
    },
  };
}

function folderOptions(config: TrainingConfig, observer: TrainingObserver) {
  return { onProblem: observer.message, keep: config.keepCheckpoints };
}

function asJson(config: TrainingConfig): JsonObject {
  return { ...config, model: { ...config.model } };
}
