/**
 * What the mechanisms that long-short attention is compared with share: projections to queries, keys and values and back,
 * under the names of the published comparison (spec 2.8).
 *
 * Shape letters: B batch, L length, D width, N heads, H = D/N.
 */
import { dropout, Linear, Module, type Tensor } from '@transformer-ls/torch';
import { mergeHeads, splitHeads } from './heads.js';
import type { SequenceAttention } from './sequence-attention.js';

export interface ProjectedAttentionConfig {
  readonly modelDim: number;
  readonly heads: number;
  readonly attentionDropout: number;
}

/** The projections, for mechanisms that attend in their own way. */
export abstract class AttentionProjections extends Module implements SequenceAttention {
  readonly takesClassToken = false;
  readonly W_q: Linear;
  readonly W_k: Linear;
  readonly W_v: Linear;
  readonly ff: Linear;

  constructor(readonly config: ProjectedAttentionConfig) {
    super();
    const { modelDim: D } = config;
    const square = () => new Linear({ inFeatures: D, outFeatures: D });
    this.W_q = this.child('W_q', square());
    this.W_k = this.child('W_k', square());
    this.W_v = this.child('W_v', square());
    this.ff = this.child('ff', square());
  }

  abstract forward(x: Tensor, mask: Tensor | null): Tensor;

  protected drop(weights: Tensor): Tensor {
    return dropout(weights, this.config.attentionDropout, this.training);
  }
}

/** Mechanisms that need nothing but queries, keys and values. */
export abstract class ProjectedAttention extends AttentionProjections {
  forward(x: Tensor, mask: Tensor | null): Tensor {
    const [query, key, value] = [this.W_q, this.W_k, this.W_v].map((projection) =>
      splitHeads(projection.forward(x), this.config.heads),
    ) as [Tensor, Tensor, Tensor];
    const padding = mask === null ? null : mask.logicalNot();
    return this.ff.forward(mergeHeads(this.attend(query, key, value, padding)));
  }

  /**
   * @param query (N, B, L, H), as are key and value
   * @param padding (B, L) bool, true = padding; null: none
   * @returns (N, B, L, H); what stands at padding is read by nobody, but must be finite
   */
  protected abstract attend(query: Tensor, key: Tensor, value: Tensor, padding: Tensor | null): Tensor;
}

/** 1/sqrt(H) for tensors (…, H). */
export function inverseRoot(x: Tensor): number {
  return 1 / Math.sqrt(x.size(-1));
}

/** Zeros in place of padding: x (N, B, L, H), padding (B, L) or null. */
export function withoutPadding(x: Tensor, padding: Tensor | null): Tensor {
  return padding === null ? x : x.maskedFill(padding.unsqueeze(-1), 0);
}
