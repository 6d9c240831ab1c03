/** Data, model and task of a configuration of any kind. */
import { availableParallelism } from 'node:os';
import { ConfigError, type TrainingConfig } from '@transformer-ls/formats';
import { isCudaAvailable, manualSeed, setNumThreads } from '@transformer-ls/torch';
import type { PrepareProgress } from '../data/prepare.js';
import { classifierParts } from './classifier-parts.js';
import { imageParts } from './image-parts.js';
import { languageModelParts } from './language-model-parts.js';
import { Precision } from './precision.js';
import type { TrainingTask } from './task.js';

/** Folders that hold data. */
export interface DataPlaces {
  /** Of all prepared corpora. */
  readonly folder: string;
  /** More folders in which the file of a fixed corpus may lie. */
  readonly searchFolders: readonly string[];
}

/** What the data of a run are, for its summary. */
export interface DataDescription {
  readonly name: string;
  readonly sha256: string | null;
  /** What results on them must not be reported as; empty where there is nothing to mistake. */
  readonly caution: string;
}

/** What a run is made of before it has a folder. */
export interface Parts {
  /** What was asked for, completed by what only the data tell, such as how many classes there are. */
  readonly config: TrainingConfig;
  readonly task: TrainingTask;
  readonly data: DataDescription;
  /** Text files without which the weights are of no use, such as a dictionary. */
  readonly companions: ReadonlyMap<string, string>;
  /** Closes the data. */
  close(): void | Promise<void>;
}

export interface PartsOptions {
  readonly onProgress?: ((progress: PrepareProgress) => void) | undefined;
  /** Receives lines for the user, such as what was found in the data. */
  readonly say?: ((line: string) => void) | undefined;
  /** Whether a vision model gets as many classes as its pictures have; else their numbers must agree. Default false. */
  readonly classesFromData?: boolean | undefined;
}

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
