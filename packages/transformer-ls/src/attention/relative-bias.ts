/** Which entry of a table of biases belongs to which query and key (spec 4.2, 4.3). */
import { arange, embedding, scope, type Tensor } from '@transformer-ls/torch';
import { type Grid, windowReach } from './grid-windows.js';

/** Places in a table of biases. */
export interface BiasIndex {
  /** (queries, keys) int64: row of the table for each pair. */
  readonly index: Tensor;
  /** Rows of the table. */
  readonly entries: number;
}

/**
 * The queries of a segment and the keys around it, both row by row.
 *
 * reference: the row stride is too short, so that different displacements share entries (quirk 15), and a window of 1 has a single
 * entry for all its keys. consistent: one entry for each displacement.
 */
export function windowBiasIndex(window: number, mode: 'consistent' | 'reference'): BiasIndex {
  const { reach, side, farthest, stride, entries } = windowBiasSizes(window, mode);
  const keys = { rows: side, columns: side };
  const nearest = (reach + farthest) * (stride + 1);
  return { index: indexOf({ rows: window, columns: window }, keys, stride, nearest), entries };
}

/** Rows of the table of a window. */
export function windowBiasEntries(window: number, mode: 'consistent' | 'reference'): number {
  return windowBiasSizes(window, mode).entries;
}

function windowBiasSizes(window: number, mode: 'consistent' | 'reference') {
  const published = mode === 'reference';
  const reach = published ? Math.floor(window / 2) : windowReach(window);
  const side = window + 2 * reach;
  const farthest = reach + window - 1;
  const stride = published ? side : 2 * farthest + 1;
  const entries = published ? 2 * farthest * (side + 1) + 1 : stride ** 2;
  return { reach, side, farthest, stride, entries };
}

/** All tokens of a grid and one another: an entry for each displacement, (2 rows - 1) * (2 columns - 1) of them. */
export function gridBiasIndex(grid: Grid): BiasIndex {
  const { rows, columns } = grid;
  const stride = 2 * columns - 1;
  const nearest = (rows - 1) * stride + columns - 1;
  return { index: indexOf(grid, grid, stride, nearest), entries: (2 * rows - 1) * stride };
}

/**
 * (queries, keys): nearest + stride * (row of the query less that of the key) + the same of their columns, each counted from the first
 * of its own square.
 */
function indexOf(queries: Grid, keys: Grid, stride: number, nearest: number): Tensor {
  return scope(() => {
    const [query, key] = [places(queries, stride), places(keys, stride)];
    return query.unsqueeze(1).sub(key).add(nearest);
  });
}

/** stride * row + column of each token, row by row. */
function places({ rows, columns }: Grid, stride: number): Tensor {
  const row = arange(0, rows).unsqueeze(1).mul(stride);
  return row.add(arange(0, columns)).reshape([rows * columns]);
}

/** Biases of all heads: table (entries, N), index (queries, keys) → (N, queries, keys). */
export function biasesOf(table: Tensor, index: Tensor): Tensor {
  return embedding(index, table).permute([2, 0, 1]).contiguous();
}
