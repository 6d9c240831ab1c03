/** The folder of an exported model: which files are an export's own, and how an earlier one makes room. */
import { join } from 'node:path';
import { EXPORT_MANIFEST_NAME } from '@transformer-ls/formats';
import { fileError } from '../data/errors.js';
import { TEMPORARY_PREFIX } from '../run/durable.js';
import { nodeFileSystem } from '../run/file-system.js';

export const WEIGHTS_FILE = 'weights.bin';

/** What a kind of model has: a text or picture at once, or tokens one by one and in blocks. */
export type GraphName = 'classify' | 'step' | 'block';

const OWN_NAMES = new Set([EXPORT_MANIFEST_NAME, WEIGHTS_FILE, 'classify.onnx', 'step.onnx', 'block.onnx']);

/** Names in a folder that no export wrote, whole or interrupted; none where there is no folder. @throws DataError for a file */
export async function strangersIn(folder: string): Promise<string[]> {
  const names = await nodeFileSystem.list(folder).catch((error) => {
    throw fileError('read', folder, error);
  });
  return names.filter((name) => !OWN_NAMES.has(name) && !name.startsWith(TEMPORARY_PREFIX)).sort();
}

/** Removes an earlier export, its manifest first: a folder with a manifest is whole at every moment. */
export async function clearExport(folder: string): Promise<void> {
  await nodeFileSystem.remove(join(folder, EXPORT_MANIFEST_NAME));
  await nodeFileSystem.syncFolder(folder);
  for (const name of await nodeFileSystem.list(folder))
    if (OWN_NAMES.has(name) || name.startsWith(TEMPORARY_PREFIX))
      await nodeFileSystem.remove(join(folder, name));
}
