import { basename, dirname, join } from 'node:path';
import { safetensorsChunks, type WritableTensors } from '@transformer-ls/formats';
import { messageOf, oneLine } from '../text/one-line.js';
import {
  digestFile,
  type FileDigest,
  readSmallFile,
  removeLeftovers,
  removeQuietly,
  temporaryPath,
  writeDurably,
} from './durable.js';
import { RunFolderError, runFolderError } from './errors.js';
import { errorCode, type FileSystem, nodeFileSystem } from './file-system.js';
import { isJsonObject, type JsonObject, writeJson } from './json.js';
import { checkName, MANIFEST_NAME, type Manifest, parseManifest, writeManifest } from './manifest.js';

/** Content of one safetensors file. Tensors whose data are functions are asked for when their turn comes: no second copy. */
export interface TensorFile {
  readonly tensors: WritableTensors;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Everything a run needs to continue as if it had never stopped. */
export interface CheckpointContent {
  readonly step: number;
  /** File name (such as `model.safetensors`) to what it holds. */
  readonly files: ReadonlyMap<string, TensorFile>;
  /** Written as `state.json`: data position, RNG state, schedule and whatever else is not a tensor. */
  readonly state: JsonObject;
}

/** A checkpoint whose every byte has been checked against its manifest. */
export interface Checkpoint {
  readonly path: string;
  readonly step: number;
  /** Names of the tensor files in `path`. */
  readonly files: readonly string[];
  readonly state: JsonObject;
}

export interface SkippedCheckpoint {
  readonly path: string;
  readonly reason: string;
}

/** Place of one checkpoint folder; nothing is known of its content. */
export interface CheckpointPlace {
  readonly path: string;
  readonly step: number;
  /** 1, or higher where the same step was written again. */
  readonly attempt: number;
}

export interface WriteOptions {
  /** How many verified checkpoints stay, the new one included. Default 2. */
  readonly keep?: number;
  readonly fileSystem?: FileSystem;
}

export const STATE_NAME = 'state.json';

const FOLDER_NAME = /^step-(\d{8,15})(?:-([2-9]|[1-9]\d+))?$/;
const LARGEST_STATE = 256 * 1024 * 1024;
const LARGEST_MANIFEST = 1024 * 1024;

/**
 * Writes `folder/step-<step>/` so that a crash at any moment leaves the older checkpoints whole: into a temporary
 * folder, every file synced, the manifest last, then one rename. Older checkpoints go only after the new one is
 * durable, and only while `keep` that verify remain. A best checkpoint is the same with `keep: 1` in its own folder.
 *
 * Later steps than this one belong to a course of training that was given up (the run was resumed from an earlier
 * checkpoint), and go too.
 *
 * Errors: RunFolderError in one line (disk full, read-only, no permission, a file in the way); the older checkpoints
 * are untouched then. TypeError, RangeError or SafetensorsError where `content` or `keep` cannot be written as given.
 */
export async function writeCheckpoint(
  folder: string,
  content: CheckpointContent,
  options: WriteOptions = {},
): Promise<string> {
  const { keep = 2, fileSystem = nodeFileSystem } = options;
  if (!Number.isInteger(keep) || keep < 1) throw new RangeError(`keep must be at least 1, got ${keep}`);
  const name = folderName(content.step);
  const files = new Map([...content.files].map(([file, held]) => [checkName(file), piecesOf(held)]));
  files.set(STATE_NAME, [encode(writeJson(content.state))]);
  try {
    await fileSystem.makeFolder(folder);
    const path = await writeFolder(fileSystem, join(folder, name), content.step, files);
    await prune(fileSystem, folder, path, content.step, keep);
    return path;
  } catch (error) {
    throw await runFolderError(error, `write the checkpoint of step ${content.step}`, folder, fileSystem);
  }
}

/** The checkpoints in a folder, newest first, unchecked. Other files and folders are passed over. */
export async function listCheckpoints(
  folder: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<CheckpointPlace[]> {
  const places: CheckpointPlace[] = [];
  for (const name of await fileSystem.list(folder)) {
    const [, step, attempt = '1'] = FOLDER_NAME.exec(name) ?? [];
    if (step !== undefined)
      places.push({ path: join(folder, name), step: Number(step), attempt: Number(attempt) });
  }
  return places.sort((a, b) => b.step - a.step || b.attempt - a.attempt);
}

/**
 * The newest checkpoint that verifies, with the newer ones that do not and why.
 *
 * Errors: RunFolderError where the folder itself cannot be read.
 */
export async function readNewestCheckpoint(
  folder: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<{ readonly newest: Checkpoint | undefined; readonly skipped: readonly SkippedCheckpoint[] }> {
  const skipped: SkippedCheckpoint[] = [];
  let places: CheckpointPlace[];
  try {
    places = await listCheckpoints(folder, fileSystem);
  } catch (error) {
    throw await runFolderError(error, 'read the checkpoints', folder, fileSystem);
  }
  for (const place of places) {
    try {
      return { newest: await verifyCheckpoint(place.path, fileSystem), skipped };
    } catch (error) {
      skipped.push({ path: place.path, reason: error instanceof Error ? error.message : String(error) });
    }
  }
  return { newest: undefined, skipped };
}

/**
 * Checks every size and hash of one checkpoint folder and reads its state.
 *
 * Errors: RunFolderError naming the file at fault.
 */
export async function verifyCheckpoint(
  path: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<Checkpoint> {
  const manifest = await readManifest(path, fileSystem);
  const step = Number(FOLDER_NAME.exec(basename(path))?.[1] ?? manifest.step);
  if (step !== manifest.step) throw damaged(MANIFEST_NAME, `it belongs to step ${manifest.step}`);
  for (const [name, expected] of manifest.files) await verifyFile(fileSystem, join(path, name), expected);
  if (!manifest.files.has(STATE_NAME)) throw damaged(MANIFEST_NAME, `it does not list ${STATE_NAME}`);
  const files = [...manifest.files.keys()].filter((name) => name !== STATE_NAME);
  return { path, step: manifest.step, files, state: await readState(path, fileSystem) };
}

/** Deletes the unfinished folders that a stopped process left in a checkpoint folder. Returns their names. */
export async function removeUnfinishedCheckpoints(
  folder: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<string[]> {
  try {
    return await removeLeftovers(fileSystem, folder);
  } catch (error) {
    throw await runFolderError(error, 'delete unfinished checkpoints', folder, fileSystem);
  }
}

type Pieces = Iterable<Uint8Array>;

function piecesOf({ tensors, metadata }: TensorFile): Pieces {
  return safetensorsChunks(tensors, metadata);
}

async function writeFolder(
  fileSystem: FileSystem,
  wanted: string,
  step: number,
  files: ReadonlyMap<string, Pieces>,
): Promise<string> {
  const folder = dirname(wanted);
  const temporary = temporaryPath(wanted);
  try {
    await fileSystem.makeFolder(temporary);
    await writeFiles(fileSystem, temporary, step, files);
    const path = join(folder, await freeName(fileSystem, folder, step));
    await fileSystem.rename(temporary, path);
    await fileSystem.syncFolder(folder);
    return path;
  } catch (error) {
    await removeQuietly(fileSystem, temporary);
    throw error;
  }
}

async function writeFiles(
  fileSystem: FileSystem,
  path: string,
  step: number,
  files: ReadonlyMap<string, Pieces>,
): Promise<void> {
  const digests = new Map<string, FileDigest>();
  for (const [name, pieces] of files) {
    digests.set(name, await writeDurably(fileSystem, join(path, name), pieces));
  }
  await fileSystem.syncFolder(path);
  await writeDurably(fileSystem, join(path, MANIFEST_NAME), [
    encode(writeManifest({ step, files: digests })),
  ]);
  await fileSystem.syncFolder(path);
}

/** A step may be written twice: the second time under a new name, so that the first stays until the second is whole. */
async function freeName(fileSystem: FileSystem, folder: string, step: number): Promise<string> {
  const same = (await listCheckpoints(folder, fileSystem)).filter((place) => place.step === step);
  const taken = same[0]?.attempt ?? 0;
  return taken === 0 ? folderName(step) : `${folderName(step)}-${taken + 1}`;
}

function folderName(step: number): string {
  if (!Number.isSafeInteger(step) || step < 0 || step >= 1e15) {
    throw new RangeError(`step must be a whole number from 0 to 10^15 - 1, got ${step}`);
  }
  return `step-${String(step).padStart(8, '0')}`;
}

async function prune(
  fileSystem: FileSystem,
  folder: string,
  written: string,
  step: number,
  keep: number,
): Promise<void> {
  const doomed: string[] = [];
  let good = 1;
  for (const place of await listCheckpoints(folder, fileSystem)) {
    if (place.path === written) continue;
    const spare = place.step >= step || good >= keep || !(await verifies(place.path, fileSystem));
    if (spare) doomed.push(place.path);
    else good++;
  }
  for (const path of doomed) await removeCheckpoint(fileSystem, path);
}

/** Renamed first: a deletion that is cut short must not leave a folder that looks like a checkpoint. */
async function removeCheckpoint(fileSystem: FileSystem, path: string): Promise<void> {
  const temporary = temporaryPath(path);
  await fileSystem.rename(path, temporary);
  await fileSystem.remove(temporary);
}

async function verifies(path: string, fileSystem: FileSystem): Promise<boolean> {
  try {
    await verifyCheckpoint(path, fileSystem);
    return true;
  } catch {
    return false;
  }
}

async function readManifest(path: string, fileSystem: FileSystem): Promise<Manifest> {
  try {
    return parseManifest(await readSmallFile(fileSystem, join(path, MANIFEST_NAME), LARGEST_MANIFEST));
  } catch (error) {
    throw damaged(MANIFEST_NAME, explain(error));
  }
}

async function readState(path: string, fileSystem: FileSystem): Promise<JsonObject> {
  try {
    const bytes = await readSmallFile(fileSystem, join(path, STATE_NAME), LARGEST_STATE);
    const state: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    if (isJsonObject(state)) return state;
  } catch (error) {
    throw damaged(STATE_NAME, explain(error));
  }
  throw damaged(STATE_NAME, 'it is not a JSON object');
}

async function verifyFile(fileSystem: FileSystem, path: string, expected: FileDigest): Promise<void> {
  const found = await digestFile(fileSystem, path).catch((error: unknown) => {
    throw damaged(basename(path), explain(error));
  });
  if (found.size !== expected.size) {
    throw damaged(basename(path), `${expected.size} bytes were written, ${found.size} are there`);
  }
  if (found.sha256 !== expected.sha256)
    throw damaged(basename(path), 'its bytes changed after they were written');
}

function explain(error: unknown): string {
  if (errorCode(error) === 'ENOENT') return 'it is missing';
  return oneLine(messageOf(error));
}

function damaged(file: string, reason: string): RunFolderError {
  return new RunFolderError(`${file}: ${reason}`);
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
