/** Attention weights of an image as JSON, for programs: what `attend --json` prints. */
import { areaSize, type GridBlockWeights, type GridHeadWeights } from '../models/vision/grid-weights.js';
import { formatInteger } from '../text/numbers.js';
import { UsageError } from './errors.js';

/** Beyond this the text would not fit into memory comfortably. */
const MOST_NUMBERS = 5_000_000;
const DIGITS = 6;

/**
 * Rows and columns are counted from 0, and every map is a list of rows. `tokens` are the part of the grid that `seen` says, all other
 * maps the whole grid.
 *
 * @throws UsageError where there are too many numbers
 */
export function imageAttentionRecord(weights: GridBlockWeights, heads: readonly number[]) {
  const { attention, grid, query, segment, seen, keys } = weights;
  const numbers = heads.reduce((sum, head) => sum + numbersOf(weights, weights.heads[head]!), 0);
  if (numbers > MOST_NUMBERS)
    throw new UsageError(
      `--json: expected at most ${formatInteger(MOST_NUMBERS)} weights, these are ${formatInteger(numbers)}; choose one head with --head, or a later stage`,
    );
  return {
    attention,
    grid,
    token: query,
    segment,
    seen,
    keys,
    heads: heads.map((head) => headRecord(weights, weights.heads[head]!, head)),
  };
}

function numbersOf({ grid, seen }: GridBlockWeights, { slots, globals, ofGlobals }: GridHeadWeights): number {
  const maps = slots.length + ofGlobals.length;
  return (
    (seen === null ? 0 : areaSize(seen)) + slots.length + globals.length + maps * grid.rows * grid.columns
  );
}

function headRecord(
  { grid, seen }: GridBlockWeights,
  { tokens, slots, globals, projection, ofGlobals }: GridHeadWeights,
  head: number,
) {
  const { rows, columns } = grid;
  const whole = { top: 0, left: 0, bottom: rows, right: columns };
  const mapOf = (map: Float32Array, { top, left, bottom, right } = whole) =>
    Array.from({ length: bottom - top }, (_, row) => {
      const first = (top + row) * columns;
      return Array.from(map.subarray(first + left, first + right), rounded);
    });
  return {
    head: head + 1,
    tokens: tokens === null || seen === null ? null : mapOf(tokens, seen),
    slots: Array.from(slots, rounded),
    globals: Array.from(globals, rounded),
    projection: projection.map((map) => mapOf(map)),
    ofGlobals: ofGlobals.map((one) => ({
      globals: Array.from(one.globals, rounded),
      tokens: mapOf(one.tokens),
    })),
  };
}

function rounded(weight: number): number {
  return Number(weight.toPrecision(DIGITS));
}
