/** Data, model and task of a configuration of any kind. */
import { availableParallelism } from 'node:os';
import { ConfigError, type TrainingConfig } from '@transformer-ls/formats';
import { isCudaAvailable, manualSeed, setNumThreads } from '@transformer-ls/torch';
import { classifierParts } from './classifier-parts.js';
import { imageParts } from './image-parts.js';
import { languageModelParts } from './language-model-parts.js';
import type { DataPlaces, Parts, PartsOptions } from './parts.js';
import { Precision } from './precision.js';

/**
 * Opens the data (prepared first where that has not been done), sets threads and seed, builds the model.
 *
 * Throws ConfigError or DataError in one line.
 */
export async function buildParts(
  config: TrainingConfig,
  places: DataPlaces,
  options: PartsOptions = {},
): Promise<Parts & { readonly precision: Precision }> {
  checkDevice(config);
  setNumThreads(config.threads ?? availableParallelism());
  manualSeed(config.seed);
  const precision = new Precision(config.precision, config.device);
  return { ...(await partsOf(config, places, precision, options)), precision };
}

function partsOf(
  config: TrainingConfig,
  places: DataPlaces,
  precision: Precision,
  options: PartsOptions,
): Promise<Parts> {
  switch (config.kind) {
    case 'training':
      return languageModelParts(config, places, precision, options.onProgress);
    case 'classifier-training':
      return classifierParts(config, places, precision, options.onProgress);
    case 'image-training':
      return imageParts(config, precision, options);
  }
}

function checkDevice({ device, precision }: TrainingConfig): void {
  if (device === 'cpu' && precision === 'float16')
    throw new ConfigError(['precision: float16 needs a GPU, on the CPU take float32 or bfloat16']);
  if (device !== 'cpu' && !isCudaAvailable())
    throw new ConfigError([
      `device: ${device} was asked for, but this libtorch sees no GPU; take --device cpu`,
    ]);
}
