/**
 * Heads on a grid: contiguous slices of the width, as everywhere. Here the batch comes before the heads: the rows of an image share
 * their segments, and nothing but the biases is common to the whole batch.
 */
import type { Tensor } from '@transformer-ls/torch';

/** (B, L, D) → (B, N, L, H), a view. */
export function splitRows(x: Tensor, heads: number): Tensor {
  const [B, L, D] = x.shape as [number, number, number];
  return x.reshape([B, L, heads, D / heads]).transpose(1, 2);
}

/** (B, N, L, H) → (B, L, D). */
export function mergeRows(x: Tensor): Tensor {
  const [B, N, L, H] = x.shape as [number, number, number, number];
  return x.transpose(1, 2).reshape([B, L, N * H]);
}
