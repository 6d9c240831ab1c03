/**
 * The short-term part: every query sees exactly W keys, itself and the W-1 tokens before it (spec 3.2 steps 6 and 7).
 *
 * Queries are cut into tiles; a tile of S queries needs S+W-1 neighbouring keys, of which each query uses a diagonal
 * band. Shape letters: B batch, N heads, T queries, H head size, W window, S queries of a tile, G tiles, Y = S+W-1 keys
 * of a tile, D = N*H.
 */
import type { Tensor } from '@transformer-ls/torch';
import { skewRight } from './skew.js';

/** How T queries are cut: G tiles of S, the last one filled up with queries that nobody reads. */
export interface Tiling {
  readonly queries: number;
  readonly window: number;
  readonly tile: number;
  readonly tiles: number;
}

/**
 * A tile of S queries computes S+W-1 columns per query, of which W count, so small tiles save work and memory: a quarter of
 * the window wastes a quarter. Below 64 queries the products become too small for the BLAS to be fast.
 */
export function tilingFor(queries: number, window: number): Tiling {
  const tile = Math.min(queries, Math.max(Math.ceil(window / 4), Math.min(window, 64), 16));
  return { queries, window, tile, tiles: Math.ceil(queries / tile) };
}

/** Queries behind the last real one that complete the last tile. */
export function surplus({ queries, tile, tiles }: Tiling): number {
  return tile * tiles - queries;
}

/** (N, B, T, X) → (N, B, G, S, X), zeros behind the last query. */
export function tileQueries(x: Tensor, tiling: Tiling): Tensor {
  const [N, B, , X] = x.shape as [number, number, number, number];
  const extra = surplus(tiling);
  const padded = extra > 0 ? x.pad([0, 0, 0, extra]) : x;
  return padded.reshape([N, B, tiling.tiles, tiling.tile, X]);
}

/** (N, B, G, S, X) → (N, B, T, X). */
export function untileQueries(x: Tensor, tiling: Tiling): Tensor {
  const [N, B, G, S, X] = x.shape as [number, number, number, number, number];
  const flat = x.reshape([N, B, G * S, X]);
  return surplus(tiling) > 0 ? flat.narrow(2, 0, tiling.queries) : flat;
}

/**
 * The keys (or values) each tile sees.
 *
 * @param x (B, W-1+T, D): the W-1 tokens before the first query, then the queries' own tokens
 * @returns (N, B, G, Y, H)
 */
export function tileKeys(x: Tensor, heads: number, tiling: Tiling): Tensor {
  const [B, , D] = x.shape as [number, number, number];
  const { window, tile, tiles } = tiling;
  const extra = surplus(tiling);
  const padded = extra > 0 ? x.pad([0, 0, 0, extra]) : x;
  const Y = tile + window - 1;
  return padded
    .unfold(1, Y, tile) // (B, G, D, Y)
    .reshape([B, tiles, heads, D / heads, Y])
    .permute([2, 0, 1, 4, 3])
    .contiguous(); // here, where whole rows of H are copied; a product would copy its transposed form number by number
}

/**
 * Scores by distance, moved under the keys they belong to.
 *
 * @param byDistance (N, B, T, W), the farthest distance W-1 first
 * @returns (N, B, G, S, Y), -infinity outside the window
 */
export function bandOf(byDistance: Tensor, tiling: Tiling): Tensor {
  return skewRight(tileQueries(byDistance, tiling), 1, Number.NEGATIVE_INFINITY);
}

/**
 * What the tiles' queries take from values that all of them see. One product per head and row of the batch: with a dimension
 * for tiles, the values would be copied for each of them.
 *
 * @param weights (N, B, G, S, C)
 * @param values (N, B, C, H)
 * @returns (N, B, G, S, H)
 */
export function pool(weights: Tensor, values: Tensor): Tensor {
  const [N, B, G, S, C] = weights.shape as [number, number, number, number, number];
  return weights
    .reshape([N, B, G * S, C])
    .matmul(values)
    .reshape([N, B, G, S, values.size(-1)]);
}
