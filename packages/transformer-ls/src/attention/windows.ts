/**
 * The short-term part: every query sees exactly W keys, itself and the W-1 tokens before it (spec 3.2 steps 6 and 7).
 *
 * Queries are cut into tiles; a tile of S queries needs S+W-1 neighbouring keys, of which each query uses a diagonal
 * band. Shape letters: B batch, N heads, T queries, H head size, W window, S queries of a tile, G tiles, Y = S+W-1 keys
 * of a tile, D = N*H.
 */
import { ones, type Tensor, zeros } from '@transformer-ls/torch';
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

/**
 * Segments: the queries of a tile all see the tile and `reach` tokens on either side of it. In terms of a window: 2*reach + 1
 * keys around each query, of which a tile's queries share the whole.
 */
export function segmentTiling(queries: number, size: number, reach: number): Tiling {
  return { queries, window: 2 * reach + 1, tile: size, tiles: Math.ceil(queries / size) };
}

/** Queries behind the last real one that complete the last tile. */
export function surplus({ queries, tile, tiles }: Tiling): number {
  return tile * tiles - queries;
}

let fillsAlways = false;

/** Runs `run` with tiles that are filled up even where nothing is missing: the same operators then, whatever the number of queries. */
export function withTilesAlwaysFilled<T>(run: () => T): T {
  const before = fillsAlways;
  fillsAlways = true;
  try {
    return run();
  } finally {
    fillsAlways = before;
  }
}

function isFilled(tiling: Tiling): boolean {
  return fillsAlways || surplus(tiling) > 0;
}

/** (N, B, T, X) → (N, B, G, S, X), zeros behind the last query. */
export function tileQueries(x: Tensor, tiling: Tiling): Tensor {
  const [N, B, , X] = x.shape as [number, number, number, number];
  const padded = isFilled(tiling) ? x.pad([0, 0, 0, surplus(tiling)]) : x;
  return padded.reshape([N, B, tiling.tiles, tiling.tile, X]);
}

/** (N, B, G, S, X) → (N, B, T, X). */
export function untileQueries(x: Tensor, tiling: Tiling): Tensor {
  const [N, B, G, S, X] = x.shape as [number, number, number, number, number];
  const flat = x.reshape([N, B, G * S, X]);
  return isFilled(tiling) ? flat.narrow(2, 0, tiling.queries) : flat;
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
  const padded = isFilled(tiling) ? x.pad([0, 0, 0, surplus(tiling)]) : x;
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

/**
 * Which keys of a tile are padding or lie outside the sequence, where a tile sees as much behind it as before it.
 *
 * @param query (N, B, T, H): its place is that of the result
 * @param padding (B, T) bool, true = padding; null: none
 * @returns (1 or B, G, 1, Y) bool, true = hidden
 */
export function hiddenTileKeys(query: Tensor, padding: Tensor | null, tiling: Tiling): Tensor {
  const { tile, tiles, window, queries } = tiling;
  const reach = (window - 1) / 2;
  const none = () => zeros([1, queries], { dtype: 'bool', device: query.device });
  const inside = padding ?? none();
  const Y = tile + window - 1;
  return inside
    .to('uint8') // libtorch pads no booleans
    .pad([reach, reach + surplus(tiling)], 1)
    .to('bool')
    .unfold(1, Y, tile)
    .reshape([inside.size(0), tiles, 1, Y]);
}

/** (S, Y) bool, true = outside the window of the query of that row. */
export function bandMask({ tile, window }: Tiling, device: string): Tensor {
  const all = ones([tile, tile + window - 1], { device });
  return all.tril(-1).add(all.triu(window)).ne(0);
}
