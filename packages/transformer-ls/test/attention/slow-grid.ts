/** Long-short attention on a grid query by query in plain numbers, straight from spec 4.1 and 4.2: what the fast form answers to. */
import type { GridAttentionConfig } from '../../src/attention/grid-attention.js';
import type { Grid } from '../../src/attention/grid-windows.js';
import { dot, mix, softmax } from './plain-numbers.js';

type Rows = number[][];

/** What a case is made of: projected tokens (C + T, D) with the global ones first, and the named weights. */
export interface SlowGridCase {
  readonly config: GridAttentionConfig;
  readonly grid: Grid;
  readonly query: Rows;
  readonly key: Rows;
  readonly value: Rows;
  readonly input: Rows;
  /** Nested lists by the name of the parameter. */
  readonly weights: (name: string) => unknown;
}

/** (C + T, D), before the output projection. */
export function slowGridAttention({ config, grid, query, key, value, input, weights }: SlowGridCase): Rows {
  const { heads: N, modelDim: D, windowSize: W, projectionRank: R, globalTokens: C, mode } = config;
  const H = D / N;
  const scale = config.scoreScale ?? 1 / Math.sqrt(H);
  const { rows, columns } = grid;
  const T = rows * columns;
  const epsilon = config.normEpsilon ?? (mode === 'reference' ? 1e-5 : 1e-6);
  const vector = (name: string) => weights(name) as number[];
  const normalize = (name: string, row: readonly number[]) => {
    const mean = row.reduce((a, b) => a + b, 0) / D;
    const variance = row.reduce((a, b) => a + (b - mean) ** 2, 0) / D;
    return row.map((x, i) => {
      const unit = (x - mean) / Math.sqrt(variance + epsilon);
      return unit * vector(`${name}.weight`)[i]! + vector(`${name}.bias`)[i]!;
    });
  };
  const keys = key.map((row) => normalize('dual_ln_full', row));
  const values = value.map((row) => normalize('dual_ln_full', row));
  const head = (row: readonly number[], n: number) => row.slice(n * H, (n + 1) * H);
  const onGrid = Array.from({ length: T }, (_, t) => C + t);
  const globals = Array.from({ length: C }, (_, c) => c);

  const slots = Array.from({ length: R }, (_, slot) => {
    const shares = Array.from({ length: N }, (_, n) => softmax(onGrid.map((t) => logit(t, n * R + slot))));
    const pooled = (tokens: Rows) =>
      shares.flatMap((share, n) =>
        mix(
          share,
          onGrid.map((t) => head(tokens[t]!, n)),
        ),
      );
    return { key: normalize('dual_ln_dp', pooled(keys)), value: normalize('dual_ln_dp', pooled(values)) };
  });

  const tokens = onGrid.map((t) => {
    const [i, j] = [Math.floor((t - C) / columns), (t - C) % columns];
    return Array.from({ length: N }, (_, n) => {
      const near = windowOf(i, j);
      const scores = [
        ...slots.map((slot) => score(t, slot.key, n)),
        ...near.map(({ place, bias }) => score(t, keys[C + place]!, n) + bias(n)),
        ...globals.map((c) => score(t, keys[c]!, n)),
      ];
      const seen = [
        ...slots.map((slot) => head(slot.value, n)),
        ...near.map(({ place }) => head(values[C + place]!, n)),
        ...globals.map((c) => head(values[c]!, n)),
      ];
      return mix(softmax(scores), seen);
    }).flat();
  });
  const ofGlobals = globals.map((c) =>
    Array.from({ length: N }, (_, n) => {
      const results = tokens.map((row) => head(row, n));
      const scores = [
        ...globals.map((other) => score(c, keys[other]!, n)),
        ...results.map((row) => scale * dot(head(query[c]!, n), row)),
      ];
      return mix(softmax(scores), [...globals.map((other) => head(values[other]!, n)), ...results]);
    }).flat(),
  );
  return [...ofGlobals, ...tokens];

  function logit(token: number, slot: number): number {
    const row = (weights('to_dynamic_projection.weight') as Rows)[slot]!;
    return dot(row, input[token]!) + vector('to_dynamic_projection.bias')[slot]!;
  }

  function score(token: number, other: readonly number[], n: number): number {
    return scale * dot(head(query[token]!, n), head(other, n));
  }

  /** Tokens of the grid in the square around the segment of (i, j), with the bias of each. */
  function windowOf(i: number, j: number): { place: number; bias: (n: number) => number }[] {
    if (W === 0) return [];
    const reach = Math.max(1, Math.floor(W / 2));
    const [top, left] = [Math.floor(i / W) * W, Math.floor(j / W) * W];
    const found = [];
    for (let a = top - reach; a < top + W + reach; a++)
      for (let b = left - reach; b < left + W + reach; b++) {
        if (a < 0 || a >= rows || b < 0 || b >= columns) continue;
        const bias = biasOf(i - a, j - b, reach);
        found.push({ place: a * columns + b, bias });
      }
    return found;
  }

  function biasOf(dRow: number, dColumn: number, reach: number): (n: number) => number {
    if (!config.relativeBias) return () => 0;
    const table = weights('local_relative_position_bias_table') as Rows;
    if (mode === 'reference' && W === 1) return (n) => table[0]![n]!;
    const offset = reach + W - 1;
    const stride = mode === 'reference' ? W + 2 * reach : 2 * offset + 1;
    return (n) => table[(dRow + offset) * stride + dColumn + offset]![n]!;
  }
}
