/**
 * The short-term part on a grid: square segments of tokens, and the squares of keys around them (spec 4.1 step 4).
 *
 * Shape letters: B batch, N heads, H head size, D = N*H, T = rows * columns tokens, W window, E reach beyond a segment, K = W + 2E,
 * G segments, S = W² queries of a segment, Y = K² keys that it sees.
 */
import { ones, type Tensor, zeros } from '@transformer-ls/torch';

/** Rows and columns of tokens. */
export interface Grid {
  readonly rows: number;
  readonly columns: number;
}

/** How a grid is cut into segments; the last ones of a row or column are filled up with queries that nobody reads. */
export interface GridTiling extends Grid {
  readonly window: number;
  readonly reach: number;
  readonly tileRows: number;
  readonly tileColumns: number;
}

export function gridTiling({ rows, columns }: Grid, window: number): GridTiling {
  const reach = windowReach(window);
  const [tileRows, tileColumns] = [Math.ceil(rows / window), Math.ceil(columns / window)];
  return { rows, columns, window, reach, tileRows, tileColumns };
}

/** How far a window reaches beyond its own segment on each side (spec section 1). */
export function windowReach(window: number): number {
  return Math.max(1, Math.floor(window / 2));
}

/** Rows and columns of queries that complete the last segments. */
function surplus({ rows, columns, window, tileRows, tileColumns }: GridTiling): Grid {
  return { rows: tileRows * window - rows, columns: tileColumns * window - columns };
}

export function isRagged(tiling: GridTiling): boolean {
  const { rows, columns } = surplus(tiling);
  return rows > 0 || columns > 0;
}

/** Queries by segment: (B, T, D) → (B, N, G, S, H). */
export function tileGrid(x: Tensor, heads: number, tiling: GridTiling): Tensor {
  const { rows, columns, window: W, tileRows, tileColumns } = tiling;
  const [B, , D] = x.shape as [number, number, number];
  const extra = surplus(tiling);
  const map = x.reshape([B, rows, columns, D]);
  const whole = isRagged(tiling) ? map.pad([0, 0, 0, extra.columns, 0, extra.rows]) : map;
  return whole
    .reshape([B, tileRows, W, tileColumns, W, heads, D / heads])
    .permute([0, 5, 1, 3, 2, 4, 6])
    .reshape([B, heads, tileRows * tileColumns, W * W, D / heads]);
}

/** The reverse, without what filled up the last segments: (B, N, G, S, H) → (B, T, D). */
export function untileGrid(x: Tensor, tiling: GridTiling): Tensor {
  const { rows, columns, window: W, tileRows, tileColumns } = tiling;
  const [B, N, , , H] = x.shape as [number, number, number, number, number];
  const whole = x
    .reshape([B, N, tileRows, tileColumns, W, W, H])
    .permute([0, 2, 4, 3, 5, 1, 6])
    .reshape([B, tileRows * W, tileColumns * W, N * H]);
  const map = isRagged(tiling) ? whole.narrow(1, 0, rows).narrow(2, 0, columns) : whole;
  return map.reshape([B, rows * columns, N * H]);
}

/** The keys (or values) that each segment sees, zeros off the grid: (B, T, D) → (B, N, G, Y, H). */
export function keysAround(x: Tensor, heads: number, tiling: GridTiling): Tensor {
  const { window: W, reach: E, tileRows, tileColumns } = tiling;
  const [B, , D] = x.shape as [number, number, number];
  const K = W + 2 * E;
  return squares(x.reshape([B, tiling.rows, tiling.columns, D]), tiling) // (B, rows of G, columns of G, D, K, K)
    .unflatten(3, [heads, D / heads])
    .permute([0, 3, 1, 2, 5, 6, 4])
    .reshape([B, heads, tileRows * tileColumns, K * K, D / heads]); // the one copy, of whole rows of H
}

/** 0 for the keys of each segment that lie on the grid, -infinity for the others: (G, 1, Y), of the type and place of `like`. */
export function offGridScores(tiling: GridTiling, like: Tensor): Tensor {
  const { rows, columns, tileRows, tileColumns, window: W, reach: E } = tiling;
  const on = ones([1, rows, columns, 1], { device: like.device });
  const scores = squares(on, tiling).reshape([tileRows * tileColumns, 1, (W + 2 * E) ** 2]);
  return zeros(scores.shape, { device: like.device })
    .maskedFill(scores.eq(0), Number.NEGATIVE_INFINITY)
    .to(like.dtype);
}

/** Queries that only fill up the last segments: (G * S) bool. */
export function surplusQueries(tiling: GridTiling, device: string): Tensor {
  const { rows, columns } = tiling;
  return tileGrid(ones([1, rows * columns, 1], { device }), 1, tiling)
    .flatten()
    .eq(0);
}

/** The squares around each segment, a view of the padded map: (B, rows, columns, D) → (B, rows of G, columns of G, D, K, K). */
function squares(map: Tensor, tiling: GridTiling): Tensor {
  const { window: W, reach: E } = tiling;
  const K = W + 2 * E;
  const extra = surplus(tiling);
  return map
    .pad([0, 0, E, E + extra.columns, E, E + extra.rows])
    .unfold(1, K, W)
    .unfold(2, K, W);
}
