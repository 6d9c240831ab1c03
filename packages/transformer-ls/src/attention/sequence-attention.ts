/**
 * What every attention over a whole sequence has in common: long-short attention and the mechanisms it is compared with.
 *
 * Shape letters: B batch, L length, D width.
 */
import type { Module, ShardedSequence, Tensor } from '@transformer-ls/torch';

/** Attention of all tokens of a sequence to one another, in both directions. */
export interface SequenceAttention extends Module {
  /**
   * @param x (B, L, D)
   * @param mask (B, L) bool, true = a token, false = padding; null: no padding. Padding changes no token's result, and a row
   *   of padding only gives finite numbers, forward and backward
   * @param classToken (B, 1, D), where the mechanism has a way to attend with one (`takesClassToken`); null: none
   * @param classTokenOnly with a class token: its result is all that is wanted
   * @param sequence where x is a stretch of a sequence that is spread over processes, and the mechanism can attend to one
   *   (`takesSharded`): the class token, which every process has, and its result are then those of the whole
   * @returns (B, L, D); with a class token (B, 1+L, D), its result first, or (B, 1, D)
   */
  forward(
    x: Tensor,
    mask: Tensor | null,
    classToken?: Tensor | null,
    classTokenOnly?: boolean,
    sequence?: ShardedSequence | null,
  ): Tensor;

  readonly takesClassToken: boolean;
  readonly takesSharded?: boolean;
}

/** The lowest number of the type: as a score it weighs nothing beside any other, and alone it does not become NaN. */
export function lowest({ dtype }: Tensor): number {
  switch (dtype) {
    case 'float16':
      return -65504;
    case 'bfloat16':
      return -(2 - 2 ** -7) * 2 ** 127;
    case 'float64':
      return -Number.MAX_VALUE;
    default:
      return -(2 - 2 ** -23) * 2 ** 127;
  }
}
