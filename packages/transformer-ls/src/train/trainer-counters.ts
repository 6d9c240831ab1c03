/** What a trainer counts. */

export interface BestEvaluation {
  readonly step: number;
  readonly loss: number;
  readonly bpc: number | null;
  readonly accuracy: number | null;
}

/** What a trainer counts; all of it survives a stop. */
export interface TrainerCounters {
  /** Updates done, those that were skipped included: their data are used up. */
  step: number;
  tokens: number;
  /** Seconds of training, over all resumes. */
  seconds: number;
  /** Updates skipped because of numbers that are not finite: in all, and in a row until now. */
  skipped: number;
  skippedInARow: number;
  best: BestEvaluation | null;
}
