import { type LanguageModelConfig, languageModelSchema, parseConfig } from '@transformer-ls/formats';
import { manualSeed, memoryStats, noGrad, scope, tensor } from '@transformer-ls/torch';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { nextToken, referenceBlockLength } from '../../src/generate/next-token.js';
import { generate } from '../../src/generate/stream.js';
import { type CausalLanguageModel, createLanguageModel } from '../../src/models/language-model/create.js';

const VOCABULARY = 16;

const settings = fc
  .record({
    mode: fc.constantFrom('consistent' as const, 'reference' as const),
    layers: fc.integer({ min: 1, max: 2 }),
    heads: fc.constantFrom(1, 2),
    windowSize: fc.integer({ min: 1, max: 9 }),
    chunkSize: fc.integer({ min: 1, max: 6 }),
    projectionRank: fc.integer({ min: 1, max: 2 }),
    chunks: fc.integer({ min: 2, max: 6 }),
    seed: fc.nat(),
  })
  .map(({ chunks, seed, ...sizes }) => {
    const least = sizes.mode === 'reference' ? Math.ceil(sizes.windowSize / sizes.chunkSize) : 0;
    const memoryLength = Math.max(chunks, least) * sizes.chunkSize;
    const rest = {
      kind: 'language-model',
      vocabularySize: VOCABULARY,
      modelDim: 8,
      innerDim: 12,
      memoryLength,
    };
    return { config: parseConfig(languageModelSchema, { ...sizes, ...rest }), seed };
  });

let model: CausalLanguageModel | undefined;
afterEach(() => model?.dispose());

function build(config: LanguageModelConfig, seed: number): CausalLanguageModel {
  model?.dispose();
  manualSeed(seed);
  model = createLanguageModel(config);
  model.eval();
  return model;
}

/**
 * Logits after the last token by plain forward passes: one in consistent mode, block by block in reference mode, where a last
 * block that is not whole is filled up behind.
 */
function fullLogits(built: CausalLanguageModel, ids: Int32Array): Float32Array {
  const block = built.config.mode === 'reference' ? referenceBlockLength(built.config) : ids.length;
  return noGrad(() =>
    scope(() => {
      let memory = built.emptyMemory(1);
      let last: Float32Array = new Float32Array(0);
      for (let start = 0; start < ids.length; start += block) {
        const segment = new Int32Array(block);
        segment.set(ids.subarray(start, start + block));
        const step = built.forward(tensor(segment, { shape: [1, block] }), memory);
        memory = step.memory;
        last = step.logits.narrow(1, Math.min(block, ids.length - start) - 1, 1).toFloat32Array();
      }
      return last;
    }),
  );
}

function expectClose(actual: Float32Array, expected: Float32Array): void {
  expect(actual.length).toBe(expected.length);
  const error = Math.max(...actual.map((value, index) => Math.abs(value - expected[index]!)));
  expect(error).toBeLessThan(2e-5);
}

describe('logits of the next token', () => {
  it('equal those of a full forward pass, whatever the model and however the tokens are handed over', () => {
    const tokens = fc.array(fc.nat({ max: VOCABULARY - 1 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(settings, tokens, fc.array(fc.nat()), ({ config, seed }, list, cuts) => {
        const built = build(config, seed);
        const ids = Int32Array.from(list);
        const next = nextToken(built);
        const ends = [...new Set([...cuts.map((cut) => cut % ids.length), ids.length])].sort((a, b) => a - b);
        let start = 0;
        for (const end of ends) {
          next.feed(ids.subarray(start, end));
          if (end > 0) expectClose(next.logits()!, fullLogits(built, ids.subarray(0, end)));
          start = end;
        }
        next.dispose();
      }),
      { numRuns: 150 },
    );
  });

  it('take the same memory after every chunk once the memory is full, and leave no tensor behind', () => {
    const config = {
      mode: 'consistent',
      layers: 2,
      heads: 2,
      windowSize: 8,
      chunkSize: 4,
      projectionRank: 1,
    };
    const rest = {
      kind: 'language-model',
      vocabularySize: VOCABULARY,
      modelDim: 8,
      innerDim: 12,
      memoryLength: 16,
    };
    const built = build(parseConfig(languageModelSchema, { ...config, ...rest }), 1);
    const before = memoryStats().liveTensors;
    const next = nextToken(built);
    next.feed(new Int32Array(64));
    const bytes = next.memoryBytes();
    const live = memoryStats().liveTensors;
    for (let i = 0; i < 64; i++) next.feed(Int32Array.of(i % VOCABULARY));
    expect(next.memoryBytes()).toBe(bytes);
    expect(memoryStats().liveTensors).toBe(live);
    next.dispose();
    expect(memoryStats().liveTensors).toBe(before);
  });
});

describe('referenceBlockLength', () => {
  it('is what the published code takes without padding', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 600 }),
        fc.integer({ min: 1, max: 64 }),
        (windowSize, chunkSize) => {
          const block = referenceBlockLength({ windowSize, chunkSize } as LanguageModelConfig);
          expect(block % chunkSize).toBe(0);
          expect(block <= windowSize || block % windowSize === 0).toBe(true);
        },
      ),
    );
    expect(referenceBlockLength({ windowSize: 512, chunkSize: 16 } as LanguageModelConfig)).toBe(256);
  });
});

async function textOf(stream: AsyncIterable<Uint8Array>): Promise<number[]> {
  const bytes: number[] = [];
  for await (const piece of stream) bytes.push(...piece);
  return bytes;
}

describe.each(['consistent', 'reference'] as const)('generate in %s mode', (mode) => {
  const config = parseConfig(languageModelSchema, {
    ...{ kind: 'language-model', mode, vocabularySize: 256, layers: 2, modelDim: 16, heads: 2, innerDim: 32 },
    ...{ windowSize: 8, chunkSize: 4, projectionRank: 1, memoryLength: 32 },
  });
  const prompt = 'It was a dark and stormy night; the rain fell in torrents — except at occasional intervals';

  it('does not depend on how the prompt comes', async () => {
    const built = build(config, 5);
    const bytes = new TextEncoder().encode(prompt);
    const options = { maxTokens: 30, seed: 9 };
    const whole = await textOf(generate(built, { ...options, prompt }));
    const pieces = [bytes.subarray(0, 1), bytes.subarray(1, 1), bytes.subarray(1, 50), bytes.subarray(50)];
    expect(await textOf(generate(built, { ...options, prompt: bytes }))).toEqual(whole);
    expect(await textOf(generate(built, { ...options, prompt: pieces }))).toEqual(whole);
    expect(whole).toHaveLength(30);
  });

  it('continues its own text as if it had been part of the prompt', async () => {
    const built = build(config, 6);
    const greedy = { temperature: 0 };
    const all = await textOf(generate(built, { ...greedy, prompt, maxTokens: 40 }));
    const longer = [new TextEncoder().encode(prompt), Uint8Array.from(all.slice(0, 15))];
    const rest = await textOf(generate(built, { ...greedy, prompt: longer, maxTokens: 25 }));
    expect(rest).toEqual(all.slice(15));
  });

  it('ends at a stop text, which is not put out, and frees everything when the reader leaves', async () => {
    const built = build(config, 7);
    const all = await textOf(generate(built, { prompt, maxTokens: 60, temperature: 0 }));
    const printable = all.findIndex((byte, index) => index > 5 && byte < 128);
    const stop = String.fromCharCode(all[printable]!);
    const live = memoryStats().liveTensors;
    const stream = generate(built, { prompt, maxTokens: 60, temperature: 0, stop: [stop] });
    expect(await textOf(stream)).toEqual(all.slice(0, all.indexOf(all[printable]!)));
    expect(stream.ending).toBe('stop');
    for await (const _ of generate(built, { prompt })) break;
    expect(memoryStats().liveTensors).toBe(live);
  });

  it('ends cleanly when aborted, counts tokens, and starts without a prompt', async () => {
    const built = build(config, 8);
    const controller = new AbortController();
    const stream = generate(built, { signal: controller.signal });
    let pieces = 0;
    for await (const _ of stream) if (++pieces === 5) controller.abort();
    expect(stream).toMatchObject({ ending: 'aborted', tokens: 5, promptTokens: 0 });
  });

  it('is read once, and refuses settings out of range', async () => {
    const built = build(config, 9);
    const stream = generate(built, { maxTokens: 1 });
    await textOf(stream);
    await expect(textOf(stream)).rejects.toThrow('read once');
    expect(() => generate(built, { maxTokens: -1 })).toThrow(
      'maxTokens: expected a whole number of at least 0',
    );
  });
});
