/**
 * Linformer (Wang et al. 2020, section 4): keys and values are projected along the sequence to R learned mixtures. As in the
 * published comparison (spec 2.8) one projection serves keys, values and all layers, and every mixture is visible.
 *
 * The projection is learned for positions up to the longest sequence: it is not a function of the input, which is what
 * dynamic projection changes.
 */
import { empty, init, Module, type Tensor } from '@transformer-ls/torch';
import type { ObservableAttention, WeightsObserver } from './observed-weights.js';
import {
  inverseRoot,
  ProjectedAttention,
  type ProjectedAttentionConfig,
  withoutPadding,
} from './projected-attention.js';

export interface LinformerAttentionConfig extends ProjectedAttentionConfig {
  readonly projectionRank: number;
  readonly maxLength: number;
}

/** Holds the projection under its published name, `attn.E`. */
class SharedProjection extends Module {
  /** (N, R, longest L), N(0, 0.02) */
  readonly E: Tensor;

  constructor(shape: readonly number[], shared: Tensor | null) {
    super();
    this.E = this.parameter('E', shared ?? init.normal_(empty(shape), 0, 0.02));
  }
}

/** Shape letters: N heads, B batch, L length, H head size, R rank. */
export class LinformerAttention extends ProjectedAttention implements ObservableAttention {
  observer: WeightsObserver | null = null;
  private readonly attn: SharedProjection;

  /** @param earlier a layer of the same model, whose projection this one shares */
  constructor(
    override readonly config: LinformerAttentionConfig,
    earlier: LinformerAttention | null = null,
  ) {
    super(config);
    const { heads, projectionRank, maxLength } = config;
    const shape = [heads, projectionRank, maxLength];
    this.attn = this.child('attn', new SharedProjection(shape, earlier === null ? null : earlier.attn.E));
  }

  protected attend(query: Tensor, key: Tensor, value: Tensor, padding: Tensor | null): Tensor {
    const projection = this.attn.E.narrow(2, 0, key.size(2)).unsqueeze(1); // (N, 1, R, L)
    const [keys, values] = [key, value].map((x) => projection.matmul(withoutPadding(x, padding))) as [
      Tensor,
      Tensor,
    ]; // (N, B, R, H)
    const scores = query.mul(inverseRoot(query)).matmul(keys.transpose(-1, -2)); // (N, B, L, R)
    const weights = scores.softmax(-1);
    this.observer?.({ window: null, compressed: weights, projection, classToken: null });
    return this.drop(weights).matmul(values);
  }
}
