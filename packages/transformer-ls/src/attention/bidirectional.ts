/**
 * Bidirectional long-short attention (spec 2.2), fused or composed of plain operators: a segment's queries see the segment and E
 * tokens on either side of it, and R vectors per head that the whole sequence is compressed to, under one softmax.
 *
 * Shape letters: B batch, L length, D width, N heads, H = D/N, R rank, W window, E reach beyond a segment, G segments,
 * Y = W+2E keys of a segment, C compressed keys (R, and the class token's).
 */
import {
  ArgumentError,
  cat,
  dropout,
  empty,
  forwardAll,
  fusedMapsFor,
  init,
  LayerNorm,
  Linear,
  Module,
  operator,
  type Tensor,
} from '@transformer-ls/torch';
import {
  asHeads,
  attentionFused,
  bidirectionalLayer,
  type KeptProjections,
  poolTokens,
  weightDropout,
  windowAttention,
} from './fused.js';
import { mergeHeads, splitHeads } from './heads.js';
import { jointSoftmax } from './joint-softmax.js';
import type { ObservableAttention, WeightsObserver } from './observed-weights.js';
import { logitRows } from './projection.js';
import { lowest } from './sequence-attention.js';
import {
  hiddenTileKeys,
  pool,
  segmentTiling,
  type Tiling,
  tileKeys,
  tileQueries,
  untileQueries,
} from './windows.js';

const conv2d = operator('aten::conv2d');

export interface BidirectionalAttentionConfig {
  modelDim: number;
  heads: number;
  /** 0: no window, unless the rank is 0 too: then each token sees itself. */
  windowSize: number;
  /** 0: only the window. */
  projectionRank: number;
  /** Odd length of a convolution of the values that is added to the output; null: none. */
  convolutionSize: number | null;
  attentionDropout: number;
  /** reference: the length must be a multiple of the window, as published. */
  mode: 'consistent' | 'reference';
}

/** Width from which on the values are computed again. */
const WIDE = 256;

export function keptByDefault(modelDim: number): KeptProjections {
  return modelDim < WIDE ? 'keys and values' : 'keys';
}

/** Under the published names, which say the reverse of the paper: `dual_ln_l` is the window's norm (quirk 1). */
export class BidirectionalAttention extends Module implements ObservableAttention {
  readonly takesClassToken = true;
  observer: WeightsObserver | null = null;
  /**
   * Where the whole layer is one operator: which of all keys and values are kept for the backward pass. Each that is computed again takes a
   * tenth more time. Default: both, or keys alone where the layer is wide, and they are most of what it holds.
   */
  keeps: KeptProjections;
  readonly W_q: Linear;
  readonly W_k: Linear;
  readonly W_v: Linear;
  readonly W_o: Linear;
  /** D → N*R logits of the weights by which the sequence is compressed; absent where the rank is 0. */
  readonly dconv_fc: Linear | null;
  /** Norm of the compressed keys and values. */
  readonly dual_ln_s: LayerNorm;
  /** Norm of all keys and values, before they are seen or compressed. */
  readonly dual_ln_l: LayerNorm;
  private readonly conv: Convolution | null;

  constructor(readonly config: BidirectionalAttentionConfig) {
    super();
    const { modelDim: D, heads: N, projectionRank: R, convolutionSize } = config;
    this.keeps = keptByDefault(D);
    const square = () => new Linear({ inFeatures: D, outFeatures: D });
    this.W_q = this.child('W_q', square());
    this.W_k = this.child('W_k', square());
    this.W_v = this.child('W_v', square());
    this.W_o = this.child('W_o', square());
    this.dconv_fc = R > 0 ? this.child('dconv_fc', new Linear({ inFeatures: D, outFeatures: N * R })) : null;
    this.dual_ln_s = this.child('dual_ln_s', new LayerNorm({ dim: D }));
    this.dual_ln_l = this.child('dual_ln_l', new LayerNorm({ dim: D }));
    this.conv = convolutionSize === null ? null : this.child('conv', new Convolution(N, convolutionSize));
  }

  /** See `SequenceAttention`. With neither window nor compressed keys a class token is needed. */
  forward(
    x: Tensor,
    mask: Tensor | null,
    classToken: Tensor | null = null,
    classTokenOnly: boolean = false,
  ): Tensor {
    const { modelDim, heads } = this.config;
    const own = classToken === null ? null : { token: classToken, alone: classTokenOnly };
    return this.observer === null && attentionFused(x, modelDim / heads)
      ? this.fused(x, mask, own)
      : this.composed(x, mask, own);
  }

  private composed(x: Tensor, mask: Tensor | null, classToken: ClassToken | null): Tensor {
    const tiling = this.segments(x.size(1));
    const padding = mask === null ? null : mask.logicalNot(); // (B, L)
    const query = this.query(x); // (N, B, L, H)
    const keys = this.dual_ln_l.forward(this.W_k.forward(x)); // (B, L, D)
    const values = this.dual_ln_l.forward(this.W_v.forward(x));
    const first = classToken === null ? null : this.classParts(classToken.token);
    const projection = this.projection(x, padding);
    const compressed = this.compress(projection, keys, values, first);

    const weights = this.weights(query, keys, padding, compressed, tiling);
    const attended = this.attend(weights, values, compressed, tiling);
    const tokens = padding === null ? attended : attended.maskedFill(padding.unsqueeze(-1), 0);
    const ofClass = first === null ? null : classWeights(first, tokens, padding);
    this.observe(weights, projection, ofClass, tiling);
    const classRow = first === null || ofClass === null ? null : classResult(first, tokens, ofClass);
    return this.result(tokens, values, padding, classRow, classToken?.alone ?? false);
  }

  /** What the heads found, (N, B, L, H) and of a class token (N, B, 1, H), joined and mapped to the width. */
  private result(
    tokens: Tensor,
    values: Tensor,
    padding: Tensor | null,
    classRow: Tensor | null,
    classRowAlone: boolean,
  ): Tensor {
    if (classRow !== null && classRowAlone) return this.W_o.forward(mergeHeads(classRow));
    const convolved = this.conv === null ? tokens : tokens.add(this.convolve(this.conv, values, padding));
    return this.W_o.forward(mergeHeads(classRow === null ? convolved : cat([classRow, convolved], 2)));
  }

  /** The same by operators that keep no scores: one, where there is neither a class token nor a convolution. */
  private fused(x: Tensor, mask: Tensor | null, classToken: ClassToken | null): Tensor {
    const tiling = this.segments(x.size(1));
    const visible = mask === null ? null : mask.to('bool');
    if (classToken !== null || this.conv !== null || this.dconv_fc === null || tiling === null)
      return this.fusedInParts(x, visible, classToken, tiling);
    const maps = [this.W_q, this.W_k, this.W_v, this.dconv_fc, this.W_o] as const;
    const whole = fusedMapsFor(
      x,
      maps.map(({ weight }) => weight),
    );
    if (!whole) return this.fusedInParts(x, visible, classToken, tiling);
    return bidirectionalLayer({
      x,
      maps,
      norms: [this.dual_ln_l, this.dual_ln_s],
      visible,
      heads: this.config.heads,
      window: tiling.tile,
      reach: (tiling.window - 1) / 2,
      scale: this.scale(),
      dropout: weightDropout(this.config.attentionDropout, this.training),
      keeps: this.keeps,
    });
  }

  private fusedInParts(
    x: Tensor,
    visible: Tensor | null,
    classToken: ClassToken | null,
    tiling: Tiling | null,
  ): Tensor {
    const { heads: N, attentionDropout } = this.config;
    const L = x.size(1);
    const maps = [this.W_q, this.W_k, this.W_v, ...(this.dconv_fc === null ? [] : [this.dconv_fc])];
    const [query, ownKeys, ownValues, logits] = forwardAll(maps, x) as [Tensor, Tensor, Tensor, Tensor?];
    const keys = this.dual_ln_l.forward(ownKeys); // (B, L, D)
    const values = this.dual_ln_l.forward(ownValues);
    const first = classToken === null ? null : this.classParts(classToken.token);
    const result = windowAttention({
      query: asHeads(query, N),
      keys: asHeads(keys, N),
      values: asHeads(values, N),
      shared: this.fusedShared(logits ?? null, keys, values, visible, first),
      bias: null,
      visible,
      grid: [1, L],
      window: tiling === null ? [0, 0] : [1, tiling.tile],
      reach: [0, tiling === null ? 0 : (tiling.window - 1) / 2],
      scale: this.scale(),
      dropout: weightDropout(attentionDropout, this.training),
    }).flatten(2); // (B, L, D)
    if (first === null && this.conv === null) return this.W_o.forward(result);
    const padding = visible === null ? null : visible.logicalNot();
    const tokens = splitHeads(result, N);
    const classRow = first === null ? null : classResult(first, tokens, classWeights(first, tokens, padding));
    return this.result(tokens, values, padding, classRow, classToken?.alone ?? false);
  }

  /** Normalised compressed keys and values (B, C, N, H), the class token's first; null where there are none. */
  private fusedShared(
    logits: Tensor | null,
    keys: Tensor,
    values: Tensor,
    visible: Tensor | null,
    first: ClassParts | null,
  ): { keys: Tensor; values: Tensor } | null {
    const { heads: N } = this.config;
    if (logits === null && first === null) return null;
    const pooled =
      logits === null ? null : poolTokens(asHeads(logits, N), asHeads(keys, N), asHeads(values, N), visible);
    const finish = (own: Tensor | undefined, slots: Tensor | undefined) => {
      const all = [...(own === undefined ? [] : [own]), ...(slots === undefined ? [] : [slots.flatten(2)])];
      return asHeads(this.dual_ln_s.forward(all.length === 1 ? all[0]! : cat(all, 1)), N);
    };
    return { keys: finish(first?.key, pooled?.keys), values: finish(first?.value, pooled?.values) };
  }

  /** Tells the observer, where there is one. */
  private observe(
    { long, short }: TokenWeights,
    projection: Tensor | null,
    ofClass: ClassWeights | null,
    tiling: Tiling | null,
  ): void {
    this.observer?.({
      window: short === null || tiling === null ? null : { weights: short, tiling },
      compressed: long === null || tiling === null ? long : untileQueries(long, tiling),
      projection,
      classToken: ofClass === null ? null : cat([ofClass.toItself, ofClass.toOthers], -1),
    });
  }

  private segments(L: number): Tiling | null {
    const { windowSize: W, projectionRank: R, mode } = this.config;
    if (W === 0) return R > 0 ? null : segmentTiling(L, 1, 0);
    if (mode === 'reference' && L % W !== 0)
      throw new ArgumentError(`expected a length that is a multiple of the window size ${W}, received ${L}`);
    // One segment, around which there is nothing.
    if (L <= W) return segmentTiling(L, L, 0);
    return segmentTiling(L, W, Math.max(1, Math.floor(W / 2)));
  }

  private scale(): number {
    return 1 / Math.sqrt(this.config.modelDim / this.config.heads);
  }

  private query(x: Tensor): Tensor {
    return splitHeads(this.W_q.forward(x), this.config.heads).mul(this.scale());
  }

  /** The class token's own query, key and value, (N, B, 1, H) each: they skip `dual_ln_l` (quirk 4). */
  private classParts(classToken: Tensor): ClassParts {
    const { heads: N } = this.config;
    const key = this.W_k.forward(classToken);
    const value = this.W_v.forward(classToken);
    return { query: this.query(classToken), key, value, heads: N };
  }

  /** Weights (N, B, R, L) by which the sequence is compressed; null where the rank is 0. */
  private projection(x: Tensor, padding: Tensor | null): Tensor | null {
    if (this.dconv_fc === null) return null;
    return projectionWeights(logitRows(this.dconv_fc, x), this.config.heads, padding);
  }

  /** Normalised compressed keys and values, (N, B, C, H) each, the class token's first; null where there are none. */
  private compress(
    projection: Tensor | null,
    keys: Tensor,
    values: Tensor,
    first: ClassParts | null,
  ): Compressed | null {
    const { heads: N } = this.config;
    if (projection === null && first === null) return null;
    const finish = (tokens: Tensor, own: Tensor | undefined) => {
      const pooled = projection === null ? [] : [mergeHeads(projection.matmul(splitHeads(tokens, N)))]; // (B, R, D)
      const all = [...(own === undefined ? [] : [own]), ...pooled];
      return splitHeads(this.dual_ln_s.forward(all.length === 1 ? all[0]! : cat(all, 1)), N);
    };
    return { keys: finish(keys, first?.key), values: finish(values, first?.value) };
  }

  /** One softmax over what each token sees. */
  private weights(
    query: Tensor,
    keys: Tensor,
    padding: Tensor | null,
    compressed: Compressed | null,
    tiling: Tiling | null,
  ): TokenWeights {
    const toCompressed = compressed === null ? null : query.matmul(compressed.keys.transpose(-1, -2)); // (N, B, L, C)
    if (tiling === null) return { long: (toCompressed as Tensor).softmax(-1), short: null };
    const hidden = hiddenTileKeys(query, padding, tiling);
    const scores = tileQueries(query, tiling).matmul(this.around(keys, tiling).transpose(-1, -2));
    const toWindow = scores.maskedFill(hidden, lowest(scores)); // (N, B, G, W, Y)
    if (toCompressed === null) return { long: null, short: toWindow.softmax(-1) };
    const [long, short] = jointSoftmax(tileQueries(toCompressed, tiling), toWindow);
    return { long, short };
  }

  /** (N, B, L, H): what each token takes from its window and from the compressed values. */
  private attend(
    { long, short }: TokenWeights,
    values: Tensor,
    compressed: Compressed | null,
    tiling: Tiling | null,
  ): Tensor {
    if (tiling === null || short === null)
      return this.drop(long as Tensor).matmul((compressed as Compressed).values);
    const fromWindow = this.drop(short).matmul(this.around(values, tiling));
    if (long === null || compressed === null) return untileQueries(fromWindow, tiling);
    return untileQueries(fromWindow.add(pool(this.drop(long), compressed.values)), tiling);
  }

  /** What the segments see of keys or values (B, L, D), (N, B, G, Y, H). */
  private around(tokens: Tensor, tiling: Tiling): Tensor {
    const E = (tiling.window - 1) / 2;
    return tileKeys(E > 0 ? tokens.pad([0, 0, E, E]) : tokens, this.config.heads, tiling);
  }

  private drop(weights: Tensor): Tensor {
    return dropout(weights, this.config.attentionDropout, this.training);
  }

  /** (N, B, L, H). As published it reaches padding rows too; in consistent mode these stay 0. */
  private convolve(conv: Convolution, values: Tensor, padding: Tensor | null): Tensor {
    const real = padding === null ? values : values.maskedFill(padding.unsqueeze(-1), 0);
    const convolved = conv.forward(splitHeads(real, this.config.heads));
    if (padding === null || this.config.mode === 'reference') return convolved;
    return convolved.maskedFill(padding.unsqueeze(-1), 0);
  }
}

interface Compressed {
  /** (N, B, C, H) */
  readonly keys: Tensor;
  readonly values: Tensor;
}

/** What each token takes: without segments `short` is null and `long` is (N, B, L, C). */
interface TokenWeights {
  /** (N, B, G, W, C) */
  readonly long: Tensor | null;
  /** (N, B, G, W, Y) */
  readonly short: Tensor | null;
}

interface ClassToken {
  /** (B, 1, D) */
  readonly token: Tensor;
  /** Its result is all that is wanted. */
  readonly alone: boolean;
}

interface ClassParts {
  readonly query: Tensor;
  /** (B, 1, D) */
  readonly key: Tensor;
  readonly value: Tensor;
  readonly heads: number;
}

/** Logits (B, N*R, L) → weights (N, B, R, L) that sum to 1 over the sequence, 0 at padding. */
function projectionWeights(logits: Tensor, heads: number, padding: Tensor | null): Tensor {
  const [B, slots, L] = logits.shape as [number, number, number];
  const masked = padding === null ? logits : logits.maskedFill(padding.unsqueeze(1), lowest(logits));
  return masked
    .softmax(-1)
    .reshape([B, heads, slots / heads, L])
    .transpose(0, 1);
}

interface ClassWeights {
  /** (N, B, 1, 1) */
  readonly toItself: Tensor;
  /** (N, B, 1, L) */
  readonly toOthers: Tensor;
}

/**
 * What the class token sees: itself, and the *results* of the tokens as their keys and values (spec 2.2 step 9).
 *
 * @param tokens (N, B, L, H)
 */
function classWeights(
  { query, key, heads }: ClassParts,
  tokens: Tensor,
  padding: Tensor | null,
): ClassWeights {
  const toTokens = query.matmul(tokens.transpose(-1, -2)); // (N, B, 1, L)
  const visible =
    padding === null ? toTokens : toTokens.maskedFill(padding.unsqueeze(1), Number.NEGATIVE_INFINITY); // itself it always sees
  const [toItself, toOthers] = jointSoftmax(query.mul(splitHeads(key, heads)).sum(-1, true), visible);
  return { toItself, toOthers };
}

/** tokens (N, B, L, H) → (N, B, 1, H). */
function classResult(
  { value, heads }: ClassParts,
  tokens: Tensor,
  { toItself, toOthers }: ClassWeights,
): Tensor {
  return toItself.mul(splitHeads(value, heads)).add(toOthers.matmul(tokens));
}

/** One kernel per head along the sequence, shared by the head's components; starts at 0 (spec 2.4). */
class Convolution extends Module {
  /** (N, 1, k, 1) */
  readonly weight: Tensor;

  constructor(heads: number, size: number) {
    super();
    if (size % 2 !== 1)
      throw new ArgumentError(`expected an odd convolution size, which keeps the length, received ${size}`);
    this.weight = this.parameter('weight', init.zeros_(empty([heads, 1, size, 1])));
  }

  /** (N, B, L, H) → (N, B, L, H). */
  forward(x: Tensor): Tensor {
    const [heads, , size] = this.weight.shape as [number, number, number, number];
    const half = (size - 1) / 2;
    return conv2d(x.transpose(0, 1), this.weight, null, [1, 1], [half, 0], [1, 1], heads).transpose(0, 1);
  }
}
