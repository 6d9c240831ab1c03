/** Writing a model folder as a whole: at every moment there is either nothing, the old folder, or the whole new one. */
import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { safetensorsChunks, type TensorEntry } from '@transformer-ls/formats';
import { DICTIONARY_NAME } from '../models/language-model/weights.js';
import { removeQuietly, temporaryPath, writeDurably } from '../run/durable.js';
import { runFolderError } from '../run/errors.js';
import { errorCode, nodeFileSystem } from '../run/file-system.js';
import { writeJson } from '../run/json.js';
import { CONFIG_NAME } from '../run/run-folder.js';
import { CLASSES_NAME } from './class-names.js';
import { CONFIG_KEY, type ModelConfig, TRAINING_NAME, WEIGHTS_NAME } from './model-place.js';
import { WeightsError } from './weights-error.js';

/** Where imported or exported weights come from. */
export const PROVENANCE_NAME = 'provenance.json';

export interface ModelContent {
  readonly config: ModelConfig;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** File name → text of what lies beside the weights. */
  readonly texts: ReadonlyMap<string, string>;
}

/** What may lie in a folder that is replaced: a folder with anything else is somebody's own. */
const REPLACEABLE = [
  WEIGHTS_NAME,
  CONFIG_NAME,
  CLASSES_NAME,
  DICTIONARY_NAME,
  PROVENANCE_NAME,
  TRAINING_NAME,
];

/** @throws WeightsError in one line where a folder is there that must not be replaced, or a file */
export async function checkModelFolder(folder: string, force: boolean): Promise<void> {
  const names = await namesIn(folder);
  if (names.length === 0) return;
  if (!force) throw new WeightsError(`${folder}: is not empty; --force replaces a model that lies there`);
  const others = names.filter((name) => !REPLACEABLE.includes(name) && !/^evaluation[\w.-]*$/.test(name));
  if (others.length > 0)
    throw new WeightsError(
      `${folder}: expected a model folder, which would be replaced, received one with ${others.slice(0, 5).join(', ')}`,
    );
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    if ((await stat(folder)).isDirectory()) return await readdir(folder);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw await runFolderError(error, 'read the folder', folder, nodeFileSystem);
  }
  throw new WeightsError(`${folder}: is a file, expected a folder or nothing`);
}

/** @throws WeightsError as `checkModelFolder`, RunFolderError where the disk refuses; nothing is left behind then */
export async function writeModelFolder(folder: string, content: ModelContent, force: boolean): Promise<void> {
  await checkModelFolder(folder, force);
  const made = temporaryPath(folder);
  try {
    await nodeFileSystem.makeFolder(made);
    await writeFiles(made, content);
    await nodeFileSystem.syncFolder(made);
    await swap(made, folder);
  } catch (error) {
    await removeQuietly(nodeFileSystem, made);
    throw error instanceof WeightsError
      ? error
      : await runFolderError(error, 'write the model', folder, nodeFileSystem);
  }
}

async function writeFiles(folder: string, { config, tensors, texts }: ModelContent): Promise<void> {
  const encode = (text: string) => [new TextEncoder().encode(text)];
  const metadata = { format: 'transformer-ls', [CONFIG_KEY]: JSON.stringify(config) };
  await writeDurably(nodeFileSystem, join(folder, WEIGHTS_NAME), safetensorsChunks(tensors, metadata));
  await writeDurably(nodeFileSystem, join(folder, CONFIG_NAME), encode(writeJson({ ...config })));
  for (const [name, text] of texts) await writeDurably(nodeFileSystem, join(folder, name), encode(text));
}

/** Puts a finished folder in its place; what was there goes only after that. */
async function swap(made: string, folder: string): Promise<void> {
  const old = (await namesIn(folder)).length > 0 ? temporaryPath(folder) : undefined;
  if (old !== undefined) await nodeFileSystem.rename(folder, old);
  try {
    await nodeFileSystem.rename(made, folder);
  } catch (error) {
    if (old !== undefined) await nodeFileSystem.rename(old, folder);
    throw error;
  }
  await nodeFileSystem.syncFolder(dirname(folder));
  if (old !== undefined) await removeQuietly(nodeFileSystem, old);
}
