/** Bidirectional long-short attention query by query in plain numbers, straight from spec 2.2: what the fast form answers to. */
import type { Tensor } from '@transformer-ls/torch';
import type { BidirectionalAttention } from '../../src/attention/bidirectional.js';
import { dot, mix, softmax } from './plain-numbers.js';

type Rows = number[][];

/** One row of the batch: x (L, D), which tokens are real, and the class token (D) or null → (L or 1+L, D). */
export function slowBidirectionalAttention(
  attention: BidirectionalAttention,
  x: Rows,
  real: readonly boolean[],
  classToken: number[] | null,
): Rows {
  const { heads: N, modelDim: D, windowSize: W, projectionRank: R } = attention.config;
  const H = D / N;
  const L = x.length;
  const weights = (name: string) => attention.stateDict().get(name)!.tolist() as number[][] & number[];
  const apply = (name: string, row: readonly number[]) =>
    (weights(`${name}.weight`) as Rows).map(
      (column, i) => dot(column, row) + (weights(`${name}.bias`) as number[])[i]!,
    );
  const normalize = (name: string, row: readonly number[]) => {
    const mean = row.reduce((a, b) => a + b, 0) / D;
    const variance = row.reduce((a, b) => a + (b - mean) ** 2, 0) / D;
    return row.map(
      (value, i) =>
        ((value - mean) / Math.sqrt(variance + 1e-5)) * (weights(`${name}.weight`) as number[])[i]! +
        (weights(`${name}.bias`) as number[])[i]!,
    );
  };
  const head = (row: readonly number[], n: number) => row.slice(n * H, (n + 1) * H);
  const queries = x.map((row) => apply('W_q', row).map((value) => value / Math.sqrt(H)));
  const keys = x.map((row) => normalize('dual_ln_l', apply('W_k', row)));
  const values = x.map((row) => normalize('dual_ln_l', apply('W_v', row)));

  const slotKeys: Rows = [];
  const slotValues: Rows = [];
  if (classToken !== null) {
    slotKeys.push(normalize('dual_ln_s', apply('W_k', classToken)));
    slotValues.push(normalize('dual_ln_s', apply('W_v', classToken)));
  }
  const logits = R > 0 ? x.map((row) => apply('dconv_fc', row)) : [];
  for (let slot = 0; slot < R; slot++) {
    const pooled = (tokens: Rows) =>
      Array.from({ length: N }, (_, n) => {
        const shares = softmax(
          logits.map((row, t) => (real[t] ? row[n * R + slot]! : Number.NEGATIVE_INFINITY)),
        );
        return mix(
          shares,
          tokens.map((row) => head(row, n)),
        );
      }).flat();
    slotKeys.push(normalize('dual_ln_s', pooled(keys)));
    slotValues.push(normalize('dual_ln_s', pooled(values)));
  }

  const reach = Math.max(1, Math.floor(W / 2));
  const seenBy = (t: number): number[] => {
    if (W === 0) return R === 0 ? [t] : [];
    const begin = Math.floor(t / W) * W;
    const places = Array.from({ length: W + 2 * reach }, (_, i) => begin - reach + i);
    return places.filter((place) => place >= 0 && place < L && real[place]);
  };
  const tokens = x.map((_, t) =>
    Array.from({ length: N }, (_, n) => {
      if (!real[t]) return Array<number>(H).fill(0);
      const seen = seenBy(t);
      const allKeys = [...slotKeys, ...seen.map((place) => keys[place]!)].map((row) => head(row, n));
      const allValues = [...slotValues, ...seen.map((place) => values[place]!)].map((row) => head(row, n));
      return mix(softmax(allKeys.map((key) => dot(head(queries[t]!, n), key))), allValues);
    }).flat(),
  );
  const rows = classToken === null ? tokens : [classRow(classToken), ...tokens];
  return rows.map((row) => apply('W_o', row));

  function classRow(token: number[]): number[] {
    const query = apply('W_q', token).map((value) => value / Math.sqrt(H));
    const [key, value] = [apply('W_k', token), apply('W_v', token)];
    const others = tokens.filter((_, t) => real[t]);
    return Array.from({ length: N }, (_, n) => {
      const scores = [key, ...others].map((row) => dot(head(query, n), head(row, n)));
      return mix(softmax(scores), [head(value, n), ...others.map((row) => head(row, n))]);
    }).flat();
  }
}

export function rowsOf(x: Tensor): Rows {
  return x.tolist() as Rows;
}
