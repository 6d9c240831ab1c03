/** Heads are contiguous slices of the width: channel n*H + i is component i of head n. */
import type { Tensor } from '@transformer-ls/torch';

/** (B, L, D) → (B, N, L, H), a view. */
export function splitHeads(x: Tensor, heads: number): Tensor {
  const [B, L, D] = x.shape as [number, number, number];
  return x.reshape([B, L, heads, D / heads]).transpose(1, 2);
}

/** (B, N, L, H) → (B, L, D). */
export function mergeHeads(x: Tensor): Tensor {
  const [B, N, L, H] = x.shape as [number, number, number, number];
  return x.transpose(1, 2).reshape([B, L, N * H]);
}
