/** From a configuration to a training that is ready to run: data, model, task, run folder. */
import { join } from 'node:path';
import {
  ConfigError,
  type MetricsRecord,
  parseConfig,
  type TrainingConfig,
  trainingSchema,
} from '@transformer-ls/formats';
import { manualSeed } from '@transformer-ls/torch';
import type { PrepareProgress } from '../data/prepare.js';
import { verifyCheckpoint } from '../run/checkpoint.js';
import { followedRun } from '../run/followed-run.js';
import { type JsonObject, writeJson } from '../run/json.js';
import { removeDeadLock } from '../run/lock.js';
import {
  CONFIG_NAME,
  createRun,
  LOCK_NAME,
  type RunFolder,
  readRunConfig,
  resumeRun,
} from '../run/run-folder.js';
import { buildParts } from './build-parts.js';
import { loadInitialWeights } from './initial-weights.js';
import { withOverrides } from './overrides.js';
import type { DataPlaces } from './parts.js';
import { Ranks } from './ranks.js';
import { ownSeed } from './share-of-run.js';
import { RunSummary } from './summary.js';
import { Trainer, type TrainingResult } from './trainer.js';
import { restoreTrainer } from './training-state.js';

/** A run to begin, or one to continue, where settings may be changed. */
export type TrainingRequest =
  | {
      readonly kind: 'new';
      readonly config: TrainingConfig;
      readonly folder: string;
      readonly data: DataPlaces;
      /** Whether a vision model gets as many classes as its pictures have. Default false: they must agree. */
      readonly classesFromData?: boolean;
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

/** A training that is ready. */
export interface Training {
  readonly config: TrainingConfig;
  readonly folder: string;
  /** Its counters say where the run goes on: zeros for a new one. */
  readonly trainer: Trainer;
  /** Trains until a budget is used up or `shouldStop` says so; then curves, summary.json and results.md are written. */
  run(shouldStop: () => boolean): Promise<TrainingResult>;
  /** Gives the run folder back. */
  close(): Promise<void>;
}

/**
 * Opens the data, builds the model, takes the run folder. Nothing is written before data and model are known to be good.
 *
 * @param ranks the processes that train together, each of which calls this with the same request. The first one makes the data ready and
 *   has the folder, which all must see
 *
 * Throws ConfigError, DataError, RunFolderError, SafetensorsError or ArgumentError: bad input, each in one line.
 */
export async function openTraining(
  asked: TrainingRequest,
  observer: TrainingObserver,
  ranks: Ranks = Ranks.alone,
): Promise<Training> {
  // Each process has looked for a folder of its own that is free.
  const request = await ranks.told(() => asked);
  if (request.kind === 'resume')
    return resume(request.folder, request.data, request.overrides, observer, ranks);
  const options = { ...partsOptions(observer, ranks), classesFromData: request.classesFromData };
  const parts = await ranks.firstAlone(() => buildParts(request.config, request.data, options));
  return closingOnError(parts, async () => {
    const { config } = parts;
    await startFromWeights(parts, observer);
    const folder = await openFolder(request.folder, config, ranks, () =>
      createRun(request.folder, asJson(config), folderOptions(config, observer, ranks)),
    );
    for (const [name, text] of parts.companions) await folder.writeText(name, text);
    return assemble(parts, folder, observer, ranks);
  });
}

/** The first process opens it; the others learn where the run goes on. */
async function openFolder(
  path: string,
  config: TrainingConfig,
  ranks: Ranks,
  open: () => Promise<RunFolder>,
): Promise<RunFolder> {
  let opened: RunFolder | undefined;
  if (ranks.share.world > 1) {
    // The process that wrote before may have run, and died, on any of the machines.
    await removeDeadLock(join(path, LOCK_NAME));
    ranks.sum([0]);
  }
  const newest = await ranks.told(async () => {
    opened = await open();
    return opened.newest?.path ?? null;
  });
  if (opened !== undefined) return opened;
  return followedRun(path, asJson(config), newest === null ? undefined : await verifyCheckpoint(newest));
}

/** What a run cannot change once it has begun: its checkpoints would not fit, or it would be another run. */
const FIXED_SETTINGS =
  /^(model\..*|segmentLength|documentLength|batchSize|seed|initialWeights|emaDecay|augmentation\..*|data\.(?!path$).*|optimizer\.(?!learningRate$).*)$/;

async function resume(
  path: string,
  data: DataPlaces,
  overrides: Readonly<Record<string, unknown>>,
  observer: TrainingObserver,
  ranks: Ranks,
): Promise<Training> {
  const fixed = Object.keys(overrides).find((key) => FIXED_SETTINGS.test(key));
  if (fixed !== undefined)
    throw new ConfigError([`${fixed} cannot change in a run that is resumed; start a new run`]);
  const parts = await ranks.firstAlone(async () => {
    const before = parseConfig(trainingSchema, await readRunConfig(path), join(path, CONFIG_NAME));
    return buildParts(withOverrides(before, overrides), data, partsOptions(observer, ranks));
  });
  return closingOnError(parts, () => resumeWith(path, parts, overrides, observer, ranks));
}

async function resumeWith(
  path: string,
  parts: OpenParts,
  overrides: Readonly<Record<string, unknown>>,
  observer: TrainingObserver,
  ranks: Ranks,
): Promise<Training> {
  const { config } = parts;
  const folder = await openFolder(path, config, ranks, () =>
    resumeRun(path, folderOptions(config, observer, ranks)),
  );
  try {
    for (const skipped of folder.skipped)
      observer.message(`passed over a damaged checkpoint: ${skipped.path}: ${skipped.reason}`);
    if (folder.newest === undefined) await startFromWeights(parts, observer);
    const training = assemble(parts, folder, observer, ranks);
    if (folder.newest !== undefined) await restoreTrainer(training.trainer, folder.newest);
    if (Object.keys(overrides).length > 0) await folder.writeText(CONFIG_NAME, writeJson(asJson(config)));
    return training;
  } catch (error) {
    await folder.close();
    throw error;
  }
}

type OpenParts = Awaited<ReturnType<typeof buildParts>>;

/** Data that nobody will read any more are closed. */
async function closingOnError<T>({ close }: OpenParts, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    await close();
    throw error;
  }
}

/** A vision model may be one that knew other classes. */
async function startFromWeights({ config, task }: OpenParts, { message }: TrainingObserver): Promise<void> {
  const { initialWeights, kind } = config;
  if (initialWeights === null) return;
  await loadInitialWeights(task.model, initialWeights, kind === 'image-training' ? message : undefined);
}

function partsOptions({ prepare, message }: TrainingObserver, ranks: Ranks) {
  return { onProgress: prepare, say: message, ranks };
}

function assemble(
  { config, task, precision, data, close }: OpenParts,
  folder: RunFolder,
  observer: TrainingObserver,
  ranks: Ranks,
): Training {
  // All begin with the same weights, and draw different random numbers from here on.
  ranks.broadcast(task.model.stateDict().values());
  if (!ranks.isFirst) manualSeed(ownSeed(config.seed, ranks, 0));
  const summary = new RunSummary(config, folder, data, task);
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
    ranks,
  });
  return {
    config,
    folder: folder.path,
    trainer,
    run: async (shouldStop) => {
      stopAsked = shouldStop;
      const end = await trainer.run();
      const { step, tokens, seconds, best } = trainer.counters;
      const result = { end, step, tokens, seconds, best };
      await summary.write(result);
      ranks.leave();
      return result;
    },
    close: async () => {
      await close();
      await folder.close();
    },
  };
}

function folderOptions(config: TrainingConfig, observer: TrainingObserver, ranks: Ranks) {
  return { onProblem: observer.message, keep: config.keepCheckpoints, lockPatience: ranks.patience };
}

function asJson(config: TrainingConfig): JsonObject {
  return { ...config, model: { ...config.model } };
}
