/** Data, model and task of a configuration of any kind. */
import { ConfigError, type TrainingConfig } from '@transformer-ls/formats';
import { isCudaAvailable, manualSeed, setNumThreads } from '@transformer-ls/torch';
import { classifierParts } from './classifier-parts.js';
import { imageParts } from './image-parts.js';
import { languageModelParts } from './language-model-parts.js';
import type { DataPlaces, Parts, PartsOptions } from './parts.js';
import { Precision } from './precision.js';
import { Ranks } from './ranks.js';
import { ownDevice, ownThreads, refuseUnequalShares } from './share-of-run.js';

/**
 * Opens the data (prepared first where that has not been done), sets threads and seed, builds the model. Of several processes each
 * gets its share of the data and its own device; the configuration stays that of the run.
 *
 * Throws ConfigError or DataError in one line.
 */
export async function buildParts(
  config: TrainingConfig,
  places: DataPlaces,
  options: PartsOptions = {},
): Promise<Parts & { readonly precision: Precision }> {
  const { ranks = Ranks.alone } = options;
  checkDevice(config);
  refuseUnequalShares(config, ranks);
  setNumThreads(ownThreads(config.threads, ranks));
  manualSeed(config.seed);
  const precision = new Precision(config.precision, config.device);
  const own = { ...config, device: ownDevice(config.device, ranks) };
  const parts = await partsOf(own, places, precision, options);
  return { ...parts, config: { ...parts.config, device: config.device }, precision };
}

function partsOf(
  config: TrainingConfig,
  places: DataPlaces,
  precision: Precision,
  options: PartsOptions,
): Promise<Parts> {
  switch (config.kind) {
    case 'training':
      return languageModelParts(config, places, precision, options);
    case 'classifier-training':
      return classifierParts(config, places, precision, options);
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
