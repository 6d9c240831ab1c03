/**
 * The encoder of the Long Range Arena models (spec 2.5), under the published parameter names: embeddings, pre-LN blocks, a
 * final norm, and the ways a class token takes part (spec 2.3).
 *
 * Shape letters: B batch, L length, D width.
 */
import type { ClassifierConfig } from '@transformer-ls/formats';
import {
  ArgumentError,
  cat,
  Dropout,
  Embedding,
  feedForward,
  init,
  LayerNorm,
  Linear,
  Module,
  ones,
  type ShardedSequence,
  scope,
  type Tensor,
  zeros,
} from '@transformer-ls/torch';
import { createSequenceAttention } from '../../attention/create.js';
import type { SequenceAttention } from '../../attention/sequence-attention.js';

/** Word and position tables, both N(0, 0.02), not scaled and not normalised. */
class Embeddings extends Module {
  readonly word_embeddings: Embedding;
  readonly position_embeddings: Embedding;
  private readonly dropout: Dropout;

  constructor(config: ClassifierConfig) {
    super();
    const { vocabularySize, maxLength, modelDim: dim, pooling, mode } = config;
    // Published: the first token has no row of its own, so that a sequence of full length overflows the table (quirk 14).
    const extra = pooling === 'first-token' && mode === 'consistent' ? 1 : 0;
    this.word_embeddings = this.child('word_embeddings', new Embedding({ count: vocabularySize, dim }));
    this.position_embeddings = this.child(
      'position_embeddings',
      new Embedding({ count: maxLength + extra, dim }),
    );
    this.dropout = this.child('dropout', new Dropout({ p: config.dropout }));
    init.normal_(this.word_embeddings.weight, 0, 0.02);
    init.normal_(this.position_embeddings.weight, 0, 0.02);
  }

  /** ids (B, L) → (B, L, D), at the positions from `start` on. */
  forward(ids: Tensor, start: number): Tensor {
    const [L, rows] = [ids.size(1), this.position_embeddings.weight.size(0)];
    if (start + L > rows)
      throw new ArgumentError(`expected at most ${rows} tokens a sequence, received ${start + L}`);
    const positions = this.position_embeddings.weight.narrow(0, start, L);
    return this.dropout.forward(this.word_embeddings.forward(ids).add(positions));
  }
}

/** Linear, GELU, dropout, Linear, dropout; the names are places in the published sequence. (…, D) → (…, D). */
class FeedForward extends Module {
  private readonly widen: Linear;
  private readonly narrow: Linear;
  private readonly dropout: Dropout;

  constructor({ modelDim, innerDim, dropout }: ClassifierConfig) {
    super();
    this.widen = this.child('0', new Linear({ inFeatures: modelDim, outFeatures: innerDim }));
    this.narrow = this.child('3', new Linear({ inFeatures: innerDim, outFeatures: modelDim }));
    this.dropout = this.child('dropout', new Dropout({ p: dropout }));
  }

  forward(x: Tensor): Tensor {
    return this.dropout.forward(feedForward(x, this.widen, this.narrow, this.dropout.p, this.training));
  }
}

class Block extends Module {
  readonly norm1: LayerNorm;
  readonly mha: SequenceAttention;
  readonly norm2: LayerNorm;
  readonly mlpblock: FeedForward;
  private readonly dropout: Dropout;

  constructor(
    private readonly config: ClassifierConfig,
    earlier: Block | null,
  ) {
    super();
    const dim = config.modelDim;
    this.norm1 = this.child('norm1', new LayerNorm({ dim }));
    this.mha = this.child('mha', createSequenceAttention(config, earlier?.mha));
    this.norm2 = this.child('norm2', new LayerNorm({ dim }));
    this.mlpblock = this.child('mlpblock', new FeedForward(config));
    this.dropout = this.child('dropout', new Dropout({ p: config.dropout }));
  }

  /**
   * x (B, L, D), classToken (B, 1, D) or null → (B, L, D), or (B, 1+L, D) with the class token first; (B, 1, D) where of the result the
   * first row alone is wanted: the others are then not computed where nothing depends on them.
   */
  forward(
    x: Tensor,
    mask: Tensor | null,
    classToken: Tensor | null,
    firstOnly: boolean,
    sequence: ShardedSequence | null,
  ): Tensor {
    const residual = classToken === null ? x : firstOnly ? classToken : cat([classToken, x], 1);
    const attended = this.attend(this.norm1.forward(x), mask, classToken, firstOnly, sequence);
    const wanted = (tokens: Tensor) => (firstOnly ? tokens.narrow(1, 0, 1) : tokens);
    const between = wanted(residual).add(this.dropout.forward(wanted(attended)));
    return between.add(this.mlpblock.forward(this.norm2.forward(between)));
  }

  private attend(
    x: Tensor,
    mask: Tensor | null,
    classToken: Tensor | null,
    firstOnly: boolean,
    sequence: ShardedSequence | null,
  ): Tensor {
    const { mode, normalizeClassToken, pooling, attention } = this.config;
    if (sequence !== null && this.mha.takesSharded !== true)
      throw new ArgumentError(
        `attention ${attention.name} cannot be spread over processes; long-short, projection-only and window-only can`,
      );
    if (pooling === 'first-token' && this.mha.takesClassToken)
      return this.attendFromFirst(x, mask, firstOnly, sequence);
    if (classToken === null) return this.mha.forward(x, mask, null, false, sequence);
    // As published the class token is not normalised here (quirk 5).
    const normalize = mode === 'consistent' || normalizeClassToken;
    return this.mha.forward(
      x,
      mask,
      normalize ? this.norm1.forward(classToken) : classToken,
      firstOnly,
      sequence,
    );
  }

  /** The first token of the sequence is the class token. */
  private attendFromFirst(
    x: Tensor,
    mask: Tensor | null,
    firstOnly: boolean,
    sequence: ShardedSequence | null,
  ): Tensor {
    const rest = x.size(1) - 1;
    return this.mha.forward(
      x.narrow(1, 1, rest),
      mask === null ? null : mask.narrow(1, 1, rest),
      x.narrow(1, 0, 1),
      firstOnly,
      sequence,
    );
  }
}

/** One vector per sequence. */
export class Encoder extends Module {
  /** (1, 1, D), starts at 0; absent without a learned class token. */
  readonly cls_embed: Tensor | null;
  readonly embeddings: Embeddings;
  readonly norm: LayerNorm;
  private readonly blocks: readonly Block[];

  constructor(private readonly config: ClassifierConfig) {
    super();
    const { layers, sharedLayers, modelDim: dim, pooling } = config;
    const learned = pooling === 'class-token' || pooling === 'class-token-last-layer';
    this.cls_embed = learned ? this.parameter('cls_embed', zeros([1, 1, dim])) : null;
    this.embeddings = this.child('embeddings', new Embeddings(config));
    const blocks: Block[] = [];
    if (sharedLayers) blocks.push(this.child('transformer', new Block(config, null)));
    else
      for (let i = 0; i < layers; i++)
        blocks.push(this.child(`transformer_${i}`, new Block(config, blocks[0] ?? null)));
    this.blocks = sharedLayers ? Array.from({ length: layers }, () => blocks[0]!) : blocks;
    this.norm = this.child('norm', new LayerNorm({ dim }));
  }

  /** The attention of each layer, from the first; the same again where layers share their weights. */
  get attentions(): readonly SequenceAttention[] {
    return this.blocks.map(({ mha }) => mha);
  }

  /**
   * @param ids (B, L) int32 or int64
   * @param mask (B, L) bool, true = a token; null: no padding
   * @param sequence of which the ids are this process's stretch; null: they are the whole
   * @returns (B, D), the same in every process
   */
  forward(ids: Tensor, mask: Tensor | null, sequence: ShardedSequence | null = null): Tensor {
    const { pooling, vocabularySize } = this.config;
    if (pooling !== 'first-token') return this.encode(ids, mask, sequence);
    const [B, L] = ids.shape as [number, number];
    const first = zeros([B, 1], { dtype: ids.dtype, device: ids.device }).add(vocabularySize - 1);
    const seen = mask === null ? null : cat([ones([B, 1], { dtype: 'bool', device: ids.device }), mask], 1);
    // Every process has the first token.
    return L === 0 ? this.encode(first, null, null) : this.encode(cat([first, ids], 1), seen, sequence);
  }

  private encode(ids: Tensor, mask: Tensor | null, sequence: ShardedSequence | null): Tensor {
    const { pooling } = this.config;
    const start = this.embed(ids, sequence);
    const learned = this.cls_embed === null ? null : this.cls_embed.expand([ids.size(0), 1, start.size(-1)]);
    let [x, classToken] = [start, pooling === 'class-token' ? learned : null];
    for (const [index, block] of this.blocks.entries()) {
      const isLast = index === this.blocks.length - 1;
      const given = pooling === 'class-token-last-layer' && isLast ? learned : classToken;
      const [before, own] = [x, given];
      // The last layer is asked for no more than `pool` reads.
      const firstOnly = isLast && (given !== null || pooling === 'first-token');
      const all = scope(() => block.forward(before, mask, own, firstOnly, sequence));
      if (given === null) x = all;
      else if (firstOnly) classToken = all;
      else [classToken, x] = [all.narrow(1, 0, 1), all.narrow(1, 1, all.size(1) - 1)];
    }
    return this.pool(x, mask, classToken, sequence);
  }

  /** A first token that stands for the whole has position 0 in every process. */
  private embed(ids: Tensor, sequence: ShardedSequence | null): Tensor {
    if (sequence === null || sequence.start === 0) return this.embeddings.forward(ids, 0);
    if (this.config.pooling !== 'first-token') return this.embeddings.forward(ids, sequence.start);
    const [first, rest] = [ids.narrow(1, 0, 1), ids.narrow(1, 1, ids.size(1) - 1)];
    return cat([this.embeddings.forward(first, 0), this.embeddings.forward(rest, 1 + sequence.start)], 1);
  }

  private pool(
    x: Tensor,
    mask: Tensor | null,
    classToken: Tensor | null,
    sequence: ShardedSequence | null,
  ): Tensor {
    if (classToken !== null) return this.norm.forward(classToken).squeeze(1);
    const last = this.norm.forward(x);
    if (this.config.pooling === 'first-token') return last.select(1, 0);
    const overAll = (sum: Tensor) => (sequence === null ? sum : sequence.sum(sum));
    const length = sequence?.total ?? x.size(1);
    if (mask === null) return sequence === null ? last.mean(1) : overAll(last.sum(1)).div(length);
    const real = mask.to(last.dtype); // (B, L)
    const sum = overAll(last.mul(real.unsqueeze(-1)).sum(1));
    // Published: the mean counts padding as zeros (quirk 14).
    if (this.config.mode === 'reference') return sum.div(length);
    return sum.div(overAll(real.sum(1, true)).clamp(1));
  }
}

/** Linear, ReLU, Linear; the names are places in the published sequence. */
export class Head extends Module {
  private readonly inner: Linear;
  private readonly outer: Linear;

  constructor(inFeatures: number, innerDim: number, classes: number) {
    super();
    const sequence = this.child('mlpblock', new HeadLayers(inFeatures, innerDim, classes));
    [this.inner, this.outer] = [sequence.inner, sequence.outer];
  }

  /** (B, inFeatures) → logits (B, classes). */
  forward(x: Tensor): Tensor {
    return this.outer.forward(this.inner.forward(x).relu());
  }
}

class HeadLayers extends Module {
  readonly inner: Linear;
  readonly outer: Linear;

  constructor(inFeatures: number, innerDim: number, classes: number) {
    super();
    this.inner = this.child('0', new Linear({ inFeatures, outFeatures: innerDim }));
    this.outer = this.child('2', new Linear({ inFeatures: innerDim, outFeatures: classes }));
  }
}
