/**
 * The fused operator of causal long-short attention: scores by content and by distance over the window and over compressed
 * chunks, one softmax, and what the values make of it, without keeping any score. CPU, float32 and float64.
 *
 * Shape letters: B batch, T tokens of the segment, M window tokens before it, N heads, H head size, D = N*H, W window, C compressed
 * keys, P chunk ids.
 */
import { operator, type Tensor } from '@transformer-ls/torch';
import { asHeads } from './fused.js';

export interface CausalInput {
  /** (B, T, D), not scaled. */
  readonly query: Tensor;
  /** (B, M+T, D): the last W-1 tokens before the segment, as many as there are, then those of the segment. */
  readonly windowKeys: Tensor;
  readonly windowValues: Tensor;
  /** N*H numbers each: join the scaled query where it meets window keys, and window positions. */
  readonly windowBias: Tensor;
  readonly positionBias: Tensor;
  /** (N, H, W): distances W-1 … 0. */
  readonly windowPositions: Tensor;
  /** null: a segment that sees no chunks. */
  readonly chunks: CausalChunks | null;
  readonly heads: number;
}

export interface CausalChunks {
  /** (B, C, D), ordered by chunk, then slot, the oldest chunk first. */
  readonly keys: Tensor;
  readonly values: Tensor;
  /** (N, H, P): ids P-1 … 0, at least as many as the reach. */
  readonly positions: Tensor;
  readonly size: number;
  readonly rank: number;
  /** Tokens of the chunk in which the segment begins that come before it, and chunks before that one. */
  readonly offset: number;
  readonly remembered: number;
  /** Compressed keys that a query sees, at most. */
  readonly reach: number;
}

type Operator = (
  query: Tensor,
  windowKey: Tensor,
  windowValue: Tensor,
  windowBias: Tensor | null,
  positionBias: Tensor | null,
  windowPositions: Tensor | null,
  chunkKey: Tensor | null,
  chunkValue: Tensor | null,
  chunkPositions: Tensor | null,
  window: number,
  chunks: readonly number[],
  scale: number,
  dropout: number,
  seed: number,
) => Tensor;

const causalOperator = operator<Operator>('tls::causal_attention');

/** What the queries take from the values, (B, T, D). */
export function causalAttention(input: CausalInput): Tensor {
  const { query, windowKeys, windowValues, windowBias, positionBias, windowPositions, chunks, heads } = input;
  const H = query.size(2) / heads;
  const placement =
    chunks === null
      ? [1, 0, 0, 0, 0]
      : [chunks.size, chunks.rank, chunks.offset, chunks.remembered, chunks.reach];
  return causalOperator(
    asHeads(query, heads),
    asHeads(windowKeys, heads),
    asHeads(windowValues, heads),
    windowBias.reshape([heads, H]),
    positionBias.reshape([heads, H]),
    windowPositions.permute([2, 0, 1]),
    chunks === null ? null : asHeads(chunks.keys, heads),
    chunks === null ? null : asHeads(chunks.values, heads),
    chunks === null ? null : chunks.positions.permute([2, 0, 1]),
    windowPositions.size(2),
    placement,
    1 / Math.sqrt(H),
    0,
    0,
  ).flatten(2);
}
