/**
 * The logits of the next token after any number of tokens, however they are handed over.
 *
 * consistent mode: results do not depend on the cutting, so a prompt is read in segments of whatever length suits the
 * memory, then token by token.
 *
 * reference mode: the published incremental path pads every token to a whole window and pollutes the memory (spec 3.5), so
 * the current block is kept and run again for every token, and the memory is committed only at block ends.
 */
import type { LanguageModelConfig } from '@transformer-ls/formats';
import type { Tensor } from '@transformer-ls/torch';
import { publishedBlockLength } from '../data/evaluation-blocks.js';
import type { CausalLanguageModel } from '../models/language-model/create.js';
import { ModelStream } from '../models/language-model/stream.js';

export interface NextToken {
  /** Takes in tokens. */
  feed(ids: Int32Array): void;
  /** Logits (V) of the token after all that were fed; undefined before the first. */
  logits(): Float32Array | undefined;
  /** Bytes of what is remembered of the tokens fed. */
  memoryBytes(): number;
  dispose(): void;
}

/** The way of `model`'s mode. Free it with `dispose`; the weights must not change while it is in use. */
export function nextToken(model: CausalLanguageModel): NextToken {
  return model.config.mode === 'reference' ? new NextTokenByBlocks(model) : new NextTokenBySegments(model);
}

const LONGEST_SEGMENT = 1024;
/** Attention scores of one layer of one segment, at most: 64 MiB in float32. */
const MOST_SCORES = 2 ** 24;

class NextTokenBySegments implements NextToken {
  private readonly stream: ModelStream;
  private last: Float32Array | undefined;
  private fed = 0;

  constructor(private readonly model: CausalLanguageModel) {
    this.stream = new ModelStream(model);
  }

  feed(ids: Int32Array): void {
    for (let start = 0; start < ids.length; ) {
      const segment = ids.subarray(start, start + this.segmentLength());
      this.last = this.stream.feed(segment, lastLogits);
      start += segment.length;
      this.fed += segment.length;
    }
  }

  logits(): Float32Array | undefined {
    return this.last;
  }

  memoryBytes(): number {
    return this.stream.memoryBytes();
  }

  dispose(): void {
    this.stream.dispose();
  }

  /** The more chunks are remembered, the shorter the segment: reading takes the same memory however long the prompt. */
  private segmentLength(): number {
    const { heads, windowSize, memoryLength, chunkSize, projectionRank } = this.model.config;
    const remembered = (Math.min(memoryLength, this.fed) / chunkSize) * projectionRank;
    const fitting = Math.floor(MOST_SCORES / (heads * (remembered + 2 * windowSize)));
    return Math.max(1, Math.min(LONGEST_SEGMENT, fitting));
  }
}

class NextTokenByBlocks implements NextToken {
  private readonly stream: ModelStream;
  private readonly blockLength: number;
  /** Tokens of the block that is not complete yet. */
  private block = new Int32Array(0);
  private last: Float32Array | undefined;

  private readonly config: LanguageModelConfig;

  constructor(model: CausalLanguageModel) {
    this.stream = new ModelStream(model);
    this.config = model.config;
    this.blockLength = referenceBlockLength(model.config);
  }

  feed(ids: Int32Array): void {
    if (ids.length === 0) return;
    const all = new Int32Array(this.block.length + ids.length);
    all.set(this.block);
    all.set(ids, this.block.length);
    const complete = all.length - (all.length % this.blockLength);
    for (let start = 0; start < complete; start += this.blockLength)
      this.last = this.stream.feed(all.subarray(start, start + this.blockLength), lastLogits);
    this.block = all.slice(complete);
    if (this.block.length > 0) this.last = undefined;
  }

  logits(): Float32Array | undefined {
    if (this.block.length > 0) this.last ??= this.runBlock();
    return this.last;
  }

  /** Padding behind the last token cannot reach it, and is not committed. */
  private runBlock(): Float32Array {
    const { length } = this.block;
    const padded = new Int32Array(acceptedLength(length, this.config));
    padded.set(this.block);
    return this.stream.feed(padded, (logits) => logits.narrow(1, length - 1, 1).toFloat32Array(), {
      commit: false,
    });
  }

  memoryBytes(): number {
    return this.stream.memoryBytes() + this.block.byteLength;
  }

  dispose(): void {
    this.stream.dispose();
  }
}

/** The length of whole blocks: as long as the published evaluation's where the window allows. */
export function referenceBlockLength(config: LanguageModelConfig): number {
  const { chunkSize, windowSize } = config;
  const most = Math.min(publishedBlockLength, windowSize);
  return Math.max(most - (most % chunkSize), acceptedLength(1, config));
}

/** The least length from `tokens` on that the published code takes as it is: whole chunks, up to one window or whole windows. */
export function acceptedLength(tokens: number, { chunkSize, windowSize }: LanguageModelConfig): number {
  let length = Math.ceil(tokens / chunkSize) * chunkSize;
  while (length > windowSize && length % windowSize !== 0) length += chunkSize;
  return length;
}

function lastLogits(logits: Tensor): Float32Array {
  return logits.narrow(1, logits.size(1) - 1, 1).toFloat32Array();
}
