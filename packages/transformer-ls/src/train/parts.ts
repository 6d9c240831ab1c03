/** What a run is made of, whatever its kind: data, model and task. */
import type { TrainingConfig } from '@transformer-ls/formats';
import type { PrepareProgress } from '../data/prepare.js';
import type { Ranks } from './ranks.js';
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
  /** The processes that train together. Default: this one alone. */
  readonly ranks?: Ranks | undefined;
}
