/**
 * Consistent causal long-short attention for one row, query by query, straight from its definition: what the fast form answers
 * to. Everything is plain numbers in double precision.
 */
import { noGrad, scope, type Tensor } from '@transformer-ls/torch';
import type { CausalAttention } from '../../src/attention/causal.js';
import { sinusoidFrequencies } from '../../src/attention/positions.js';
import { dot, softmax } from './plain-numbers.js';

type Matrix = number[][];

function matrix(x: Tensor): Matrix {
  return x.to('float64').tolist() as Matrix;
}

/** [sin(p f) | cos(p f)] for every p, already multiplied by a linear layer. */
function projectedPositions(positions: number[], modelDim: number, project: (x: Matrix) => Matrix): Matrix {
  const frequencies = sinusoidFrequencies(modelDim).tolist() as number[]; // float32, like the model's
  return project(
    positions.map((p) => [
      ...frequencies.map((f) => Math.sin(p * f)),
      ...frequencies.map((f) => Math.cos(p * f)),
    ]),
  );
}

function linear(weight: Matrix, bias: readonly number[] | null): (x: Matrix) => Matrix {
  return (x) => x.map((row) => weight.map((w, o) => dot(w, row) + (bias?.[o] ?? 0)));
}

/** @param x (1, T, D); @returns (T, D) after proj_out */
export function slowCausalAttention(attention: CausalAttention, x: Tensor): Matrix {
  return noGrad(() => scope(() => slow(attention, x)));
}

function slow(attention: CausalAttention, x: Tensor): Matrix {
  const {
    modelDim: D,
    heads: N,
    windowSize: W,
    chunkSize: c,
    projectionRank: R,
    memoryLength,
  } = attention.config;
  const H = D / N;
  const part = (row: readonly number[], head: number) => row.slice(head * H, (head + 1) * H);
  const layer = (l: { weight: Tensor; bias: Tensor | null }) =>
    linear(matrix(l.weight), l.bias === null ? null : (l.bias.to('float64').tolist() as number[]));
  const q = matrix(attention.proj_query.forward(x).squeeze(0));
  const keys = attention.proj_key.forward(x).squeeze(0);
  const values = attention.proj_val.forward(x).squeeze(0);
  const windowKeys = matrix(attention.dual_ln_win.forward(keys));
  const windowValues = matrix(attention.dual_ln_win.forward(values));
  const [u, v] = [attention.r_w_bias, attention.r_r_bias].map((b) => matrix(b.reshape([N, H]))) as [
    Matrix,
    Matrix,
  ];
  const distances = projectedPositions([...Array(W).keys()], D, layer(attention.r_net));

  const T = q.length;
  const chunks = R === 0 ? [] : compress(attention, x, keys, values);
  const ids =
    R === 0
      ? []
      : projectedPositions([...Array(Math.ceil(T / c) * R).keys()], D, layer(attention.r_net_chunk!));

  const merged = q.map((query, t) => {
    const row: number[] = [];
    for (let n = 0; n < N; n++) {
      const qn = part(query, n).map((value) => value / Math.sqrt(H));
      const scores: number[] = [];
      const sources: number[][] = [];
      const own = Math.floor(t / c);
      for (let a = Math.max(0, own - memoryLength / c); a < own; a++) {
        for (let j = 0; j < R; j++) {
          const { key, value } = chunks[a]![j]!;
          const id = (own - 1 - a) * R + (R - 1 - j);
          scores.push(dot(qn, part(key, n)) + dot(qn, part(ids[id]!, n)));
          sources.push(part(value, n));
        }
      }
      for (let s = Math.max(0, t - W + 1); s <= t; s++) {
        const content = qn.map((value, i) => value + u[n]![i]!);
        const position = qn.map((value, i) => value + v[n]![i]!);
        scores.push(dot(content, part(windowKeys[s]!, n)) + dot(position, part(distances[t - s]!, n)));
        sources.push(part(windowValues[s]!, n));
      }
      const weights = softmax(scores);
      for (let i = 0; i < H; i++) row.push(weights.reduce((sum, w, k) => sum + w * sources[k]![i]!, 0));
    }
    return row;
  });
  return layer(attention.proj_out)(merged);
}

/** [chunk][slot] → normalised compressed key and value, complete chunks only. */
function compress(attention: CausalAttention, x: Tensor, keys: Tensor, values: Tensor) {
  const { modelDim: D, heads: N, chunkSize: c, projectionRank: R } = attention.config;
  const H = D / N;
  const logits = matrix(attention.dconv_1!.forward(x).squeeze(0));
  const [k, v] = [matrix(keys), matrix(values)];
  const complete = Math.floor(k.length / c);
  const normalise = (row: number[]) => layerNorm(row, attention.dual_ln_dproj!);
  return Array.from({ length: complete }, (_, a) =>
    Array.from({ length: R }, (_, j) => {
      const pool = (source: Matrix) =>
        Array.from({ length: D }, (_, d) => {
          const n = Math.floor(d / H);
          const weights = softmax(Array.from({ length: c }, (_, i) => logits[a * c + i]![n * R + j]!));
          return weights.reduce((sum, w, i) => sum + w * source[a * c + i]![d]!, 0);
        });
      return { key: normalise(pool(k)), value: normalise(pool(v)) };
    }),
  );
}

function layerNorm(row: number[], norm: { weight: Tensor; bias: Tensor }): number[] {
  const [weight, bias] = [norm.weight.tolist() as number[], norm.bias.tolist() as number[]];
  const mean = row.reduce((sum, value) => sum + value, 0) / row.length;
  const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / row.length;
  return row.map((value, i) => ((value - mean) / Math.sqrt(variance + 1e-5)) * weight[i]! + bias[i]!);
}
