/** Weights that a run starts from: those of another run, not its optimiser, schedule or memory (spec 3.8). */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { dispose, type Module } from '@transformer-ls/torch';
import { readNewestCheckpoint, verifyCheckpoint } from '../run/checkpoint.js';
import { RunFolderError } from '../run/errors.js';
import { CHECKPOINTS_NAME } from '../run/run-folder.js';
import { MODEL_FILE, readTensors } from './training-state.js';

/**
 * Loads weights into a model.
 *
 * @param path a `.safetensors` file, a checkpoint, a folder of checkpoints (`runs/a/best`), or a run (its newest checkpoint)
 *
 * Throws RunFolderError, SafetensorsError or ArgumentError in one line where there are none, or none that fit the model.
 */
export async function loadInitialWeights(model: Module, path: string): Promise<void> {
  const tensors = await readTensors(await weightFile(path));
  try {
    model.loadStateDict(tensors);
  } finally {
    dispose(tensors);
  }
}

async function weightFile(path: string): Promise<string> {
  if (await isThere(join(path, CHECKPOINTS_NAME))) return weightFile(join(path, CHECKPOINTS_NAME));
  if (await isThere(join(path, 'manifest.json')))
    return join((await verifyCheckpoint(path)).path, MODEL_FILE);
  const stats = await stat(path).catch(() => undefined);
  if (stats === undefined)
    throw new RunFolderError(
      `initialWeights: ${path}: no such file or folder; give --initial-weights <run or file>`,
    );
  if (!stats.isDirectory()) return path;
  const { newest, skipped } = await readNewestCheckpoint(path);
  if (newest !== undefined) return join(newest.path, MODEL_FILE);
  const reason = skipped[0] === undefined ? 'it holds no checkpoint' : skipped[0].reason;
  throw new RunFolderError(`initialWeights: ${path}: ${reason}`);
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
