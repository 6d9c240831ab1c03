/**
 * The causal Transformer-LS language model, consistent form (design section 4): pre-LN blocks with a clean residual stream, a
 * final norm, tied embeddings, and a memory that makes one pass, any cutting into segments and token-by-token streaming
 * give the same result.
 *
 * Shape letters: B batch, T tokens of the segment, D width, V vocabulary, W window, R rank.
 */
import type { LanguageModelConfig } from '@transformer-ls/formats';
import {
  Dropout,
  Embedding,
  init,
  LayerNorm,
  Linear,
  Module,
  ModuleList,
  type ShardedSequence,
  scope,
  type Tensor,
} from '@transformer-ls/torch';
import { CausalAttention, type CausalMemory, type PositionKeys } from '../../attention/causal.js';
import { descendingDistances, sinusoidFrequencies, sinusoids } from '../../attention/positions.js';
import {
  consistentStart,
  FeedForward,
  type ForwardOptions,
  initialize,
  type RunBlocks,
  runInTurn,
} from './blocks.js';
import type { Memory } from './memory.js';

export interface LanguageModelForward extends ForwardOptions {
  /** As `positionKeys` made them, for streaming; made anew where not given. */
  readonly positions?: readonly PositionKeys[] | undefined;
}

/** What the model remembers of a stream. */
export type LanguageModelMemory = Memory<CausalMemory>;

/** u = x + attn(norm1(x)); out = u + ff(norm2(u)). */
class Block extends Module {
  readonly attn: CausalAttention;
  readonly norm1: LayerNorm;
  readonly norm2: LayerNorm;
  readonly ff: FeedForward;
  private readonly dropout: Dropout;

  constructor(config: LanguageModelConfig) {
    super();
    this.attn = this.child('attn', new CausalAttention(config));
    this.norm1 = this.child('norm1', new LayerNorm({ dim: config.modelDim }));
    this.norm2 = this.child('norm2', new LayerNorm({ dim: config.modelDim }));
    this.ff = this.child('ff', new FeedForward(config));
    this.dropout = this.child('dropout', new Dropout({ p: config.dropout }));
  }

  /** (B, T, D) → (B, T, D) and the layer's memory after these tokens. */
  forward(
    x: Tensor,
    memory: CausalMemory,
    positions: PositionKeys,
    sequence: ShardedSequence | null,
  ): { output: Tensor; memory: CausalMemory } {
    const attended = this.attn.forward(this.norm1.forward(x), memory, positions, sequence);
    const u = x.add(this.dropout.forward(attended.output));
    return { output: u.add(this.ff.forward(this.norm2.forward(u))), memory: attended.memory };
  }
}

export class LanguageModel extends Module {
  readonly in_emb: Embedding;
  readonly layers: ModuleList<Block>;
  readonly norm: LayerNorm;
  readonly out_emb: Linear;
  /** (W, D): sinusoids of the distances W-1 … 0; (P, D): of the chunk ids P-1 … 0. */
  private readonly windowPositions: Tensor;
  private readonly chunkPositions: Tensor;
  private readonly dropout: Dropout;

  /** Starts with random weights drawn from libtorch's generator: call `manualSeed` first for a repeatable start. */
  constructor(readonly config: LanguageModelConfig) {
    super();
    const { vocabularySize, modelDim, layers, embeddingDropout } = config;
    const { windowSize, windowPositionClamp, chunkPositionClamp } = config;
    this.in_emb = this.child('in_emb', new Embedding({ count: vocabularySize, dim: modelDim }));
    const constant = (name: string, distances: number[]) =>
      this.buffer(name, fixedSinusoids(distances, modelDim), { persistent: false });
    this.windowPositions = constant('window_positions', descendingDistances(windowSize, windowPositionClamp));
    this.chunkPositions = constant(
      'chunk_positions',
      descendingDistances(chunkIds(config), chunkPositionClamp),
    );
    this.dropout = this.child('dropout', new Dropout({ p: embeddingDropout }));
    this.layers = this.child(
      'layers',
      new ModuleList(Array.from({ length: layers }, () => new Block(config))),
    );
    this.norm = this.child('norm', new LayerNorm({ dim: modelDim }));
    const tied = { inFeatures: modelDim, outFeatures: vocabularySize, weight: this.in_emb.weight };
    this.out_emb = this.child('out_emb', new Linear(tied));
    initialize(this, consistentStart);
    this.shrinkResidualProjections();
  }

  /** Each block adds twice to the residual stream; starting these sums smaller keeps its size independent of the depth. */
  private shrinkResidualProjections(): void {
    const sums = Math.sqrt(2 * this.config.layers);
    for (const block of this.layers)
      for (const last of [block.attn.proj_out, block.ff.fc2])
        init.normal_(last.weight, 0, consistentStart.linear(last) / sums);
  }

  /** The memory of `batch` streams that have not begun. */
  emptyMemory(batch: number): LanguageModelMemory {
    return { layers: Array.from(this.layers, (block) => block.attn.emptyMemory(batch)) };
  }

  /**
   * Positions as keys for every layer, made from the weights alone: while these do not change, one set serves a whole stream.
   *
   * @param reach compressed vectors a query may see; as many as the memory can hold where not given
   */
  positionKeys(reach = this.chunkPositions.size(0)): PositionKeys[] {
    return scope(() => {
      const chunks = this.chunkPositions.narrow(0, this.chunkPositions.size(0) - reach, reach);
      return Array.from(this.layers, (block) => block.attn.positionKeys(this.windowPositions, chunks));
    });
  }

  /**
   * @param ids (B, T) int32 or int64, any T >= 1: the next tokens of B streams
   * @param memory of the same streams; it is not changed and carries no gradient further back than its own
   * @returns logits (B, T, V), and the memory after these tokens; of a sequence that is spread, the last process's is that of the stream
   */
  forward(
    ids: Tensor,
    memory: LanguageModelMemory = this.emptyMemory(ids.size(0)),
    how: LanguageModelForward = {},
  ): { logits: Tensor; memory: LanguageModelMemory } {
    return scope(() => this.forwardThrough(runInTurn, ids, memory, how));
  }

  /** The same with the blocks run in the caller's own way, and in the caller's scope. */
  forwardThrough(
    runBlocks: RunBlocks,
    ids: Tensor,
    memory: LanguageModelMemory,
    { positions, sequence = undefined }: LanguageModelForward = {},
  ): { logits: Tensor; memory: LanguageModelMemory } {
    const reach = () => this.layers.at(0)!.attn.reach(ids.size(1), memory.layers[0]!, sequence ?? null);
    const ready = positions ?? this.positionKeys(reach());
    const x = this.dropout.forward(this.in_emb.forward(ids).mul(Math.sqrt(this.config.modelDim)));
    const blocks = Array.from(this.layers, (block, index) => (before: Tensor) => {
      const { output, memory: extra } = block.forward(
        before,
        memory.layers[index]!,
        ready[index]!,
        sequence ?? null,
      );
      return { output, extra };
    });
    const { output, extras } = runBlocks(blocks, x);
    const last = this.dropout.forward(this.norm.forward(output));
    return { logits: this.out_emb.forward(last), memory: { layers: extras } };
  }
}

/** Compressed vectors that the memory can hold. */
function chunkIds({ memoryLength, chunkSize, projectionRank }: LanguageModelConfig): number {
  return (memoryLength / chunkSize) * projectionRank;
}

function fixedSinusoids(distances: readonly number[], modelDim: number): Tensor {
  return scope(() => sinusoids(distances, sinusoidFrequencies(modelDim)));
}
