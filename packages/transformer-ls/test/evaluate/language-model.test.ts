import { languageModelSchema, parseConfig } from '@transformer-ls/formats';
import { manualSeed, memoryStats, noGrad, scope, tensor } from '@transformer-ls/torch';
import { afterEach, describe, expect, it } from 'vitest';
import { MemoryByteCorpus } from '../../src/data/byte-corpus.js';
import { byteVocabulary } from '../../src/data/vocabulary.js';
import { compressorScores } from '../../src/evaluate/compressors.js';
import { contextCurve } from '../../src/evaluate/context.js';
import { forwardCost } from '../../src/evaluate/cost.js';
import { evaluateLanguageModel } from '../../src/evaluate/language-model.js';
import { type CausalLanguageModel, createLanguageModel } from '../../src/models/language-model/create.js';

const text = Uint8Array.from({ length: 700 }, (_, i) => (i * i + (i >> 3)) % 256);
const corpus = new MemoryByteCorpus({ bytes: text, name: 'embedded', split: 'test' });

let model: CausalLanguageModel;
afterEach(() => {
  model.dispose();
  expect(memoryStats().liveTensors).toBe(0);
});

function build(mode: 'consistent' | 'reference'): CausalLanguageModel {
  manualSeed(4);
  const config = parseConfig(languageModelSchema, {
    ...{ kind: 'language-model', mode, vocabularySize: 256, layers: 2, modelDim: 16, heads: 2, innerDim: 24 },
    ...{ windowSize: 32, chunkSize: 8, projectionRank: 1, memoryLength: 64, dropout: 0.5 },
  });
  model = scope(() => createLanguageModel(config));
  return model;
}

/** -log p of every token but the first, from plain forward passes over blocks of 256 tokens. */
function nats(built: CausalLanguageModel, block: number): number[] {
  built.eval();
  return noGrad(() =>
    scope(() => {
      let memory = built.emptyMemory(1);
      const losses: number[] = [];
      for (let start = 0; start < text.length - 1; start += block) {
        const ids = Int32Array.from(text.slice(start, Math.min(start + block, text.length - 1)));
        const step = built.forward(tensor(ids, { shape: [1, ids.length] }), memory);
        memory = step.memory;
        const logs = step.logits.logSoftmax(-1).toFloat32Array();
        ids.forEach((_, i) => {
          losses.push(-logs[i * 256 + text[start + i + 1]!]!);
        });
      }
      return losses;
    }),
  );
}

const bits = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length / Math.LN2;

describe.each(['consistent', 'reference'] as const)('evaluateLanguageModel, %s mode', (mode) => {
  it('scores every token, and as published all but the first of each 256', async () => {
    const built = build(mode);
    const scores = await evaluateLanguageModel(built, corpus, byteVocabulary, { blockLength: 256 });
    expect(built.training).toBe(true);
    const expected = nats(built, 256);
    expect(scores).toMatchObject({ tokens: 699, publishedTokens: 697, complete: true });
    expect(scores.bpc).toBeCloseTo(bits(expected), 5);
    expect(scores.loss).toBeCloseTo(bits(expected) * Math.LN2, 5);
    const published = expected.filter((_, i) => (i + 1) % 256 !== 0);
    expect(scores.publishedBpc).toBeCloseTo(bits(published), 5);
  });

  it('counts progress to the end, and stops where it is told', async () => {
    const seen: number[] = [];
    const options = { blockLength: 32, maxTokens: 100 };
    const built = build(mode);
    const scores = await evaluateLanguageModel(built, corpus, byteVocabulary, {
      ...options,
      onProgress: ({ tokens, total }) => seen.push(tokens / total),
    });
    expect(seen).toEqual([0.32, 0.64, 0.96, 1]);
    expect(scores).toMatchObject({ tokens: 100, complete: false });
    const controller = new AbortController();
    const stopped = await evaluateLanguageModel(built, corpus, byteVocabulary, {
      ...options,
      signal: controller.signal,
      onProgress: () => controller.abort(),
    });
    expect(stopped).toMatchObject({ tokens: 32, complete: false });
  });
});

it('a last block that the published code would refuse is read all the same', async () => {
  const built = build('reference');
  const options = { blockLength: 256, maxTokens: 256 + 40 };
  const scores = await evaluateLanguageModel(built, corpus, byteVocabulary, options);
  // 40 tokens are whole chunks, more than the window and no multiple of it; 64 are fine, and the first 40 of them the same.
  const longer = await evaluateLanguageModel(built, corpus, byteVocabulary, {
    ...options,
    maxTokens: 256 + 64,
  });
  const rest = await evaluateLanguageModel(built, corpus, byteVocabulary, {
    ...options,
    maxTokens: 256 + 39,
  });
  expect(scores.tokens).toBe(296);
  expect(scores.loss * 296).toBeGreaterThan(rest.loss * 295);
  expect(scores.loss * 296).toBeLessThan(longer.loss * 320);
  expect(scores.loss * 296).toBeCloseTo(
    nats(built, 256)
      .slice(0, 296)
      .reduce((sum, value) => sum + value, 0),
    2,
  );
});

it('the block length changes nothing in consistent mode', async () => {
  const built = build('consistent');
  const short = await evaluateLanguageModel(built, corpus, byteVocabulary, { blockLength: 17 });
  const long = await evaluateLanguageModel(built, corpus, byteVocabulary, { blockLength: 1024 });
  expect(long.bpc).toBeCloseTo(short.bpc, 5);
  expect(long.publishedBpc).toBeCloseTo(short.publishedBpc, 5);
});

describe('contextCurve', () => {
  it('predicts the same tokens after exactly so much text with a fresh memory', async () => {
    const built = build('consistent');
    const lengths = [16, 64, 256];
    const curve = await contextCurve(built, corpus, byteVocabulary, { lengths, places: 3 });
    const room = 700 - 256 - 64;
    const starts = [256, 256 + Math.floor(room / 2), 256 + room];
    built.eval();
    for (const [index, length] of lengths.entries()) {
      const losses = starts.flatMap((start) =>
        noGrad(() =>
          scope(() => {
            const ids = Int32Array.from(text.slice(start - length, start + 63));
            const { logits } = built.forward(tensor(ids, { shape: [1, ids.length] }));
            const logs = logits.logSoftmax(-1).toFloat32Array();
            return Array.from({ length: 64 }, (_, i) => -logs[(length - 1 + i) * 256 + text[start + i]!]!);
          }),
        ),
      );
      expect(curve[index]!.contextLength).toBe(length);
      expect(curve[index]!.bpc).toBeCloseTo(bits(losses), 5);
    }
  });

  it('leaves out lengths that the split has no room for, and says when none is left', async () => {
    const built = build('reference');
    const curve = await contextCurve(built, corpus, byteVocabulary, { places: 2 });
    expect(curve.map(({ contextLength }) => contextLength)).toEqual([64, 128, 256, 512]);
    const tiny = new MemoryByteCorpus({ bytes: text.subarray(0, 90), name: 'embedded', split: 'test' });
    await expect(contextCurve(built, tiny, byteVocabulary)).rejects.toThrow(
      'embedded test has 90 tokens, a context chart needs at least 129',
    );
  });
});

describe('compressorScores', () => {
  it('give bits per byte that decompress to the same size', async () => {
    build('consistent');
    const bytes = new Uint8Array(20_000).fill(97);
    const flat = new MemoryByteCorpus({ bytes, name: 'embedded', split: 'test' });
    const [gzip, xz] = await compressorScores(flat);
    expect(gzip).toMatchObject({ name: 'gzip -9' });
    expect(gzip!.compressedBytes).toBeLessThan(100);
    expect(gzip!.bpc).toBe((8 * gzip!.compressedBytes) / 20_000);
    if (xz !== undefined) expect(xz.compressedBytes).toBeLessThan(300);
    const [half] = await compressorScores(corpus, 350);
    expect(half!.bpc).toBe((8 * half!.compressedBytes) / 350);
  });
});

it('forwardCost counts the matrix products of a token', () => {
  const built = build('consistent');
  const { perToken, segmentLength } = forwardCost(built);
  expect(segmentLength).toBe(256);
  const linear = 2 * (4 * 16 * 16 + 2 * 16 * 24 + 16 * 2) + 16 * 256;
  // Attention comes on top: window and chunk scores and sums, between one and four windows of keys.
  expect(perToken).toBeGreaterThan(linear + 2 * 2 * 32 * 16);
  expect(perToken).toBeLessThan(linear + 2 * 3 * (4 * 32 + 2 * 64) * 16);
});
