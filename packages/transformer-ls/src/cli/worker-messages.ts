/** What `train` and the process that trains say to each other. */
import type { MetricsRecord } from '@transformer-ls/formats';
import type { TrainingResult } from '../train/trainer.js';
import type { TrainingRequest } from '../train/training.js';
import type { ProgressInfo } from './progress.js';

export type ToWorker =
  /**
   * `rankTimeout`: seconds after which a process gives up that waits for another one. `sequenceParallel`: processes that share every
   * sequence.
   */
  | {
      readonly type: 'begin';
      readonly request: TrainingRequest;
      readonly rankTimeout?: number;
      readonly sequenceParallel?: number;
    }
  | { readonly type: 'stop' };

export type FromWorker =
  | { readonly type: 'start'; readonly info: ProgressInfo; readonly folder: string }
  | { readonly type: 'record'; readonly record: MetricsRecord }
  | { readonly type: 'message'; readonly line: string }
  | { readonly type: 'saved'; readonly step: number; readonly path: string }
  /** `result` is null where the run had used up its budgets before. */
  | { readonly type: 'finished'; readonly result: TrainingResult | null }
  /** `isUsage`: the input was bad, nothing was trained. `reason`: another process is gone or does not answer. */
  | {
      readonly type: 'failed';
      readonly message: string;
      readonly name: string;
      readonly isUsage: boolean;
      readonly reason?: 'gone' | 'timeout' | undefined;
    };
