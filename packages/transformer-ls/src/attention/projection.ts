/**
 * The long-range part: each chunk of c neighbouring tokens is compressed to R vectors by weights computed from the input
 * (dynamic projection, spec 3.2 steps 2 to 4).
 *
 * Shape letters: B batch, n chunks, c tokens of a chunk, N heads, R rank, H head size, D = N*H.
 */
import type { Linear, Tensor } from '@transformer-ls/torch';

/**
 * Logits of the slots, a row for each: (B, L, D) → (B, N*R, L). Softmaxes over the sequence then run along rows, and nothing of the length
 * of the sequence is turned over.
 */
export function logitRows({ weight, bias }: Linear, x: Tensor): Tensor {
  const product = weight.matmul(x.transpose(1, 2));
  return bias === null ? product : product.add(bias.unsqueeze(-1));
}

/** Logits (B, n*c, N*R) → weights (B, n, c, N, R) that sum to 1 over the c tokens of each chunk. */
export function chunkWeights(logits: Tensor, chunkSize: number, heads: number): Tensor {
  const [B, L, slots] = logits.shape as [number, number, number];
  return logits.reshape([B, L / chunkSize, chunkSize, heads, slots / heads]).softmax(2);
}

/**
 * Each head pools its own slice of the width with its own weights.
 *
 * @param x (B, n*c, D)
 * @param weights (B, n, c, N, R)
 * @returns (B, n*R, D), ordered by chunk, then slot
 */
export function compressChunks(x: Tensor, weights: Tensor): Tensor {
  const [B, n, c, N, R] = weights.shape as [number, number, number, number, number];
  const D = x.size(-1);
  const tokens = x.reshape([B, n, c, N, 1, D / N]);
  const pooled = tokens.mul(weights.unsqueeze(-1)).sum(2); // (B, n, N, R, H)
  return pooled.transpose(2, 3).reshape([B, n * R, D]);
}
