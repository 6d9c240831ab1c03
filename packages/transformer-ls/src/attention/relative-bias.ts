/** Which entry of a table of biases belongs to which query and key (spec 4.2, 4.3). */
import { embedding, type Tensor, tensor } from '@transformer-ls/torch';
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
  const index = indexOf({ rows: window, columns: window }, keys, (dRow, dColumn) => {
    return (dRow + reach + farthest) * stride + dColumn + reach + farthest;
  });
  return { index, entries };
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
  const index = indexOf(grid, grid, (dRow, dColumn) => (dRow + rows - 1) * stride + dColumn + columns - 1);
  return { index, entries: (2 * rows - 1) * stride };
}

/** `entry` gets row and column of the query less those of the key, each counted from the first of its own square. */
function indexOf(queries: Grid, keys: Grid, entry: (dRow: number, dColumn: number) => number): Tensor {
  const [Q, Y] = [queries.rows * queries.columns, keys.rows * keys.columns];
  const index = BigInt64Array.from({ length: Q * Y }, (_, i) => {
    const [query, key] = [Math.floor(i / Y), i % Y];
    const dRow = Math.floor(query / queries.columns) - Math.floor(key / keys.columns);
    return BigInt(entry(dRow, (query % queries.columns) - (key % keys.columns)));
  });
  return tensor(index, { shape: [Q, Y] });
}

/** Biases of all heads: table (entries, N), index (queries, keys) → (N, queries, keys). */
export function biasesOf(table: Tensor, index: Tensor): Tensor {
  return embedding(index, table).permute([2, 0, 1]).contiguous();
}
