/**
 * Bidirectional long-short attention (spec 2.2), fused or composed of plain operators: a segment's queries see the segment and E
 * tokens on either side of it, and R vectors per head that the whole sequence is compressed to, under one softmax.
 *
 * Shape letters: B batch, L length, A tokens with those around them (all L, where the sequence is in one process), D width, N heads,
 * H = D/N, R rank, W window, E reach beyond a segment, G segments, Y = W+2E keys of a segment, C compressed keys (R, and the class
 * token's).
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
  type ShardedSequence,
  type Tensor,
} from '@transformer-ls/torch';
import { type ClassParts, type ClassWeights, classResult, classWeights } from './class-token.js';
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
import { jointSoftmax, softmaxOverSequence } from './joint-softmax.js';
import type { ObservableAttention, WeightsObserver } from './observed-weights.js';
import { logitRows } from './projection.js';
import { lowest } from './sequence-attention.js';
import { ownOf, ownVisible, type Stretch, stretchOf, wholeSequence } from './stretch.js';
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
  readonly takesSharded = true;
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
    sequence: ShardedSequence | null = null,
  ): Tensor {
    const { modelDim, heads } = this.config;
    const own = classToken === null ? null : { token: classToken, alone: classTokenOnly };
    const stretch = this.stretch(x, mask, sequence);
    return this.observer === null && attentionFused(x, modelDim / heads)
      ? this.fused(stretch, own)
      : this.composed(stretch, own);
  }

  /** The own tokens with as many whole windows around them as windows and convolution see. */
  private stretch(x: Tensor, mask: Tensor | null, sequence: ShardedSequence | null): Stretch {
    if (sequence === null || sequence.group.world === 1) return wholeSequence(x, mask);
    const { windowSize: W, convolutionSize } = this.config;
    const convolved = convolutionSize === null ? 0 : (convolutionSize - 1) / 2;
    const unit = Math.max(1, W);
    return stretchOf(sequence, x, mask, Math.ceil(Math.max(W, convolved) / unit) * unit, unit);
  }

  private composed(stretch: Stretch, classToken: ClassToken | null): Tensor {
    const { x, mask, sequence } = stretch;
    const tiling = this.segments(x.size(1));
    const padding = mask === null ? null : mask.logicalNot(); // (B, A)
    const query = this.query(x); // (N, B, A, H)
    const keys = this.dual_ln_l.forward(this.W_k.forward(x)); // (B, A, D)
    const values = this.dual_ln_l.forward(this.W_v.forward(x));
    const first = classToken === null ? null : this.classParts(classToken.token);
    const ownPadding = padding === null ? null : ownOf(padding, stretch, 1);
    const projection = this.projection(ownOf(x, stretch, 1), ownPadding, sequence);
    const ownTokens = { keys: ownOf(keys, stretch, 1), values: ownOf(values, stretch, 1) };
    const compressed = this.compress(projection, ownTokens, first, sequence);

    const weights = this.weights(query, keys, padding, compressed, tiling);
    const attended = ownOf(this.attend(weights, values, compressed, tiling), stretch, 2);
    const tokens = ownPadding === null ? attended : attended.maskedFill(ownPadding.unsqueeze(-1), 0);
    const ofClass = first === null ? null : classWeights(first, tokens, ownPadding, sequence);
    this.observe(weights, projection, ofClass, tiling);
    const classRow =
      first === null || ofClass === null ? null : classResult(first, tokens, ofClass, sequence);
    return this.result(tokens, values, stretch, classRow, classToken?.alone ?? false);
  }

  /** What the heads found, (N, B, L, H) and of a class token (N, B, 1, H), joined and mapped to the width. */
  private result(
    tokens: Tensor,
    values: Tensor,
    stretch: Stretch,
    classRow: Tensor | null,
    classRowAlone: boolean,
  ): Tensor {
    if (classRow !== null && classRowAlone) return this.W_o.forward(mergeHeads(classRow));
    const convolved =
      this.conv === null
        ? tokens
        : tokens.add(ownOf(this.convolve(this.conv, values, stretch.mask), stretch, 2));
    return this.W_o.forward(mergeHeads(classRow === null ? convolved : cat([classRow, convolved], 2)));
  }

  /** The same by operators that keep no scores: one, where there is neither a class token nor a convolution. */
  private fused(stretch: Stretch, classToken: ClassToken | null): Tensor {
    const { x, mask } = stretch;
    const tiling = this.segments(x.size(1));
    const visible = mask === null ? null : mask.to('bool');
    const inParts = () => this.fusedInParts({ ...stretch, mask: visible }, classToken, tiling);
    if (classToken !== null || this.conv !== null || this.dconv_fc === null || tiling === null)
      return inParts();
    const maps = [this.W_q, this.W_k, this.W_v, this.dconv_fc, this.W_o] as const;
    const whole = fusedMapsFor(
      x,
      maps.map(({ weight }) => weight),
    );
    if (!whole) return inParts();
    const { sequence } = stretch;
    const result = bidirectionalLayer({
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
      spread: sequence === null ? null : { sequence, pooled: ownVisible(stretch) },
    });
    return ownOf(result, stretch, 1);
  }

  private fusedInParts(stretch: Stretch, classToken: ClassToken | null, tiling: Tiling | null): Tensor {
    const { heads: N, attentionDropout } = this.config;
    const { x, mask: visible, sequence } = stretch;
    const A = x.size(1);
    const maps = [this.W_q, this.W_k, this.W_v, ...(this.dconv_fc === null ? [] : [this.dconv_fc])];
    const [query, ownKeys, ownValues, logits] = forwardAll(maps, x) as [Tensor, Tensor, Tensor, Tensor?];
    const keys = this.dual_ln_l.forward(ownKeys); // (B, A, D)
    const values = this.dual_ln_l.forward(ownValues);
    const first = classToken === null ? null : this.classParts(classToken.token);
    const attended = windowAttention({
      query: asHeads(query, N),
      keys: asHeads(keys, N),
      values: asHeads(values, N),
      shared: this.fusedShared(logits ?? null, keys, values, stretch, first),
      bias: null,
      visible,
      grid: [1, A],
      window: tiling === null ? [0, 0] : [1, tiling.tile],
      reach: [0, tiling === null ? 0 : (tiling.window - 1) / 2],
      scale: this.scale(),
      dropout: weightDropout(attentionDropout, this.training),
    }).flatten(2); // (B, A, D)
    const result = ownOf(attended, stretch, 1); // (B, L, D)
    if (first === null && this.conv === null) return this.W_o.forward(result);
    const padding = visible === null ? null : ownOf(visible, stretch, 1).logicalNot();
    const tokens = splitHeads(result, N);
    const classRow =
      first === null
        ? null
        : classResult(first, tokens, classWeights(first, tokens, padding, sequence), sequence);
    return this.result(tokens, values, stretch, classRow, classToken?.alone ?? false);
  }

  /** Normalised compressed keys and values (B, C, N, H), the class token's first; null where there are none. */
  private fusedShared(
    logits: Tensor | null,
    keys: Tensor,
    values: Tensor,
    stretch: Stretch,
    first: ClassParts | null,
  ): { keys: Tensor; values: Tensor } | null {
    const { heads: N } = this.config;
    if (logits === null && first === null) return null;
    const { sequence } = stretch;
    // Hidden ones are passed over: to cut the own ones out would copy gradients of all.
    const visible = ownVisible(stretch);
    const merge: typeof poolTokens = sequence === null ? poolTokens : (...of) => sequence.poolTokens(...of);
    const pooled =
      logits === null ? null : merge(asHeads(logits, N), asHeads(keys, N), asHeads(values, N), visible);
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
  private projection(x: Tensor, padding: Tensor | null, sequence: ShardedSequence | null): Tensor | null {
    if (this.dconv_fc === null) return null;
    return projectionWeights(logitRows(this.dconv_fc, x), this.config.heads, padding, sequence);
  }

  /** Normalised compressed keys and values, (N, B, C, H) each, the class token's first; null where there are none. */
  private compress(
    projection: Tensor | null,
    { keys, values }: { keys: Tensor; values: Tensor },
    first: ClassParts | null,
    sequence: ShardedSequence | null,
  ): Compressed | null {
    const { heads: N } = this.config;
    if (projection === null && first === null) return null;
    const pool = (weights: Tensor, tokens: Tensor) => {
      const pooled = mergeHeads(weights.matmul(splitHeads(tokens, N))); // (B, R, D)
      return sequence === null ? pooled : sequence.sum(pooled);
    };
    const finish = (tokens: Tensor, own: Tensor | undefined) => {
      const pooled = projection === null ? [] : [pool(projection, tokens)];
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
  private convolve(conv: Convolution, values: Tensor, mask: Tensor | null): Tensor {
    const padding = mask === null ? null : mask.logicalNot();
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

/** Logits (B, N*R, L) → weights (N, B, R, L) that sum to 1 over the sequence, 0 at padding. */
function projectionWeights(
  logits: Tensor,
  heads: number,
  padding: Tensor | null,
  sequence: ShardedSequence | null,
): Tensor {
  const [B, slots, L] = logits.shape as [number, number, number];
  const masked = padding === null ? logits : logits.maskedFill(padding.unsqueeze(1), lowest(logits));
  const weights = sequence === null ? masked.softmax(-1) : softmaxOverSequence(masked, sequence);
  return weights.reshape([B, heads, slots / heads, L]).transpose(0, 1);
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
