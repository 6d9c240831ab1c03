/**
 * Heads are contiguous slices of the width: channel n*H + i is component i of head n.
 *
 * Heads come before the batch, because positions are the same for all of the batch: queries (N, B*T, H) meet them in one
 * product per head instead of one per head and row of the batch.
 */
import type { Tensor } from '@transformer-ls/torch';

/** (B, L, D) → (N, B, L, H), a view. */
export function splitHeads(x: Tensor, heads: number): Tensor {
  const [B, L, D] = x.shape as [number, number, number];
  return x.reshape([B, L, heads, D / heads]).permute([2, 0, 1, 3]);
}

/** (N, B, L, H) → (B, L, D). */
export function mergeHeads(x: Tensor): Tensor {
  const [N, B, L, H] = x.shape as [number, number, number, number];
  return x.permute([1, 2, 0, 3]).reshape([B, L, N * H]);
}

/** Queries (N, B, T, H) and keys that the whole batch shares, (N, H, P) → (N, B, T, P). */
export function sharedScores(query: Tensor, keys: Tensor): Tensor {
  const [N, B, T, H] = query.shape as [number, number, number, number];
  return query
    .reshape([N, B * T, H])
    .matmul(keys)
    .reshape([N, B, T, keys.size(-1)]);
}
