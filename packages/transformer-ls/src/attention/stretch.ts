/**
 * The tokens that a layer computes: a whole sequence, or of one that is spread over processes the own tokens and those around
 * them that they see. What is around is computed twice, here and where it belongs, so that only layer inputs travel.
 *
 * Shape letters: B batch, L own tokens, A tokens with those around, D width.
 */
import { ArgumentError, type ShardedSequence, type Tensor, zeros } from '@transformer-ls/torch';

export interface Stretch {
  /** (B, A, D) */
  readonly x: Tensor;
  /** (B, A) bool, true = a token; null: all are. */
  readonly mask: Tensor | null;
  /** The own tokens among them. */
  readonly first: number;
  readonly count: number;
  /** null: the whole sequence is here. */
  readonly sequence: ShardedSequence | null;
}

export function wholeSequence(x: Tensor, mask: Tensor | null): Stretch {
  return { x, mask, first: 0, count: x.size(1), sequence: null };
}

/**
 * @param x (B, L, D), the own tokens
 * @param mask of them
 * @param reach tokens on either side that the own ones see
 * @param unit what the place of the first own token must be a multiple of
 */
export function stretchOf(
  sequence: ShardedSequence,
  x: Tensor,
  mask: Tensor | null,
  reach: number,
  unit: number,
): Stretch {
  if (x.size(1) !== sequence.own)
    throw new ArgumentError(
      `expected the ${sequence.own} tokens of rank ${sequence.group.rank}, received ${x.size(1)}`,
    );
  const uneven = sequence.lengths.slice(0, -1).find((length) => length % unit !== 0);
  if (uneven !== undefined)
    throw new ArgumentError(
      `expected stretches of whole windows of ${unit} tokens, save the last, received ${uneven}`,
    );
  const place = { first: Math.min(reach, sequence.start), count: sequence.own, sequence };
  if (reach === 0) return { x, mask, ...place };
  return {
    x: sequence.extend(x, reach, reach),
    // Bytes: Gloo sends no booleans.
    mask: mask === null ? null : sequence.extend(mask.to('uint8'), reach, reach).to('bool'),
    ...place,
  };
}

/** The own ones along an axis of A. */
export function ownOf(tensor: Tensor, { first, count }: Stretch, axis: number): Tensor {
  return tensor.size(axis) === count ? tensor : tensor.narrow(axis, first, count);
}

/** (B, A) bool: the own tokens that are no padding; null: all of A are. */
export function ownVisible({ x, mask, first, count }: Stretch): Tensor | null {
  const [B, A] = x.shape as [number, number];
  if (A === count) return mask;
  const own = zeros([B, A], { dtype: 'bool', device: x.device });
  const inner = own.narrow(1, first, count);
  if (mask === null) inner.fill_(true);
  else inner.copy_(mask.narrow(1, first, count));
  return own;
}
