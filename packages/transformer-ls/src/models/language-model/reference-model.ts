/**
 * The causal language model exactly as published (spec 3.4 to 3.6), quirks included: the residual carries normalised
 * values, no final norm, un-normalised layer inputs as memory, zeros as a real first memory, padding in the memory. For
 * published weights and numbers; new models use model.ts.
 *
 * Shape letters: B batch, T tokens of the segment, M memory length, D width, V vocabulary, W window, c chunk size, R rank.
 */
import type { LanguageModelConfig } from '@transformer-ls/formats';
import {
  ArgumentError,
  cat,
  Dropout,
  Embedding,
  LayerNorm,
  Linear,
  Module,
  ModuleList,
  scope,
  type Tensor,
  zeros,
} from '@transformer-ls/torch';
import { type ChunkMask, causalMaskFor, ReferenceCausalAttention } from '../../attention/causal-reference.js';
import { descendingDistances, sinusoidFrequencies, sinusoids } from '../../attention/positions.js';
import {
  FeedForward,
  type ForwardOptions,
  initialize,
  publishedStart,
  type RunBlocks,
  runInTurn,
} from './blocks.js';
import type { Memory } from './memory.js';

/** The last M inputs of each layer, (B, M, D), un-normalised. */
export type ReferenceMemory = Memory<{ hidden: Tensor }>;

interface SharedInputs {
  chunkPositions: Tensor;
  windowPositions: Tensor;
  chunkMask: ChunkMask;
}

class ReferenceBlock extends Module {
  readonly attn: ReferenceCausalAttention;
  readonly norm1: LayerNorm;
  readonly norm2: LayerNorm;
  readonly ff: FeedForward;
  private readonly dropout: Dropout;

  constructor(private readonly config: LanguageModelConfig) {
    super();
    this.attn = this.child('attn', new ReferenceCausalAttention(config));
    this.norm1 = this.child('norm1', new LayerNorm({ dim: config.modelDim }));
    this.norm2 = this.child('norm2', new LayerNorm({ dim: config.modelDim }));
    this.ff = this.child('ff', new FeedForward(config));
    this.dropout = this.child('dropout', new Dropout({ p: config.dropout }));
  }

  /** (B, T, D), (B, M, D) → (B, T, D). Pre-LN overwrites the stream with its normalised value before adding (quirk 9). */
  forward(h: Tensor, cache: Tensor, shared: SharedInputs): Tensor {
    if (this.config.normPlacement === 'post') {
      const u = this.norm1.forward(h.add(this.attend(h, cache, shared)));
      return this.norm2.forward(u.add(this.ff.forward(u)));
    }
    const hn = this.norm1.forward(h);
    const u = this.norm2.forward(hn.add(this.attend(hn, this.norm1.forward(cache), shared)));
    return u.add(this.ff.forward(u));
  }

  private attend(
    h: Tensor,
    cache: Tensor,
    { chunkPositions, windowPositions, chunkMask }: SharedInputs,
  ): Tensor {
    return this.dropout.forward(this.attn.forward(h, cache, chunkPositions, windowPositions, chunkMask));
  }
}

/** Holds the position frequencies: published checkpoints carry them (rounded to float16), so they are loaded, not recomputed. */
class PositionEmbedding extends Module {
  readonly inv_freq: Tensor;

  constructor(modelDim: number) {
    super();
    this.inv_freq = this.buffer('inv_freq', sinusoidFrequencies(modelDim));
  }
}

export class ReferenceLanguageModel extends Module {
  readonly in_emb: Embedding;
  readonly pos_emb: PositionEmbedding;
  readonly layers: ModuleList<ReferenceBlock>;
  readonly out_emb: Linear;
  private readonly dropout: Dropout;

  /** Starts with random weights drawn from libtorch's generator: call `manualSeed` first for a repeatable start. */
  constructor(readonly config: LanguageModelConfig) {
    super();
    const { vocabularySize, modelDim, layers, embeddingDropout } = config;
    this.in_emb = this.child('in_emb', new Embedding({ count: vocabularySize, dim: modelDim }));
    this.pos_emb = this.child('pos_emb', new PositionEmbedding(modelDim));
    this.dropout = this.child('dropout', new Dropout({ p: embeddingDropout }));
    const blocks = Array.from({ length: layers }, () => new ReferenceBlock(config));
    this.layers = this.child('layers', new ModuleList(blocks));
    const tied = { inFeatures: modelDim, outFeatures: vocabularySize, weight: this.in_emb.weight };
    this.out_emb = this.child('out_emb', new Linear(tied));
    initialize(this, publishedStart);
  }

  /** Zeros, which the published code attends to like any other memory (quirk 11). */
  emptyMemory(batch: number): ReferenceMemory {
    const { layers, memoryLength, modelDim } = this.config;
    const { dtype, device } = this.in_emb.weight;
    const layer = () => ({ hidden: zeros([batch, memoryLength, modelDim], { dtype, device }) });
    return { layers: Array.from({ length: layers }, layer) };
  }

  /**
   * @param ids (B, T) int32 or int64. T divides by c, and by W where it exceeds W; any other T is padded with id 0 to a
   *   multiple of both, and the padding enters the memory (quirk 11)
   * @returns logits (B, T, V) (the published output is their log-softmax), and the memory after these tokens, without gradient
   */
  forward(
    ids: Tensor,
    memory: ReferenceMemory = this.emptyMemory(ids.size(0)),
    how: ForwardOptions = {},
  ): { logits: Tensor; memory: ReferenceMemory } {
    return scope(() => this.forwardThrough(runInTurn, ids, memory, how));
  }

  /** The same with the blocks run in the caller's own way, and in the caller's scope. */
  forwardThrough(
    runBlocks: RunBlocks,
    ids: Tensor,
    memory: ReferenceMemory,
    { sequence }: ForwardOptions = {},
  ): { logits: Tensor; memory: ReferenceMemory } {
    if (sequence !== undefined)
      throw new ArgumentError(
        'a language model in reference mode cannot be spread over processes; take mode consistent',
      );
    const T = ids.size(1);
    const padded = ids.pad([0, this.paddedLength(T) - T]);
    const shared = this.sharedInputs(padded.size(1), memory.layers[0]!.hidden.size(1));
    const x = this.dropout.forward(this.in_emb.forward(padded).mul(Math.sqrt(this.config.modelDim)));
    const blocks = Array.from(this.layers, (block, index) => (before: Tensor) => {
      const cache = memory.layers[index]!.hidden;
      const extra = { hidden: this.extendMemory(cache, before) };
      return { output: block.forward(before, cache, shared), extra };
    });
    const { output, extras } = runBlocks(blocks, x);
    return {
      logits: this.out_emb.forward(this.dropout.forward(output).narrow(1, 0, T)),
      memory: { layers: extras },
    };
  }

  private paddedLength(T: number): number {
    const { chunkSize: c, windowSize: W } = this.config;
    if (T % c === 0) {
      if (T > W && T % W !== 0)
        throw new ArgumentError(
          `expected a segment length that is a multiple of the window size ${W}, received ${T}`,
        );
      return T;
    }
    const step = leastCommonMultiple(c, W);
    return Math.ceil(T / step) * step;
  }

  private extendMemory(cache: Tensor, input: Tensor): Tensor {
    const joined = cat([cache.detach(), input.detach()], 1);
    return joined.narrow(1, joined.size(1) - this.config.memoryLength, this.config.memoryLength).contiguous();
  }

  /** Positions of chunk ids n*R-1 … 0 and window distances W-1 … 0, and the causal mask. */
  private sharedInputs(T: number, M: number): SharedInputs {
    const {
      modelDim,
      heads,
      chunkSize: c,
      projectionRank: R,
      windowSize,
      windowPositionClamp,
      chunkPositionClamp,
    } = this.config;
    const [rows, cached] = [T / c, M / c];
    const embed = (distances: number[]) =>
      sinusoids(distances, this.pos_emb.inv_freq).to(this.in_emb.weight.dtype).unsqueeze(0);
    return {
      chunkPositions: embed(descendingDistances((rows + cached) * R, chunkPositionClamp)),
      windowPositions: this.dropout.forward(embed(descendingDistances(windowSize, windowPositionClamp))),
      chunkMask: causalMaskFor(this.in_emb.weight, modelDim / heads, rows, cached, R),
    };
  }
}

function leastCommonMultiple(a: number, b: number): number {
  const divisor = (x: number, y: number): number => (y === 0 ? x : divisor(y, x % y));
  return (a / divisor(a, b)) * b;
}
