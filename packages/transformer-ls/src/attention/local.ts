/**
 * Block-local attention (the "local attention" of Long Range Arena, Tay et al. 2021): the sequence is cut into blocks of W
 * tokens, and a token sees its own block. What lies further away it never learns of.
 */
import type { Tensor } from '@transformer-ls/torch';
import type { ObservableAttention, WeightsObserver } from './observed-weights.js';
import { inverseRoot, ProjectedAttention, type ProjectedAttentionConfig } from './projected-attention.js';
import { lowest } from './sequence-attention.js';
import { hiddenTileKeys, segmentTiling, tileQueries, untileQueries } from './windows.js';

export interface LocalAttentionConfig extends ProjectedAttentionConfig {
  readonly windowSize: number;
}

/** Shape letters: N heads, B batch, L length, H head size, W tokens of a block, G blocks. */
export class LocalAttention extends ProjectedAttention implements ObservableAttention {
  observer: WeightsObserver | null = null;

  constructor(override readonly config: LocalAttentionConfig) {
    super(config);
  }

  protected attend(query: Tensor, key: Tensor, value: Tensor, padding: Tensor | null): Tensor {
    const tiling = segmentTiling(query.size(2), this.config.windowSize, 0);
    const [q, k, v] = [query, key, value].map((x) => tileQueries(x, tiling)) as [Tensor, Tensor, Tensor];
    const scores = q.mul(inverseRoot(q)).matmul(k.transpose(-1, -2)); // (N, B, G, W, W)
    const visible = scores.maskedFill(hiddenTileKeys(query, padding, tiling), lowest(scores));
    const weights = visible.softmax(-1);
    this.observer?.({ window: { weights, tiling }, compressed: null, projection: null, classToken: null });
    return untileQueries(this.drop(weights).matmul(v), tiling);
  }
}
