/**
 * Linear transformer (Katharopoulos et al. 2020, equations 5 and 7): the softmax is replaced by a product of elu(x) + 1, so
 * that keys and values are summed once for all queries.
 */
import { operator, type Tensor } from '@transformer-ls/torch';
import { ProjectedAttention, withoutPadding } from './projected-attention.js';

const elu = operator('aten::elu');

/** Shape letters: N heads, B batch, L length, H head size. */
export class LinearAttention extends ProjectedAttention {
  protected attend(query: Tensor, key: Tensor, value: Tensor, padding: Tensor | null): Tensor {
    return kernelAttention(positive(query), withoutPadding(positive(key), padding), value);
  }
}

function positive(x: Tensor): Tensor {
  return elu(x).add(1);
}

/**
 * Attention by features: out = φ(q) (φ(k)ᵀ v) / (φ(q) · Σ φ(k)), at a cost that grows linearly with L.
 *
 * @param query (N, B, L, F) features, not negative
 * @param key (N, B, L, F) features, zeros at padding
 * @param value (N, B, L, H)
 * @returns (N, B, L, H)
 */
export function kernelAttention(query: Tensor, key: Tensor, value: Tensor): Tensor {
  const summary = key.transpose(-1, -2).matmul(value); // (N, B, F, H)
  const total = query.matmul(key.sum(2).unsqueeze(-1)); // (N, B, L, 1)
  return query.matmul(summary).div(total.clamp(smallest(query))); // 0/0 where all is padding
}

function smallest(x: Tensor): number {
  return x.dtype === 'float64' ? 1e-30 : 1e-12;
}
