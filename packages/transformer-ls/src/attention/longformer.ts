/**
 * Longformer (Beltagy et al. 2020, section 3.1): each token sees W/2 tokens on either side of it, and the first tokens are
 * global: they see all and are seen by all, with projections of their own.
 */
import { arange, cat, Linear, type Tensor } from '@transformer-ls/torch';
import { mergeHeads, splitHeads } from './heads.js';
import { jointSoftmax } from './joint-softmax.js';
import { AttentionProjections, inverseRoot, type ProjectedAttentionConfig } from './projected-attention.js';
import { lowest } from './sequence-attention.js';
import {
  bandMask,
  hiddenTileKeys,
  pool,
  tileKeys,
  tileQueries,
  tilingFor,
  untileQueries,
} from './windows.js';

export interface LongformerAttentionConfig extends ProjectedAttentionConfig {
  readonly windowSize: number;
  readonly globalTokens: number;
}

/** Shape letters: B batch, L length, D width, N heads, H head size, W window, g global tokens, Y keys of a tile of S queries. */
export class LongformerAttention extends AttentionProjections {
  readonly W_q_global: Linear;
  readonly W_k_global: Linear;
  readonly W_v_global: Linear;

  constructor(override readonly config: LongformerAttentionConfig) {
    super(config);
    const { modelDim: D } = config;
    const square = () => new Linear({ inFeatures: D, outFeatures: D });
    this.W_q_global = this.child('W_q_global', square());
    this.W_k_global = this.child('W_k_global', square());
    this.W_v_global = this.child('W_v_global', square());
  }

  forward(x: Tensor, mask: Tensor | null): Tensor {
    const g = Math.min(this.config.globalTokens, x.size(1));
    const padding = mask === null ? null : mask.logicalNot();
    const local = this.attendAround(x, padding, g); // (N, B, L, H)
    if (g === 0) return this.ff.forward(mergeHeads(local));
    const rest = x.size(1) - g;
    const all = cat([this.attendEverywhere(x, padding, g), local.narrow(2, g, rest)], 2);
    return this.ff.forward(mergeHeads(all));
  }

  /** What every token takes from its window and from the global tokens. */
  private attendAround(x: Tensor, padding: Tensor | null, g: number): Tensor {
    const { heads: N } = this.config;
    const reach = Math.floor(this.config.windowSize / 2);
    const tiling = tilingFor(x.size(1), 2 * reach + 1);
    const query = splitHeads(this.W_q.forward(x), N);
    const scaled = query.mul(inverseRoot(query));
    const keys = this.W_k.forward(x);
    const values = this.W_v.forward(x);
    const around = (tokens: Tensor) => tileKeys(tokens.pad([0, 0, reach, reach]), N, tiling); // (N, B, G, Y, H)
    const scores = tileQueries(scaled, tiling).matmul(around(keys).transpose(-1, -2));
    const hidden = hiddenTileKeys(query, orGlobal(query, padding, g), tiling);
    const outside = hidden.logicalOr(bandMask(tiling, query.device));
    const toWindow = scores.maskedFill(outside, lowest(scores)); // (N, B, G, S, Y)
    if (g === 0) return untileQueries(this.drop(toWindow.softmax(-1)).matmul(around(values)), tiling);
    const globalKeys = splitHeads(keys.narrow(1, 0, g), N);
    const byGlobal = scaled.matmul(globalKeys.transpose(-1, -2)); // (N, B, L, g)
    const toGlobal =
      padding === null
        ? byGlobal
        : byGlobal.maskedFill(padding.narrow(1, 0, g).unsqueeze(1), lowest(byGlobal));
    const [far, near] = jointSoftmax(tileQueries(toGlobal, tiling), toWindow);
    const fromGlobal = pool(this.drop(far), splitHeads(values.narrow(1, 0, g), N));
    return untileQueries(this.drop(near).matmul(around(values)).add(fromGlobal), tiling);
  }

  /** (N, B, g, H): what the global tokens take from all tokens. */
  private attendEverywhere(x: Tensor, padding: Tensor | null, g: number): Tensor {
    const { heads: N } = this.config;
    const query = splitHeads(this.W_q_global.forward(x.narrow(1, 0, g)), N);
    const keys = splitHeads(this.W_k_global.forward(x), N);
    const scores = query.mul(inverseRoot(query)).matmul(keys.transpose(-1, -2));
    const visible = padding === null ? scores : scores.maskedFill(padding.unsqueeze(1), lowest(scores));
    return this.drop(visible.softmax(-1)).matmul(splitHeads(this.W_v_global.forward(x), N));
  }
}

/** Padding and the g global tokens, which a window need not show again: (B or 1, L), or null where there is neither. */
function orGlobal(query: Tensor, padding: Tensor | null, g: number): Tensor | null {
  if (g === 0) return padding;
  const isGlobal = arange(0, query.size(2), 1, { device: query.device }).lt(g).unsqueeze(0);
  return padding === null ? isGlobal : padding.logicalOr(isGlobal);
}
