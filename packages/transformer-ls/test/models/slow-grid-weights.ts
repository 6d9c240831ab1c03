/** The weights of one token of a grid in plain numbers, straight from spec 4.1 and 4.3: what copied weights answer to. */
import type { Tensor } from '@transformer-ls/torch';
import type { Grid } from '../../src/attention/grid-windows.js';
import { FullSpatialAttention, type LongShortSpatialAttention } from '../../src/attention/spatial.js';
import type { GridPlace } from '../../src/models/vision/grid-weights.js';

type Rows = number[][];

export interface SlowWeights {
  /** Of the token over each token of the grid that it sees directly. */
  readonly tokens: Map<number, number>;
  readonly slots: number[];
  readonly globals: number[];
  readonly projection: Rows;
  readonly ofGlobals: { globals: number[]; tokens: number[] }[];
}

/** Consistent mode; x is (C + T, D), global tokens first. Of each head. */
export function slowGridWeights(
  attention: LongShortSpatialAttention | FullSpatialAttention,
  x: Rows,
  grid: Grid,
  query: GridPlace,
): SlowWeights[] {
  const { heads } = attention.config;
  const of = attention instanceof FullSpatialAttention ? slowFull : slowLongShort;
  return Array.from({ length: heads }, (_, head) => of(attention as never, x, grid, query, head));
}

function slowLongShort(
  attention: LongShortSpatialAttention,
  x: Rows,
  { rows, columns }: Grid,
  query: GridPlace,
  n: number,
): SlowWeights {
  const { modelDim: D, heads: N, windowSize: W, projectionRank: R, globalTokens: C } = attention.config;
  const H = D / N;
  const T = rows * columns;
  const state = attention.stateDict();
  const head = (row: readonly number[]) => row.slice(n * H, (n + 1) * H);
  const projected = x.map((row) => apply(state, 'qkv', row));
  const queries = projected.map((row) => head(row.slice(0, D)).map((value) => value / Math.sqrt(H)));
  const keys = projected.map((row) => normalize(state, 'dual_ln_full', row.slice(D, 2 * D)));
  const values = projected.map((row) => normalize(state, 'dual_ln_full', row.slice(2 * D)));

  const logits = R > 0 ? x.slice(C).map((row) => apply(state, 'to_dynamic_projection', row)) : [];
  const shares = (slot: number, ofHead: number) => softmax(logits.map((row) => row[ofHead * R + slot]!));
  const pooled = (all: Rows, slot: number) => {
    const whole = Array.from({ length: N }, (_, other) =>
      mix(
        shares(slot, other),
        all.slice(C).map((row) => row.slice(other * H, (other + 1) * H)),
      ),
    ).flat();
    return head(normalize(state, 'dual_ln_dp', whole));
  };
  const slotNumbers = Array.from({ length: R }, (_, slot) => slot);
  const slotKeys = slotNumbers.map((slot) => pooled(keys, slot));
  const slotValues = slotNumbers.map((slot) => pooled(values, slot));

  const E = Math.max(1, Math.floor(W / 2));
  const farthest = E + W - 1;
  const table = state.get('local_relative_position_bias_table')?.tolist() as Rows | undefined;
  const seenBy = ({ row, column }: GridPlace) => {
    const seen: { token: number; bias: number }[] = [];
    if (W === 0) return seen;
    const [top, left] = [Math.floor(row / W) * W, Math.floor(column / W) * W];
    for (let r = Math.max(0, top - E); r < Math.min(rows, top + W + E); r++)
      for (let c = Math.max(0, left - E); c < Math.min(columns, left + W + E); c++) {
        const entry = (row - r + farthest) * (2 * farthest + 1) + (column - c + farthest);
        seen.push({ token: r * columns + c, bias: table === undefined ? 0 : table[entry]![n]! });
      }
    return seen;
  };
  const weightsOf = (place: GridPlace) => {
    const own = queries[C + place.row * columns + place.column]!;
    const seen = seenBy(place);
    const weights = softmax([
      ...slotKeys.map((key) => dot(own, key)),
      ...seen.map(({ token, bias }) => dot(own, head(keys[C + token]!)) + bias),
      ...keys.slice(0, C).map((key) => dot(own, head(key))),
    ]);
    return {
      slots: weights.slice(0, R),
      tokens: new Map(seen.map(({ token }, i) => [token, weights[R + i]!])),
      globals: weights.slice(R + seen.length),
    };
  };
  const results = Array.from({ length: T }, (_, token) => {
    const own = weightsOf({ row: Math.floor(token / columns), column: token % columns });
    return mix(
      [...own.slots, ...own.tokens.values(), ...own.globals],
      [
        ...slotValues,
        ...[...own.tokens.keys()].map((key) => head(values[C + key]!)),
        ...values.slice(0, C).map(head),
      ],
    );
  });
  return {
    ...weightsOf(query),
    projection: slotNumbers.map((slot) => shares(slot, n)),
    ofGlobals: Array.from({ length: C }, (_, one) =>
      split(softmax([...keys.slice(0, C).map(head), ...results].map((key) => dot(queries[one]!, key))), C),
    ),
  };
}

function slowFull(
  attention: FullSpatialAttention,
  x: Rows,
  { rows, columns }: Grid,
  query: GridPlace,
  n: number,
): SlowWeights {
  const { modelDim: D, heads: N, globalTokens: C } = attention.config;
  const H = D / N;
  const state = attention.stateDict();
  const head = (row: readonly number[]) => row.slice(n * H, (n + 1) * H);
  const projected = x.map((row) => apply(state, 'qkv', row));
  const keys = projected.map((row) => head(row.slice(D, 2 * D)));
  const table = state.get('local_relative_position_bias_table')?.tolist() as Rows | undefined;
  const local = state.get('g2l_relative_position_bias')?.tolist() as number[][][];
  const between = state.get('g2g_relative_position_bias')?.tolist() as number[][][];
  const bias = (from: number, to: number) => {
    if (table === undefined) return 0;
    if (from < C) return to < C ? between[n]![from]![to]! : local[0]![n]![from]!;
    if (to < C) return local[1]![n]![to]!;
    const [a, b] = [from - C, to - C];
    const dRow = Math.floor(a / columns) - Math.floor(b / columns);
    const dColumn = (a % columns) - (b % columns);
    return table[(dRow + rows - 1) * (2 * columns - 1) + dColumn + columns - 1]![n]!;
  };
  const weightsOf = (from: number) => {
    const own = head(projected[from]!.slice(0, D)).map((value) => value / Math.sqrt(H));
    return split(softmax(keys.map((key, to) => dot(own, key) + bias(from, to))), C);
  };
  const own = weightsOf(C + query.row * columns + query.column);
  return {
    tokens: new Map(own.tokens.entries()),
    globals: own.globals,
    slots: [],
    projection: [],
    ofGlobals: Array.from({ length: C }, (_, one) => weightsOf(one)),
  };
}

function split(weights: number[], C: number): { globals: number[]; tokens: number[] } {
  return { globals: weights.slice(0, C), tokens: weights.slice(C) };
}

function apply(state: ReadonlyMap<string, Tensor>, name: string, row: readonly number[]): number[] {
  const bias = state.get(`${name}.bias`)?.tolist() as number[] | undefined;
  return (state.get(`${name}.weight`)!.tolist() as Rows).map((out, i) => dot(out, row) + (bias?.[i] ?? 0));
}

function normalize(state: ReadonlyMap<string, Tensor>, name: string, row: readonly number[]): number[] {
  const mean = row.reduce((a, b) => a + b, 0) / row.length;
  const variance = row.reduce((a, b) => a + (b - mean) ** 2, 0) / row.length;
  const [weight, bias] = ['weight', 'bias'].map((part) => state.get(`${name}.${part}`)!.tolist() as number[]);
  return row.map((value, i) => ((value - mean) / Math.sqrt(variance + 1e-6)) * weight![i]! + bias![i]!);
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}

function softmax(scores: readonly number[]): number[] {
  const most = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - most));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / total);
}

function mix(shares: readonly number[], rows: Rows): number[] {
  return rows[0]!.map((_, i) => shares.reduce((sum, share, j) => sum + share * rows[j]![i]!, 0));
}
