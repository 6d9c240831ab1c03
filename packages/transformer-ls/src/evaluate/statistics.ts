/** What several runs of the same recipe come to. */

export interface MeanAndSpread {
  readonly mean: number;
  /** Sample standard deviation (divided by n - 1); null for a single value. */
  readonly standardDeviation: number | null;
  readonly count: number;
}

/** @throws RangeError for no values */
export function meanAndSpread(values: readonly number[]): MeanAndSpread {
  const count = values.length;
  if (count === 0) throw new RangeError('meanAndSpread: expected at least one value, received none');
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, standardDeviation: count === 1 ? null : Math.sqrt(squares / (count - 1)), count };
}
