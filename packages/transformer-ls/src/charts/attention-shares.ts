/**
 * Attention weights as multiples of an even share, which is what a heat map shows. A weight of a softmax over k entries is
 * `k * weight` times an even share.
 *
 * Shape letters: L tokens, C compressed keys that a token sees, R rank.
 */
import type {
  HeadWeights,
  LayerWeights,
  Matrix,
  WindowWeights,
} from '../models/sequence-classifier/attention-weights.js';

/** Some tokens, `to` not among them. */
export interface TokenRange {
  readonly from: number;
  readonly to: number;
}

/** Row by row, in even shares. */
export interface Shares {
  readonly rows: number;
  readonly columns: number;
  readonly times: Float32Array;
}

/** How a class token, or where there is none the average token, shares out what it takes: 1 row, L columns. */
export function poolingShares(
  { startsWithClassToken }: LayerWeights,
  head: HeadWeights,
  length: number,
): Shares {
  const { classToken } = head;
  const all = { from: 0, to: length };
  if (classToken !== null) return oneRow(classToken.slice(1).map((weight) => weight * (1 + length)));
  if (startsWithClassToken) return followedShares(head, false, { from: 0, to: 1 }, all);
  return oneRow(received(head, length).map((weight) => weight * length));
}

function oneRow(times: Float32Array): Shares {
  return { rows: 1, columns: times.length, times };
}

/** What each token gives to the others on average, followed through the compressed keys. Only without a class token. */
function received({ window, slots, projection }: HeadWeights, length: number): Float32Array {
  const total = new Float32Array(length);
  if (window !== null)
    for (let row = 0; row < length; row++)
      for (let j = 0; j < window.columns; j++) {
        const key = window.firstKey(row) + j;
        if (key >= 0 && key < length) total[key]! += window.values[row * window.columns + j]! / length;
      }
  if (slots !== null && projection !== null) {
    const made = normalised(projection);
    for (const [slot, use] of slotUse(slots).entries())
      for (let key = 0; key < length; key++) total[key]! += use * made.values[slot * length + key]!;
  }
  return total;
}

/** What the tokens take from each compressed key on average, C numbers. */
export function slotUse({ rows, columns, values }: Matrix): Float32Array {
  const use = new Float32Array(columns);
  values.forEach((weight, i) => {
    use[i % columns]! += weight / rows;
  });
  return use;
}

/** What the compressed keys are made of: (R, tokens of the range). */
export function projectionShares(projection: Matrix, { from, to }: TokenRange): Shares {
  const { rows, columns, values } = normalised(projection);
  const times = new Float32Array(rows * (to - from));
  for (let row = 0; row < rows; row++)
    for (let key = from; key < to; key++)
      times[row * (to - from) + key - from] = values[row * columns + key]! * columns;
  return { rows, columns: to - from, times };
}

/** Rows whose sizes sum to 1, as those of a softmax do already. */
function normalised({ rows, columns, values }: Matrix): Matrix {
  const result = values.slice();
  for (let row = 0; row < rows; row++) {
    const own = result.subarray(row * columns, (row + 1) * columns);
    const total = own.reduce((sum, weight) => sum + Math.abs(weight), 0);
    if (total > 0) for (let i = 0; i < columns; i++) own[i]! /= total;
  }
  return { rows, columns, values: result };
}

/** What tokens of the range take from the compressed keys: (tokens, C), under one softmax with the window. */
export function slotShares(head: HeadWeights, length: number, { from, to }: TokenRange): Shares {
  const columns = head.slots?.columns ?? 0;
  const times = new Float32Array((to - from) * columns);
  for (let row = from; row < to; row++)
    for (let slot = 0; slot < columns; slot++)
      times[(row - from) * columns + slot] =
        head.slots!.values[row * columns + slot]! * seenBy(head, row, length);
  return { rows: to - from, columns, times };
}

/** What tokens of the range take from one another directly: (tokens, tokens). */
export function windowShares(head: HeadWeights, length: number, { from, to }: TokenRange): Shares {
  const columns = to - from;
  const times = new Float32Array(columns * columns);
  for (let row = from; row < to; row++)
    for (let key = from; key < to; key++)
      times[(row - from) * columns + key - from] = windowWeight(head, row, key) * seenBy(head, row, length);
  return { rows: columns, columns, times };
}

/** What tokens of `rows` take from tokens of `keys`, directly and through the compressed keys. */
export function followedShares(
  head: HeadWeights,
  firstSlotIsClassToken: boolean,
  rows: TokenRange,
  keys: TokenRange,
): Shares {
  const columns = keys.to - keys.from;
  const times = new Float32Array((rows.to - rows.from) * columns);
  const projection = head.projection === null ? null : normalised(head.projection);
  const length = projection?.columns ?? head.window!.rows;
  for (let row = rows.from; row < rows.to; row++)
    for (let key = keys.from; key < keys.to; key++) {
      let weight = windowWeight(head, row, key);
      if (projection !== null && head.slots !== null) {
        const first = row * head.slots.columns + (firstSlotIsClassToken ? 1 : 0);
        for (let slot = 0; slot < projection.rows; slot++)
          weight += head.slots.values[first + slot]! * projection.values[slot * length + key]!;
      }
      times[(row - rows.from) * columns + key - keys.from] = weight * length;
    }
  return { rows: rows.to - rows.from, columns, times };
}

/** Whether the window of a token holds another. */
export function seesDirectly(window: WindowWeights, row: number, key: number): boolean {
  const column = key - window.firstKey(row);
  return column >= 0 && column < window.columns;
}

/** 0 where the token does not see the other directly. */
function windowWeight({ window }: HeadWeights, row: number, key: number): number {
  if (window === null || !seesDirectly(window, row, key)) return 0;
  return window.values[row * window.columns + key - window.firstKey(row)]!;
}

/** Entries under the softmax of a token. */
function seenBy({ window, slots }: HeadWeights, row: number, length: number): number {
  const compressed = slots?.columns ?? 0;
  if (window === null) return compressed;
  const first = window.firstKey(row);
  return compressed + Math.min(length, first + window.columns) - Math.max(0, first);
}

/** Neighbouring columns drawn as one, which shows the largest of them: a peak must not be lost. */
export function binned({ rows, columns, times }: Shares, bin: number): Shares {
  if (bin === 1) return { rows, columns, times };
  const bins = Math.ceil(columns / bin);
  const largest = new Float32Array(rows * bins);
  times.forEach((value, i) => {
    const at = Math.floor(i / columns) * bins + Math.floor((i % columns) / bin);
    if (Math.abs(value) > Math.abs(largest[at]!)) largest[at] = value;
  });
  return { rows, columns: bins, times: largest };
}

/** The columns chosen, in that order. */
export function columnsOf({ rows, columns, times }: Shares, chosen: readonly number[]): Shares {
  const result = new Float32Array(rows * chosen.length);
  for (let row = 0; row < rows; row++)
    for (const [i, column] of chosen.entries())
      result[row * chosen.length + i] = times[row * columns + column]!;
  return { rows, columns: chosen.length, times: result };
}

export function rowsOf({ columns, times }: Shares, chosen: readonly number[]): Shares {
  const result = new Float32Array(chosen.length * columns);
  for (const [i, row] of chosen.entries())
    result.set(times.subarray(row * columns, (row + 1) * columns), i * columns);
  return { rows: chosen.length, columns, times: result };
}

/** The largest in size; 0 where there are none. */
export function largestOf(shares: readonly Shares[]): number {
  return shares.reduce(
    (most, { times }) => times.reduce((sofar, value) => Math.max(sofar, Math.abs(value)), most),
    0,
  );
}
