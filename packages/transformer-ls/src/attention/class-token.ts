/**
 * The class token of bidirectional attention (spec 2.2 step 9): it sees itself, and the results of all tokens as their keys and values.
 *
 * Shape letters: B batch, L own tokens, N heads, H head size, D width.
 */
import type { ShardedSequence, Tensor } from '@transformer-ls/torch';
import { splitHeads } from './heads.js';
import { jointSoftmax, jointSoftmaxOverSequence } from './joint-softmax.js';

export interface ClassParts {
  readonly query: Tensor;
  /** (B, 1, D) */
  readonly key: Tensor;
  readonly value: Tensor;
  readonly heads: number;
}

export interface ClassWeights {
  /** (N, B, 1, 1) */
  readonly toItself: Tensor;
  /** (N, B, 1, L) */
  readonly toOthers: Tensor;
}

/**
 * What the class token sees: itself, and the *results* of the tokens as their keys and values (spec 2.2 step 9).
 *
 * @param tokens (N, B, L, H)
 */
export function classWeights(
  { query, key, heads }: ClassParts,
  tokens: Tensor,
  padding: Tensor | null,
  sequence: ShardedSequence | null,
): ClassWeights {
  const toTokens = query.matmul(tokens.transpose(-1, -2)); // (N, B, 1, L)
  const visible =
    padding === null ? toTokens : toTokens.maskedFill(padding.unsqueeze(1), Number.NEGATIVE_INFINITY); // itself it always sees
  const itself = query.mul(splitHeads(key, heads)).sum(-1, true);
  // Every process has the class token.
  const [toItself, toOthers] =
    sequence === null ? jointSoftmax(itself, visible) : jointSoftmaxOverSequence(itself, visible, sequence);
  return { toItself, toOthers };
}

/** tokens (N, B, L, H) → (N, B, 1, H). */
export function classResult(
  { value, heads }: ClassParts,
  tokens: Tensor,
  { toItself, toOthers }: ClassWeights,
  sequence: ShardedSequence | null,
): Tensor {
  const fromOthers = toOthers.matmul(tokens);
  return toItself
    .mul(splitHeads(value, heads))
    .add(sequence === null ? fromOthers : sequence.sum(fromOthers));
}
