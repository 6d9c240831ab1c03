/** Full softmax attention (Vaswani et al. 2017, equation 1): every token sees every token, at quadratic cost. */
import type { Tensor } from '@transformer-ls/torch';
import { inverseRoot, ProjectedAttention } from './projected-attention.js';
import { lowest } from './sequence-attention.js';

/** Shape letters: N heads, B batch, L length, H head size. */
export class FullAttention extends ProjectedAttention {
  protected attend(query: Tensor, key: Tensor, value: Tensor, padding: Tensor | null): Tensor {
    const scores = query.mul(inverseRoot(query)).matmul(key.transpose(-1, -2)); // (N, B, L, L)
    const visible = padding === null ? scores : scores.maskedFill(padding.unsqueeze(1), lowest(scores));
    return this.drop(visible.softmax(-1)).matmul(value);
  }
}
