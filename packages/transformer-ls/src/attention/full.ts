/** Full softmax attention (Vaswani et al. 2017, equation 1): every token sees every token, at quadratic cost. */
import type { Tensor } from '@transformer-ls/torch';
import type { ObservableAttention, WeightsObserver } from './observed-weights.js';
import { inverseRoot, ProjectedAttention } from './projected-attention.js';
import { lowest } from './sequence-attention.js';
import { segmentTiling, type Tiling } from './windows.js';

/** Shape letters: N heads, B batch, L length, H head size. */
export class FullAttention extends ProjectedAttention implements ObservableAttention {
  observer: WeightsObserver | null = null;

  protected attend(query: Tensor, key: Tensor, value: Tensor, padding: Tensor | null): Tensor {
    const scores = query.mul(inverseRoot(query)).matmul(key.transpose(-1, -2)); // (N, B, L, L)
    const visible = padding === null ? scores : scores.maskedFill(padding.unsqueeze(1), lowest(scores));
    const weights = visible.softmax(-1);
    this.observer?.({ window: oneSegment(weights), compressed: null, projection: null, classToken: null });
    return this.drop(weights).matmul(value);
  }
}

/** (N, B, L, L) as a window that holds all. */
function oneSegment(weights: Tensor): { weights: Tensor; tiling: Tiling } {
  const L = weights.size(-1);
  return { weights: weights.unsqueeze(2), tiling: segmentTiling(L, L, 0) };
}
