/** The parameters of causal long-short attention, the same in both modes and under the published names (spec 3.10). */
import { empty, init, LayerNorm, Linear, Module, type Tensor } from '@transformer-ls/torch';

export interface CausalAttentionConfig {
  modelDim: number;
  heads: number;
  windowSize: number;
  chunkSize: number;
  projectionRank: number;
  projectionBiases: boolean;
}

/** Heads of projected positions: (P, D) → (N, H, P). */
export function positionKeys(projected: Tensor, heads: number): Tensor {
  const [P, D] = projected.shape as [number, number];
  return projected.reshape([P, heads, D / heads]).permute([1, 2, 0]);
}

/** Shape letters: D model width, N heads, H head size, R rank. */
export abstract class CausalAttentionParameters extends Module {
  /** (1, N, 1, H): joins the query where it meets window positions. */
  readonly r_r_bias: Tensor;
  /** (1, N, 1, 1, H): joins the query where it meets window keys. */
  readonly r_w_bias: Tensor;
  /** D → N*R logits of the chunk weights; this and the two other long-range parts are absent where the rank is 0. */
  readonly dconv_1: Linear | null;
  /** Window and chunk positions to keys. */
  readonly r_net: Linear;
  readonly r_net_chunk: Linear | null;
  readonly proj_query: Linear;
  readonly proj_out: Linear;
  readonly proj_val: Linear;
  readonly proj_key: Linear;
  /** Norm of the compressed keys and values, and of the window's: DualLN. */
  readonly dual_ln_dproj: LayerNorm | null;
  readonly dual_ln_win: LayerNorm;

  constructor(readonly config: CausalAttentionConfig) {
    super();
    const { modelDim: D, heads: N, projectionRank: R, projectionBiases: bias } = config;
    const H = D / N;
    const square = (withBias: boolean) => new Linear({ inFeatures: D, outFeatures: D, bias: withBias });
    this.r_r_bias = this.parameter('r_r_bias', empty([1, N, 1, H]));
    this.r_w_bias = this.parameter('r_w_bias', empty([1, N, 1, 1, H]));
    this.dconv_1 = R > 0 ? this.child('dconv_1', new Linear({ inFeatures: D, outFeatures: N * R })) : null;
    this.r_net = this.child('r_net', square(false));
    this.r_net_chunk = R > 0 ? this.child('r_net_chunk', square(true)) : null;
    this.proj_query = this.child('proj_query', square(bias));
    this.proj_out = this.child('proj_out', square(bias));
    this.proj_val = this.child('proj_val', square(bias));
    this.proj_key = this.child('proj_key', square(bias));
    this.dual_ln_dproj = R > 0 ? this.child('dual_ln_dproj', new LayerNorm({ dim: D })) : null;
    this.dual_ln_win = this.child('dual_ln_win', new LayerNorm({ dim: D }));
    init.normal_(this.r_r_bias, 0, 0.02);
    init.normal_(this.r_w_bias, 0, 0.02);
  }
}
