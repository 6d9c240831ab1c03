/** A model of a run as a model folder: weights, configuration and names in one place, in half precision where asked. */
import { dirname, join } from 'node:path';
import {
  type ExportedModel,
  fromFloat32,
  openSafetensors,
  type TensorEntry,
  toFloat32,
} from '@transformer-ls/formats';
import { DICTIONARY_NAME } from '../models/language-model/weights.js';
import { fileSource } from '../run/file-source.js';
import { writeJson } from '../run/json.js';
import { CLASSES_NAME } from '../weights/class-names.js';
import { openWeights } from '../weights/load.js';
import { PROVENANCE_NAME, writeModelFolder } from '../weights/model-folder.js';
import { type ModelPlace, TRAINING_NAME, textOrNothing } from '../weights/model-place.js';
import { ExportError } from './error.js';
import type { WeightType } from './stored-weights.js';

export interface ModelFolderReport {
  readonly files: readonly string[];
  /** Of the weights. */
  readonly parameters: number;
  /** Largest change of a weight, relative to the largest of its tensor; 0 for weights as they were. */
  readonly largestChange: number;
}

/**
 * Writes the weights of `place` with all that belongs to them. Every command takes the folder in place of the run.
 *
 * @throws ExportError where a weight is too large for float16; WeightsError or RunFolderError where the folder cannot be written
 */
export async function exportModelFolder(
  place: ModelPlace,
  folder: string,
  weights: Exclude<WeightType, 'int8'>,
  provenance: ExportedModel['provenance'],
): Promise<ModelFolderReport> {
  const source = await fileSource(place.weightsPath);
  try {
    const file = await openWeights(place.weightsPath, () => openSafetensors(source));
    const tensors = new Map<string, TensorEntry>();
    let largestChange = 0;
    let parameters = 0;
    for (const name of file.entries.keys()) {
      const entry = await file.read(name);
      const changed =
        weights === 'float16' && entry.dtype === 'F32' ? halved(name, entry) : { entry, change: 0 };
      tensors.set(name, changed.entry);
      largestChange = Math.max(largestChange, changed.change);
      parameters += entry.shape.reduce((product, size) => product * size, 1);
    }
    const texts = await companions(place);
    if (place.training !== undefined) texts.set(TRAINING_NAME, writeJson({ ...place.training }));
    texts.set(PROVENANCE_NAME, writeJson({ ...provenance }));
    await writeModelFolder(folder, { config: place.config, tensors, texts }, true);
    return { files: ['model.safetensors', 'config.json', ...texts.keys()], parameters, largestChange };
  } finally {
    await source.close();
  }
}

function halved(name: string, entry: TensorEntry): { entry: TensorEntry; change: number } {
  const before = toFloat32(entry);
  const half = fromFloat32(before, 'F16', entry.shape);
  const after = toFloat32(half);
  let largest = 0;
  let change = 0;
  before.forEach((value, i) => {
    if (!Number.isFinite(after[i]!) && Number.isFinite(value))
      throw new ExportError(`${name}: ${value} is too large for float16, at most 65504; choose float32`);
    largest = Math.max(largest, Math.abs(value));
    change = Math.max(change, Math.abs(value - after[i]!));
  });
  return { entry: half, change: largest === 0 ? 0 : change / largest };
}

/** Names of classes and dictionaries, beside the weights or in their run. */
async function companions({ weightsPath, run }: ModelPlace): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for (const name of [CLASSES_NAME, DICTIONARY_NAME])
    for (const folder of [dirname(weightsPath), ...(run === undefined ? [] : [run])]) {
      const text = texts.has(name) ? undefined : await textOrNothing(join(folder, name));
      if (text !== undefined) texts.set(name, text);
    }
  return texts;
}
