/**
 * Looking at the weights of an attention while it computes: pictures are drawn from what the model used, not from a second
 * computation that might differ.
 *
 * Shape letters: N heads, B batch, L length, R rank, C compressed keys (R, and the class token's own before them), G segments of
 * S queries, Y keys that a segment sees.
 */
import type { Tensor } from '@transformer-ls/torch';
import type { SequenceAttention } from './sequence-attention.js';
import type { Tiling } from './windows.js';

/** The weights of one forward pass, before dropout. The weights of a token over its window and the compressed keys sum to 1. */
export interface ObservedWeights {
  /** Of each token over the tokens around it, (N, B, G, S, Y); null: it sees none of them directly. */
  readonly window: { readonly weights: Tensor; readonly tiling: Tiling } | null;
  /** Of each token over the compressed keys, (N, B, L, C); null: there are none. */
  readonly compressed: Tensor | null;
  /** Of each compressed key over the tokens that it is made of, (N, B, R, L). */
  readonly projection: Tensor | null;
  /** Of the class token over itself and the results of the tokens, (N, B, 1, 1+L); null: there is none. */
  readonly classToken: Tensor | null;
}

/** Is called in the forward pass; the tensors are freed soon after, so that what is wanted must be copied at once. */
export type WeightsObserver = (weights: ObservedWeights) => void;

/** Attention that has weights to look at. */
export interface ObservableAttention extends SequenceAttention {
  /** null, as it is at first: nobody looks, and nothing is computed for looking. */
  observer: WeightsObserver | null;
}

export function isObservable(attention: SequenceAttention): attention is ObservableAttention {
  return 'observer' in attention;
}
