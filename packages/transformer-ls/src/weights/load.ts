/** Opening a weight file and copying it into a model. */
import { type LazySafetensors, SafetensorsError } from '@transformer-ls/formats';
import { ArgumentError, dispose, type Module, type Tensor } from '@transformer-ls/torch';
import { tensorOfEntry } from './tensor-entries.js';
import { WeightsError } from './weights-error.js';

/** Puts the file's name before what is wrong with it. */
export async function openWeights(
  path: string,
  open: () => Promise<LazySafetensors>,
): Promise<LazySafetensors> {
  try {
    return await open();
  } catch (error) {
    if (error instanceof SafetensorsError)
      throw new SafetensorsError(error.code, `${path}: ${error.message}`);
    throw error;
  }
}

/**
 * Copies every tensor of the file; the model is freed where they do not fit.
 *
 * @param change may replace tensors by others before they are copied; all in the map are freed at the end
 * @throws WeightsError in one line
 */
export async function fillWeights(
  model: Module,
  file: LazySafetensors,
  path: string,
  change: (tensors: Map<string, Tensor>) => void = () => undefined,
): Promise<void> {
  const tensors = new Map<string, Tensor>();
  try {
    for (const name of file.entries.keys()) tensors.set(name, tensorOfEntry(await file.read(name), name));
    change(tensors);
    model.loadStateDict(tensors);
  } catch (error) {
    model.dispose();
    if (error instanceof ArgumentError)
      throw new WeightsError(`${path}: ${error.message.replace(/^loadStateDict: /, '')}`);
    throw error;
  } finally {
    dispose(tensors);
  }
}
