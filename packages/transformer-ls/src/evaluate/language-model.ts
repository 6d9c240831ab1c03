/** The published evaluation of a language model (spec 3.9): one stream, batch 1, memory carried from block to block. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LanguageModelConfig } from '@transformer-ls/formats';
import { crossEntropy, type Tensor, tensor } from '@transformer-ls/torch';
import type { ByteCorpus } from '../data/byte-corpus.js';
import { type EvaluationBlock, evaluationBlocks, publishedBlockLength } from '../data/evaluation-blocks.js';
import { SplitTokens } from '../data/split-tokens.js';
import type { Vocabulary } from '../data/vocabulary.js';
import { acceptedLength } from '../generate/next-token.js';
import type { CausalLanguageModel } from '../models/language-model/create.js';
import { ModelStream } from '../models/language-model/stream.js';

/** Tokens of memory in the published evaluation. */
export const publishedMemoryLength = 32_768;

export interface EvaluateOptions {
  /** Tokens fed at once. Default: `defaultBlockLength`. */
  readonly blockLength?: number | undefined;
  /** Predict only the first so many tokens of the split. */
  readonly maxTokens?: number | undefined;
  readonly onProgress?: ((progress: EvaluationProgress) => void) | undefined;
  /** Ends the evaluation early; the scores are those of what was read. */
  readonly signal?: AbortSignal | undefined;
}

export interface EvaluationProgress {
  readonly tokens: number;
  /** Tokens that will be predicted in all. */
  readonly total: number;
  /** All-token bits per character so far. */
  readonly bpc: number;
  readonly seconds: number;
}

/** Sums are taken in double precision. */
export interface EvaluationScores {
  /** Bits per predicted token as published: 255 of every 256 tokens count. NaN where none was predicted. */
  readonly publishedBpc: number;
  readonly publishedTokens: number;
  /** Bits per token over all tokens but the first of the split. */
  readonly bpc: number;
  /** Mean negative log-likelihood in nats, over all tokens. */
  readonly loss: number;
  readonly tokens: number;
  readonly seconds: number;
  readonly tokensPerSecond: number;
  readonly blockLength: number;
  /** Whether the whole split was read. */
  readonly complete: boolean;
}

/**
 * Blocks as published for reference models, whose results depend on them; longer, and so faster, ones for consistent models,
 * whose results do not.
 */
export function defaultBlockLength(mode: 'consistent' | 'reference'): number {
  return mode === 'reference' ? publishedBlockLength : 4 * publishedBlockLength;
}

/** Evaluates a model on one split from its start, with a fresh memory. The model must be built with the memory wanted. */
export async function evaluateLanguageModel(
  model: CausalLanguageModel,
  corpus: ByteCorpus,
  vocabulary: Vocabulary,
  options: EvaluateOptions = {},
): Promise<EvaluationScores> {
  const { blockLength = defaultBlockLength(model.config.mode), maxTokens, onProgress, signal } = options;
  const whole = new SplitTokens(corpus, vocabulary).length - 1;
  const total = Math.min(whole, maxTokens ?? whole);
  const sums = new Sums();
  const begun = performance.now();
  const stream = new ModelStream(model);
  const wasTraining = model.training;
  model.eval();
  try {
    for (const block of evaluationBlocks(corpus, vocabulary, { blockLength, maxTokens })) {
      if (signal?.aborted) break;
      sums.add(block, feedBlock(stream, model.config, block, blockLength));
      onProgress?.({ tokens: sums.tokens, total, bpc: sums.bpc(), seconds: secondsSince(begun) });
      await nextTurn();
    }
  } finally {
    stream.dispose();
    model.train(wasTraining);
  }
  return sums.scores(secondsSince(begun), blockLength, whole);
}

/**
 * A shorter last block is filled up to a length that the published code accepts (it fails on some): what stands behind the
 * last token cannot reach it, and no memory is needed any more.
 */
function feedBlock(
  stream: ModelStream,
  config: LanguageModelConfig,
  { inputs, targets, length }: EvaluationBlock,
  blockLength: number,
): Float64Array {
  const isCut = config.mode === 'reference' && length < blockLength;
  const ids = new Int32Array(isCut ? acceptedLength(length, config) : length);
  ids.set(inputs);
  return stream.feed(ids, (logits) => negativeLogLikelihoods(logits.narrow(1, 0, length), targets));
}

/**
 * -log p(target) of every position in nats, computed in double precision.
 *
 * @param logits (B, T, V)
 * @param targets B*T ids, row by row
 */
export function negativeLogLikelihoods(logits: Tensor, targets: Int32Array): Float64Array {
  const flat = logits.reshape([targets.length, logits.size(-1)]).to('float64');
  const wanted = tensor(BigInt64Array.from(targets, BigInt), { device: logits.device });
  return crossEntropy(flat, wanted, { reduction: 'none' }).toTypedArray() as Float64Array;
}

class Sums {
  tokens = 0;
  private nats = 0;
  private publishedTokens = 0;
  private publishedNats = 0;

  add({ publishedScored }: EvaluationBlock, nats: Float64Array): void {
    for (const [index, value] of nats.entries()) {
      this.nats += value;
      this.tokens += 1;
      if (publishedScored[index] !== 1) continue;
      this.publishedNats += value;
      this.publishedTokens += 1;
    }
  }

  bpc(): number {
    return this.nats / Math.LN2 / this.tokens;
  }

  scores(seconds: number, blockLength: number, whole: number): EvaluationScores {
    const { tokens, publishedTokens } = this;
    return {
      publishedBpc: this.publishedNats / Math.LN2 / publishedTokens,
      publishedTokens,
      bpc: this.bpc(),
      loss: this.nats / tokens,
      tokens,
      seconds,
      tokensPerSecond: tokens / seconds,
      blockLength,
      complete: tokens === whole,
    };
  }
}

function secondsSince(begun: number): number {
  return (performance.now() - begun) / 1000;
}
