/** Weights that a run starts from: those of another run or model, not its optimiser, schedule or memory (spec 3.8). */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { dispose, type Module, type Tensor } from '@transformer-ls/torch';
import { readNewestCheckpoint, verifyCheckpoint } from '../run/checkpoint.js';
import { RunFolderError } from '../run/errors.js';
import { CHECKPOINTS_NAME } from '../run/run-folder.js';
import { MODEL_FILE, readTensors } from './training-state.js';

/**
 * Loads weights into a model.
 *
 * @param path a `.safetensors` file, a checkpoint, a folder of checkpoints (`runs/a/best`), a run (its newest checkpoint), or the folder
 *   of a model
 * @param newHead receives a line where the weights are those of a classifier of other classes, and the head keeps its own; without it
 *   such weights do not fit
 *
 * Throws RunFolderError, SafetensorsError or ArgumentError in one line where there are none, or none that fit the model.
 */
export async function loadInitialWeights(
  model: Module,
  path: string,
  newHead?: (line: string) => void,
): Promise<void> {
  const tensors = await readTensors(await weightFile(path));
  try {
    const head = newHead === undefined ? undefined : otherHead(model, tensors);
    model.loadStateDict(new Map([...tensors, ...(head?.own ?? [])]));
    if (head !== undefined)
      newHead?.(
        `the head starts anew, for ${head.classes} classes in place of the ${head.before} of ${path}`,
      );
  } finally {
    dispose(tensors);
  }
}

/** The model's own head, where the weights have one for other classes. */
function otherHead(model: Module, tensors: ReadonlyMap<string, Tensor>) {
  const own = [...model.stateDict()].filter(([name]) => name.startsWith('head.'));
  const [classes, before] = [own[0]?.[1].size(0), tensors.get(own[0]?.[0] ?? '')?.size(0)];
  return before === undefined || before === classes ? undefined : { own, classes, before };
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
  if (await isThere(join(path, MODEL_FILE))) return join(path, MODEL_FILE);
  const { newest, skipped } = await readNewestCheckpoint(path);
  if (newest !== undefined) return join(newest.path, MODEL_FILE);
  const reason = skipped[0] === undefined ? 'it holds no checkpoint' : skipped[0].reason;
  throw new RunFolderError(`initialWeights: ${path}: ${reason}`);
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
