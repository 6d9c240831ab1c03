/**
 * Performer (Choromanski et al. 2021): FAVOR+, an unbiased estimate of softmax attention by positive orthogonal random
 * features (lemma 1 and section 2.4), at linear cost.
 */
import { cat, operator, randn, scope, type Tensor } from '@transformer-ls/torch';
import { kernelAttention } from './linear.js';
import { ProjectedAttention, type ProjectedAttentionConfig, withoutPadding } from './projected-attention.js';
import { lowest } from './sequence-attention.js';

const qr = operator('aten::linalg_qr');

export interface PerformerAttentionConfig extends ProjectedAttentionConfig {
  readonly randomFeatures: number;
}

/** Shape letters: N heads, B batch, L length, H head size, F features. */
export class PerformerAttention extends ProjectedAttention {
  /** (F, H): drawn once and kept with the weights, so that a trained model means the same tomorrow. */
  private readonly directions: Tensor;

  constructor(override readonly config: PerformerAttentionConfig) {
    super(config);
    const { modelDim, heads, randomFeatures } = config;
    const directions = scope(() => orthogonalDirections(randomFeatures, modelDim / heads));
    this.directions = this.buffer('directions', directions);
  }

  protected attend(query: Tensor, key: Tensor, value: Tensor, padding: Tensor | null): Tensor {
    // A factor that is the same for all keys of a query cancels: each query's own maximum, and one maximum for the keys.
    const q = this.exponents(query);
    const k = this.exponents(key);
    const visible = padding === null ? k : k.maskedFill(padding.unsqueeze(-1), lowest(k));
    const queryFeatures = q.sub(q.detach().amax(-1, true)).exp();
    const keyFeatures = visible.sub(visible.detach().amax([2, 3], true)).exp();
    return kernelAttention(queryFeatures, withoutPadding(keyFeatures, padding), value);
  }

  /** (N, B, L, H) → ω·x - |x|²/2 with x scaled so that exp sums to softmax's kernel: (N, B, L, F). */
  private exponents(x: Tensor): Tensor {
    const scaled = x.mul(x.size(-1) ** -0.25);
    const halfNorm = scaled.square().sum(-1, true).mul(0.5);
    return scaled.matmul(this.directions.transpose(0, 1)).sub(halfNorm);
  }
}

/** F rows of size H: blocks of H orthogonal directions with lengths as of Gaussian vectors. */
function orthogonalDirections(F: number, H: number): Tensor {
  const blocks = Array.from({ length: Math.ceil(F / H) }, () => qr(randn([H, H]), 'reduced')[0]);
  const lengths = randn([F, H]).norm(-1, true); // (F, 1)
  return cat(blocks, 0).narrow(0, 0, F).mul(lengths);
}
