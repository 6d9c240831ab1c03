/** How much a model gains from context: the same tokens predicted with more and more text before them. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ContextPoint } from '../charts/curves.js';
import type { ByteCorpus } from '../data/byte-corpus.js';
import { DataError } from '../data/errors.js';
import { SplitTokens } from '../data/split-tokens.js';
import type { Vocabulary } from '../data/vocabulary.js';
import { referenceBlockLength } from '../generate/next-token.js';
import type { CausalLanguageModel } from '../models/language-model/create.js';
import { ModelStream } from '../models/language-model/stream.js';
import { negativeLogLikelihoods } from './language-model.js';

export interface ContextOptions {
  /** Ascending context lengths. Default: 64, 128 … 32,768, as far as the split is long enough. */
  readonly lengths?: readonly number[] | undefined;
  /** Places of the split at which tokens are predicted. Default 32, or as many as the split has room for. */
  readonly places?: number | undefined;
  readonly onProgress?: ((progress: { tokens: number; total: number; seconds: number }) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Tokens predicted at each place: they have L to L + 63 tokens of context in the point of length L. */
const SCORED = 64;
/** Places that run side by side. */
const BATCH = 8;
const LENGTHS = Array.from({ length: 10 }, (_, power) => 64 * 2 ** power);

/**
 * Mean bits per token against context length. At every place of a sample spread evenly over the split the same 64 tokens are
 * predicted for each length L, after reading just the L tokens before them with a fresh memory; points of different length
 * differ by the context alone.
 *
 * @throws DataError where the split is too short for the shortest length
 */
export async function contextCurve(
  model: CausalLanguageModel,
  corpus: ByteCorpus,
  vocabulary: Vocabulary,
  { lengths = LENGTHS, places = 32, onProgress, signal }: ContextOptions = {},
): Promise<ContextPoint[]> {
  const tokens = new SplitTokens(corpus, vocabulary);
  const fitting = lengths.filter((length) => length + SCORED + 1 <= tokens.length);
  if (fitting.length === 0)
    throw new DataError(
      `${corpus.name} ${corpus.split} has ${tokens.length} tokens, a context chart needs at least ${(lengths[0] ?? 0) + SCORED + 1}`,
    );
  const starts = samplePlaces(tokens.length, fitting.at(-1)!, places);
  const groups = fitting.flatMap((length) => batchesOf(starts).map((group) => ({ length, group })));
  const total = groups.reduce((sum, { length, group }) => sum + group.length * (length + SCORED), 0);
  const nats = new Map(fitting.map((length) => [length, 0]));
  const begun = performance.now();
  let done = 0;
  const wasTraining = model.training;
  model.eval();
  try {
    for (const { length, group } of groups) {
      if (signal?.aborted) return [];
      nats.set(length, nats.get(length)! + (await scoreGroup(model, tokens, group, length)));
      done += group.length * (length + SCORED);
      onProgress?.({ tokens: done, total, seconds: (performance.now() - begun) / 1000 });
    }
  } finally {
    model.train(wasTraining);
  }
  return fitting.map((contextLength) => ({
    contextLength,
    bpc: nats.get(contextLength)! / Math.LN2 / (starts.length * SCORED),
  }));
}

/** First predicted tokens: evenly spread, none with less than `longest` tokens before it, none overlapping. */
function samplePlaces(length: number, longest: number, places: number): number[] {
  const room = length - longest - SCORED;
  const count = Math.max(1, Math.min(places, Math.floor(room / SCORED) + 1));
  return Array.from({ length: count }, (_, i) =>
    count === 1 ? longest : longest + Math.floor((i * room) / (count - 1)),
  );
}

function batchesOf(starts: readonly number[]): number[][] {
  const count = Math.ceil(starts.length / BATCH);
  return Array.from({ length: count }, (_, i) => starts.slice(i * BATCH, (i + 1) * BATCH));
}

/** Sum of the nats of the 64 tokens from each start, after `length` tokens of context. */
async function scoreGroup(
  model: CausalLanguageModel,
  tokens: SplitTokens,
  starts: readonly number[],
  length: number,
): Promise<number> {
  // The prediction of a token is read from the position before it, so the inputs end one token early.
  const rows = starts.map((start) => tokens.read(start - length, new Int32Array(length + SCORED)));
  const inputs = length + SCORED - 1;
  const step = segmentLength(model);
  const stream = new ModelStream(model, starts.length);
  let sum = 0;
  try {
    for (let at = 0; at < inputs; at += step) {
      const end = Math.min(at + step, inputs);
      const ids = rows.map((row) => row.subarray(at, end));
      const targets = rows.map((row) => row.subarray(at + 1, end + 1));
      const scoredFrom = length - 1 - at;
      sum += stream.feed(joined(ids), (logits) => {
        if (scoredFrom >= end - at) return 0;
        return sumOfLast(negativeLogLikelihoods(logits, joined(targets)), end - at, Math.max(0, scoredFrom));
      });
      await nextTurn();
    }
  } finally {
    stream.dispose();
  }
  return sum;
}

function segmentLength(model: CausalLanguageModel): number {
  return model.config.mode === 'reference' ? referenceBlockLength(model.config) : 256;
}

function joined(rows: readonly Int32Array[]): Int32Array {
  const width = rows[0]!.length;
  const all = new Int32Array(rows.length * width);
  rows.forEach((row, index) => {
    all.set(row, index * width);
  });
  return all;
}

/** Sum over the columns from `first` on of a matrix with rows of `width`. */
function sumOfLast(values: Float64Array, width: number, first: number): number {
  return values.reduce((sum, value, index) => (index % width >= first ? sum + value : sum), 0);
}
