/** What part of the work is this process's, where several train together. Sums of the parts are what one process alone would do. */

export interface Share {
  /** Number of the process, from 0. */
  readonly rank: number;
  /** How many there are. */
  readonly world: number;
}

/** Of a process that trains alone. */
export const WHOLE: Share = { rank: 0, world: 1 };

/** A range of neighbours. */
export interface Range {
  readonly first: number;
  readonly count: number;
}

/** Neighbours of `total` things; shares differ by one where they cannot be equal, and may be empty. */
export function rangeOf(total: number, { rank, world }: Share): Range {
  const start = (number: number) => Math.floor((total * number) / world);
  return { first: start(rank), count: start(rank + 1) - start(rank) };
}

/**
 * Rows of a batch, in their order: each with the one at the same place from the end, since pictures are mixed with that one, and since
 * in batches sorted by length the shortest goes with the longest. Neighbours where a share is an odd number.
 *
 * @param batchSize a multiple of the number of processes
 */
export function rowsOf(batchSize: number, share: Share): Uint32Array {
  const { first, count } = rangeOf(batchSize, share);
  const rows = Uint32Array.from({ length: count }, (_, i) => first + i);
  if (count % 2 === 1) return rows;
  const half = count / 2;
  const start = share.rank * half;
  return rows.map((_, i) => (i < half ? start + i : batchSize - start - count + i));
}
