/**
 * Nyströmformer (Xiong et al. 2021, section 3): softmax attention rebuilt from m landmarks, the means of m segments, and an
 * iterated pseudo-inverse of the m x m attention between them.
 */
import { arange, eye, type Tensor, zeros } from '@transformer-ls/torch';
import { ProjectedAttention, type ProjectedAttentionConfig, withoutPadding } from './projected-attention.js';
import { lowest } from './sequence-attention.js';

export interface NystromAttentionConfig extends ProjectedAttentionConfig {
  readonly landmarks: number;
  /**
   * reference: segments of the padded length, and one scale of the pseudo-inverse for the whole batch, as in the published
   * comparison; consistent: segments of each row's own tokens, so that padding and neighbours change nothing.
   */
  readonly mode: 'consistent' | 'reference';
}

/** Newton steps of the pseudo-inverse; the paper uses six. */
const ITERATIONS = 6;

/** Shape letters: N heads, B batch, L length, H head size, m landmarks. */
export class NystromAttention extends ProjectedAttention {
  constructor(override readonly config: NystromAttentionConfig) {
    super(config);
  }

  protected attend(query: Tensor, key: Tensor, value: Tensor, padding: Tensor | null): Tensor {
    const scale = query.size(-1) ** -0.25;
    const [q, k] = [query, key].map((x) => withoutPadding(x.mul(scale), padding)) as [Tensor, Tensor];
    const means = this.segmentMeans(q, padding);
    const [queryLandmarks, keyLandmarks] = [means(q), means(k)]; // (N, B, m, H)
    const toLandmarks = q.matmul(keyLandmarks.transpose(-1, -2)).softmax(-1); // (N, B, L, m)
    const between = queryLandmarks.matmul(keyLandmarks.transpose(-1, -2)).softmax(-1); // (N, B, m, m)
    const scores = queryLandmarks.matmul(k.transpose(-1, -2)); // (N, B, m, L)
    const visible = padding === null ? scores : scores.maskedFill(padding.unsqueeze(1), lowest(scores));
    const fromTokens = this.drop(visible.softmax(-1)).matmul(value); // (N, B, m, H)
    return toLandmarks.matmul(pseudoInverse(between, this.config.mode).matmul(fromTokens));
  }

  private segmentMeans(x: Tensor, padding: Tensor | null): (x: Tensor) => Tensor {
    const { landmarks, mode } = this.config;
    const [N, B, L, H] = x.shape as [number, number, number, number];
    const even = L % landmarks === 0;
    if (even && (padding === null || mode === 'reference'))
      return (tokens) => tokens.reshape([N, B, landmarks, L / landmarks, H]).mean(3);
    const weights = segmentWeights(x, padding, landmarks); // (B, m, L)
    return (tokens) => weights.matmul(tokens);
  }
}

/**
 * Weights of the means, (B, m, L), for x (N, B, L, H): the i-th of a row's n tokens counts 1/size in segment floor(i*m/n). A row
 * with fewer tokens than landmarks has segments without tokens, whose mean is 0. Counted in float32: half precision has no room
 * for the number of a token.
 */
export function segmentWeights(x: Tensor, padding: Tensor | null, landmarks: number): Tensor {
  const none = zeros([x.size(1), x.size(2)], {
    dtype: x.dtype === 'float64' ? 'float64' : 'float32',
    device: x.device,
  });
  const real = padding === null ? none.add(1) : none.add(1).maskedFill(padding, 0); // (B, L)
  const total = real.sum(1, true).clamp(1);
  const rank = real.cumsum(1).sub(1).clamp(0);
  const segment = rank.mul(landmarks).div(total).floor(); // (B, L)
  const ids = arange(0, landmarks, 1, { dtype: real.dtype, device: x.device }).reshape([landmarks, 1]);
  const member = segment.unsqueeze(1).eq(ids).to(real.dtype).mul(real.unsqueeze(1)); // (B, m, L)
  return member.div(member.sum(-1, true).clamp(1)).to(x.dtype);
}

/** Newton-Schulz of third order (equation 11), started from the transpose over its norms. (N, B, m, m) → the same. */
function pseudoInverse(matrix: Tensor, mode: 'consistent' | 'reference'): Tensor {
  const identity = eye(matrix.size(-1), { device: matrix.device }).to(matrix.dtype); // libtorch makes none of half precision
  const columnSums = matrix.sum(-2, true); // rows sum to 1
  const largest = mode === 'reference' ? columnSums.amax([0, 1, 2, 3], true) : columnSums.amax(-1, true);
  let inverse = matrix.transpose(-1, -2).div(largest);
  for (let i = 0; i < ITERATIONS; i++) {
    const product = matrix.matmul(inverse);
    const inner = identity.mul(7).sub(product);
    const middle = identity.mul(15).sub(product.matmul(inner));
    inverse = inverse.mul(0.25).matmul(identity.mul(13).sub(product.matmul(middle)));
  }
  return inverse;
}
