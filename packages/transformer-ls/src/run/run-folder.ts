import { basename, dirname, join, resolve } from 'node:path';
import { closestName } from '@transformer-ls/formats';
import {
  type Checkpoint,
  type CheckpointContent,
  readNewestCheckpoint,
  removeUnfinishedCheckpoints,
  type SkippedCheckpoint,
  writeCheckpoint,
} from './checkpoint.js';
import { readSmallFile, removeLeftovers, replaceFile } from './durable.js';
import { RunFolderError, runFolderError } from './errors.js';
import { errorCode, type FileSystem, nodeFileSystem } from './file-system.js';
import { isJsonObject, type JsonObject, writeJson } from './json.js';
import { type Lock, takeLock } from './lock.js';
import { METRICS_NAME, type MetricsLog, openMetricsLog } from './metrics-log.js';

/** The folder of one run, locked for this process until `close`. */
export interface RunFolder {
  readonly path: string;
  /** The full configuration the run was started with. */
  readonly config: JsonObject;
  readonly log: MetricsLog;
  /** Where to continue; undefined where the run begins at its first step. */
  readonly newest: Checkpoint | undefined;
  /** Newer checkpoints that did not verify, for the user to know of. */
  readonly skipped: readonly SkippedCheckpoint[];
  /** Makes the metrics durable, then the checkpoint. Returns its folder. */
  writeCheckpoint(content: CheckpointContent): Promise<string>;
  /** The same for the best checkpoint so far; the old best stays until the new one is durable. */
  writeBest(content: CheckpointContent): Promise<string>;
  /** Replaces a text file of the run, such as `curve-bpc.svg`, as a whole. */
  writeText(name: string, text: string): Promise<void>;
  /** Flushes the metrics and gives the lock back. */
  close(): Promise<void>;
}

export interface RunFolderOptions {
  /** Receives one line for each problem that does not stop the run. */
  readonly onProblem: (line: string) => void;
  /** How many checkpoints to keep. Default 2. */
  readonly keep?: number;
  readonly fileSystem?: FileSystem;
  readonly now?: () => Date;
  /** Seconds to wait for another process that still uses the run, but is about to end. Default 0. */
  readonly lockPatience?: number;
}

export const CONFIG_NAME = 'config.json';
export const CHECKPOINTS_NAME = 'checkpoints';
export const BEST_NAME = 'best';
export const LOCK_NAME = 'lock';
const MARKS_OF_A_RUN = [CONFIG_NAME, METRICS_NAME, CHECKPOINTS_NAME, BEST_NAME];
const LARGEST_CONFIG = 16 * 1024 * 1024;

/**
 * Starts a run in a new or empty folder.
 *
 * Errors: RunFolderError in one line where the folder holds a run already, another process uses it, or the disk
 * refuses.
 */
export async function createRun(
  path: string,
  config: JsonObject,
  options: RunFolderOptions,
): Promise<RunFolder> {
  const text = writeJson(config);
  return withLock(path, options, async (lock, fileSystem) => {
    await refuseOtherRun(path, fileSystem);
    await removeLeftovers(fileSystem, path);
    await replaceFile(fileSystem, join(path, CONFIG_NAME), [new TextEncoder().encode(text)]);
    return openFolder(path, config, lock, { newest: undefined, skipped: [] }, options);
  });
}

/**
 * Continues a run from its newest checkpoint that verifies (else from its best one), with the metrics cut back to it.
 *
 * Errors: RunFolderError in one line where there is no run, none of its checkpoints verifies, another process uses
 * it, or the disk refuses.
 */
export async function resumeRun(path: string, options: RunFolderOptions): Promise<RunFolder> {
  const config = await readRunConfig(path, options.fileSystem);
  return withLock(path, options, async (lock, fileSystem) => {
    for (const folder of [path, join(path, CHECKPOINTS_NAME), join(path, BEST_NAME)]) {
      await removeUnfinishedCheckpoints(folder, fileSystem);
    }
    return openFolder(path, config, lock, await findCheckpoint(path, fileSystem), options);
  });
}

/**
 * The configuration of a run, as it was written; its fields are for the caller to check.
 *
 * Errors: RunFolderError where there is no run at `path`, with the name of a neighbour that may have been meant.
 */
export async function readRunConfig(
  path: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<JsonObject> {
  const place = join(path, CONFIG_NAME);
  try {
    const bytes = await readSmallFile(fileSystem, place, LARGEST_CONFIG);
    const config: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    if (isJsonObject(config)) return config;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') throw await noRunAt(path, fileSystem);
    throw await runFolderError(error, 'read the configuration', place, fileSystem);
  }
  throw new RunFolderError(`${place}: expected a JSON object`);
}

type Found = Awaited<ReturnType<typeof readNewestCheckpoint>>;

async function withLock(
  path: string,
  options: RunFolderOptions,
  work: (lock: Lock, fileSystem: FileSystem) => Promise<RunFolder>,
): Promise<RunFolder> {
  const { fileSystem = nodeFileSystem, now = () => new Date(), lockPatience: seconds = 0 } = options;
  let lock: Lock | undefined;
  try {
    await fileSystem.makeFolder(path);
    lock = await takeLock(join(path, LOCK_NAME), now(), {
      seconds,
      onWait: (line) => options.onProblem(`waiting: ${line}`),
    });
    return await work(lock, fileSystem);
  } catch (error) {
    await lock?.release();
    throw await runFolderError(error, 'open the run folder', path, fileSystem);
  }
}

async function openFolder(
  path: string,
  config: JsonObject,
  lock: Lock,
  { newest, skipped }: Found,
  options: RunFolderOptions,
): Promise<RunFolder> {
  const { fileSystem = nodeFileSystem, keep = 2 } = options;
  const log = await openMetricsLog(path, {
    ...options,
    ...(newest === undefined ? {} : { resumeStep: newest.step }),
  });
  const save = async (name: string, content: CheckpointContent, kept: number): Promise<string> => {
    await log.flush();
    return writeCheckpoint(join(path, name), content, { keep: kept, fileSystem });
  };
  return {
    path,
    config,
    log,
    newest,
    skipped,
    writeCheckpoint: (content) => save(CHECKPOINTS_NAME, content, keep),
    writeBest: (content) => save(BEST_NAME, content, 1),
    writeText: (name, text) => writeTextFile(join(path, name), text, fileSystem),
    close: async () => {
      await log.close();
      await lock.release();
    },
  };
}

async function refuseOtherRun(path: string, fileSystem: FileSystem): Promise<void> {
  const names = await fileSystem.list(path);
  const found = MARKS_OF_A_RUN.filter((mark) => names.includes(mark));
  if (found.length === 0) return;
  throw new RunFolderError(
    `${path} already holds a run (${found.join(', ')}): resume it or choose another folder`,
  );
}

async function findCheckpoint(path: string, fileSystem: FileSystem): Promise<Found> {
  const { newest, skipped } = await readNewestCheckpoint(join(path, CHECKPOINTS_NAME), fileSystem);
  if (newest !== undefined) return { newest, skipped };
  const best = await readNewestCheckpoint(join(path, BEST_NAME), fileSystem);
  const all = [...skipped, ...best.skipped];
  if (best.newest === undefined && all.length > 0) throw noneVerifies(path, all);
  return { newest: best.newest, skipped: all };
}

/** Beginning again would look like success and lose the run: the user has to decide that. */
function noneVerifies(path: string, skipped: readonly SkippedCheckpoint[]): RunFolderError {
  const reasons = skipped.map((one) => `${basename(one.path)}: ${one.reason}`).join('; ');
  return new RunFolderError(`${path}: none of its ${skipped.length} checkpoints is whole (${reasons})`);
}

async function noRunAt(path: string, fileSystem: FileSystem): Promise<RunFolderError> {
  const whole = resolve(path);
  const neighbours = await fileSystem.list(dirname(whole)).catch(() => []);
  const near = closestName(
    basename(whole),
    neighbours.filter((name) => name !== basename(whole)),
  );
  const hint = near === undefined ? '' : `; did you mean ${join(dirname(path), near)}?`;
  return new RunFolderError(`${path}: no run here (${CONFIG_NAME} is missing)${hint}`);
}

async function writeTextFile(path: string, text: string, fileSystem: FileSystem): Promise<void> {
  try {
    await replaceFile(fileSystem, path, [new TextEncoder().encode(text)]);
  } catch (error) {
    throw await runFolderError(error, 'write', path, fileSystem);
  }
}
