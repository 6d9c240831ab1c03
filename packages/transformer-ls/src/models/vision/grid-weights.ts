/**
 * The weights that an attention on a grid tells its observer, as plain numbers by row and column: what one token takes, what the
 * slots are made of, and what the global tokens take.
 *
 * Shape letters: N heads, T tokens of the grid, row by row, C global tokens, R slots, W window, E reach beyond a segment,
 * K = W + 2E, G segments of S = W² tokens, Y = K² keys that a segment sees.
 */
import { ArgumentError, type Tensor } from '@transformer-ls/torch';
import type { ObservedGridWeights } from '../../attention/grid-attention.js';
import type { Grid, GridTiling } from '../../attention/grid-windows.js';

/** A token by its row and column, from 0. */
export interface GridPlace {
  readonly row: number;
  readonly column: number;
}

/** A rectangle of tokens: row `bottom` and column `right` are the first outside it. */
export interface GridArea {
  readonly top: number;
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
}

export function areaSize({ top, left, bottom, right }: GridArea): number {
  return (bottom - top) * (right - left);
}

/** Which token is asked about: that in the middle, that which the first global token takes most from (mean over heads), or a certain one. */
export type QueryChoice = 'centre' | 'global-token' | GridPlace;

/** Weights of one head. What the token asked about takes, `tokens`, `slots` and `globals` together, sums to 1. */
export interface GridHeadWeights {
  /** T: over the tokens that it sees directly, 0 for the others; null: it sees none. */
  readonly tokens: Float32Array | null;
  /** R: over the slots. */
  readonly slots: Float32Array;
  /** C: over the global tokens. */
  readonly globals: Float32Array;
  /** Of each slot over the T tokens that it is made of; each sums to 1. */
  readonly projection: readonly Float32Array[];
  /** What each global token takes. */
  readonly ofGlobals: readonly GlobalTokenWeights[];
}

/** Of one global token; both together sum to 1. */
export interface GlobalTokenWeights {
  /** C */
  readonly globals: Float32Array;
  /** T: with long-short attention over the results of the tokens. */
  readonly tokens: Float32Array;
}

export interface GridBlockWeights {
  readonly attention: 'long-short' | 'full';
  readonly grid: Grid;
  /** The token asked about. */
  readonly query: GridPlace;
  /** The segment that it lies in; null without a window. */
  readonly segment: GridArea | null;
  /** The tokens that it sees directly: those around its segment, with full attention all; null: none. */
  readonly seen: GridArea | null;
  /** How many keys these are: fewer than tokens where one stands for several. */
  readonly keys: number;
  readonly heads: readonly GridHeadWeights[];
}

/** Of the first image of the batch. @throws ArgumentError where there is no such token */
export function longShortWeights(observed: ObservedGridWeights, choice: QueryChoice): GridBlockWeights {
  const { grid, window, shared, projection, global } = observed;
  const tiling = window?.tiling ?? null;
  const order = tokenOrder(grid, tiling);
  const ofGlobals = global === null ? [] : globalRows(global.toGlobal, global.toTokens, grid, order);
  const query = chosenToken(grid, choice, ofGlobals);
  const square = tiling === null ? null : keySquare(tiling, query);
  const seen = square === null ? null : onGrid(square, grid);
  const around = window === null ? null : queryRows(window.weights, order(query));
  // The slots come first, then the global tokens.
  const common = shared === null ? [] : queryRows(shared, order(query));
  const R = projection?.size(2) ?? 0;
  return {
    attention: 'long-short',
    grid,
    query,
    segment: tiling === null ? null : onGrid(segmentOf(tiling, query), grid),
    seen,
    keys: seen === null ? 0 : areaSize(seen),
    heads: (around ?? common).map((_, head) => ({
      tokens: around === null || square === null ? null : toMap(around[head]!, square, grid),
      slots: (common[head] ?? NOTHING).subarray(0, R),
      globals: (common[head] ?? NOTHING).subarray(R),
      projection: projection === null ? [] : rowsOf(projection.select(0, 0).select(0, head)),
      ofGlobals: ofGlobals[head] ?? [],
    })),
  };
}

/**
 * Of the first image of (B, N, C + T, C + M), global tokens first. The weight of a key that stands for several tokens is divided
 * evenly among them.
 *
 * @param keyStride rows and columns of tokens for one of the M keys
 * @throws ArgumentError where there is no such token
 */
export function fullWeights(
  weights: Tensor,
  grid: Grid,
  choice: QueryChoice,
  keyStride: number,
): GridBlockWeights {
  const T = grid.rows * grid.columns;
  const C = weights.size(2) - T;
  const divided = (row: Float32Array): GlobalTokenWeights => ({
    globals: row.subarray(0, C),
    tokens: keyStride === 1 ? row.subarray(C) : dividedAmongTokens(row.subarray(C), grid, keyStride),
  });
  const ofFirst = C === 0 ? [] : weights.select(0, 0).narrow(1, 0, C).unbind(0);
  const ofGlobals = ofFirst.map((ofHead) => rowsOf(ofHead).map(divided));
  const query = chosenToken(grid, choice, ofGlobals);
  const place = C + query.row * grid.columns + query.column;
  return {
    attention: 'full',
    grid,
    query,
    segment: null,
    seen: { top: 0, left: 0, bottom: grid.rows, right: grid.columns },
    keys: weights.size(3) - C,
    heads: rowsOf(weights.select(0, 0).select(1, place)).map((row, head) => ({
      ...divided(row),
      slots: NOTHING,
      projection: [],
      ofGlobals: ofGlobals[head] ?? [],
    })),
  };
}

const NOTHING = new Float32Array();

/** The number of a token among the results of the attention, segment by segment; without segments row by row. */
type TokenOrder = (token: GridPlace) => number;

function tokenOrder({ columns }: Grid, tiling: GridTiling | null): TokenOrder {
  if (tiling === null) return ({ row, column }) => row * columns + column;
  const { window: W, tileColumns } = tiling;
  return ({ row, column }) => {
    const segment = Math.floor(row / W) * tileColumns + Math.floor(column / W);
    return segment * W * W + (row % W) * W + (column % W);
  };
}

/** The weights of the keys, each divided among the tokens of its square, of which there are fewer at the edges. */
function dividedAmongTokens(keys: Float32Array, { rows, columns }: Grid, stride: number): Float32Array {
  const across = Math.ceil(columns / stride);
  const extent = (token: number, end: number) => {
    const first = token - (token % stride);
    return Math.min(end, first + stride) - first;
  };
  return Float32Array.from({ length: rows * columns }, (_, token) => {
    const [row, column] = [Math.floor(token / columns), token % columns];
    const key = Math.floor(row / stride) * across + Math.floor(column / stride);
    return keys[key]! / (extent(row, rows) * extent(column, columns));
  });
}

/** What each head's global tokens take, from (B, N, C, C) and (B, N, C, G * S) or (B, N, C, T). */
function globalRows(
  toGlobal: Tensor,
  toTokens: Tensor,
  grid: Grid,
  order: TokenOrder,
): GlobalTokenWeights[][] {
  const [N, C] = [toGlobal.size(1), toGlobal.size(2)];
  return Array.from({ length: N }, (_, head) => {
    const [globals, tokens] = [toGlobal, toTokens].map((all) => rowsOf(all.select(0, 0).select(0, head)));
    return Array.from({ length: C }, (_, one) => ({
      globals: globals![one]!,
      tokens: inGridOrder(tokens![one]!, grid, order),
    }));
  });
}

function inGridOrder(values: Float32Array, { rows, columns }: Grid, order: TokenOrder): Float32Array {
  return Float32Array.from(
    { length: rows * columns },
    (_, token) => values[order({ row: Math.floor(token / columns), column: token % columns })]!,
  );
}

function chosenToken(
  { rows, columns }: Grid,
  choice: QueryChoice,
  ofGlobals: readonly (readonly GlobalTokenWeights[])[],
): GridPlace {
  if (choice === 'centre') return { row: Math.floor(rows / 2), column: Math.floor(columns / 2) };
  if (choice === 'global-token') return strongest(ofGlobals, columns);
  const { row, column } = choice;
  const isOn = (place: number, end: number) => Number.isInteger(place) && place >= 0 && place < end;
  if (isOn(row, rows) && isOn(column, columns)) return { row, column };
  throw new ArgumentError(
    `expected a token on the grid of ${rows} x ${columns}, received row ${row}, column ${column}`,
  );
}

/** What the first global token takes most from, over all heads. */
function strongest(ofGlobals: readonly (readonly GlobalTokenWeights[])[], columns: number): GridPlace {
  const maps = ofGlobals.map(([first]) => first!.tokens);
  if (maps.length === 0) throw new ArgumentError('expected a block with a global token, received none');
  const total = maps[0]!.map((_, token) => maps.reduce((sum, map) => sum + map[token]!, 0));
  const most = total.reduce((best, weight, token) => (weight > total[best]! ? token : best), 0);
  return { row: Math.floor(most / columns), column: most % columns };
}

function segmentOf({ window: W }: GridTiling, { row, column }: GridPlace): GridArea {
  const [top, left] = [row - (row % W), column - (column % W)];
  return { top, left, bottom: top + W, right: left + W };
}

/** The K x K keys that a token sees, also those that do not exist. */
function keySquare(tiling: GridTiling, query: GridPlace): GridArea {
  const { top, left, bottom, right } = segmentOf(tiling, query);
  const { reach: E } = tiling;
  return { top: top - E, left: left - E, bottom: bottom + E, right: right + E };
}

function onGrid({ top, left, bottom, right }: GridArea, { rows, columns }: Grid): GridArea {
  return {
    top: Math.max(0, top),
    left: Math.max(0, left),
    bottom: Math.min(rows, bottom),
    right: Math.min(columns, right),
  };
}

/** The weights of a square, row by row, at their places on the grid. */
function toMap(square: Float32Array, area: GridArea, grid: Grid): Float32Array {
  const map = new Float32Array(grid.rows * grid.columns);
  const side = area.right - area.left;
  const { top, left, bottom, right } = onGrid(area, grid);
  for (let row = top; row < bottom; row++)
    for (let column = left; column < right; column++)
      map[row * grid.columns + column] = square[(row - area.top) * side + column - area.left]!;
  return map;
}

/** The row of one token for each head: (B, N, G, S, X) → N times X. */
function queryRows(weights: Tensor, token: number): Float32Array[] {
  return rowsOf(weights.select(0, 0).flatten(1, 2).select(1, token));
}

/** (rows, X) → rows times X. */
function rowsOf(matrix: Tensor): Float32Array[] {
  const [rows, length] = matrix.shape as [number, number];
  const values = matrix.toFloat32Array();
  return Array.from({ length: rows }, (_, row) => values.subarray(row * length, (row + 1) * length));
}
