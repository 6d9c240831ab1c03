import type { ByteCorpus } from './byte-corpus.js';
import { DataError } from './errors.js';
import { SplitTokens } from './split-tokens.js';
import { positiveInteger } from './token-stream.js';
import type { Vocabulary } from './vocabulary.js';

/** Tokens per block of the published evaluation (spec 3.9). */
export const publishedBlockLength = 256;

/** Consecutive tokens for batch 1: arrays of `length` positions. */
export interface EvaluationBlock {
  readonly inputs: Int32Array;
  readonly targets: Int32Array;
  /**
   * 1 where the published protocol scores the prediction, else 0. It never predicts the first token of a block of
   * 256, so it scores 255 of 256 tokens; our all-token number counts every position.
   */
  readonly publishedScored: Uint8Array;
  /** Token of the split at which the inputs begin. */
  readonly start: number;
  readonly length: number;
}

/**
 * Reads a split once, in order. Every token but the very first is the target of exactly one position; the last block
 * may be shorter. `maxTokens` stops after that many predicted tokens. Which positions the published protocol scores
 * does not depend on `blockLength` (default 256), so other block lengths report on the same tokens.
 */
export function* evaluationBlocks(
  corpus: ByteCorpus,
  vocabulary: Vocabulary,
  options: { blockLength?: number | undefined; maxTokens?: number | undefined } = {},
): Generator<EvaluationBlock> {
  const blockLength = positiveInteger('blockLength', options.blockLength ?? publishedBlockLength);
  const tokens = new SplitTokens(corpus, vocabulary);
  if (tokens.length < 2) {
    throw new DataError(
      `${corpus.name} ${corpus.split} has ${tokens.length} tokens, evaluation needs at least 2`,
    );
  }
  const wanted =
    options.maxTokens === undefined ? tokens.length : positiveInteger('maxTokens', options.maxTokens);
  const predicted = Math.min(tokens.length - 1, wanted);
  for (let start = 0; start < predicted; start += blockLength) {
    yield readBlock(tokens, start, Math.min(blockLength, predicted - start));
  }
}

function readBlock(tokens: SplitTokens, start: number, length: number): EvaluationBlock {
  const window = tokens.read(start, new Int32Array(length + 1));
  const publishedScored = Uint8Array.from({ length }, (_, i) =>
    (start + i + 1) % publishedBlockLength ? 1 : 0,
  );
  return { inputs: window.slice(0, length), targets: window.slice(1), publishedScored, start, length };
}
