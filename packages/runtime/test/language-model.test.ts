// What an exported language model writes is what the model itself writes, and reading takes the same memory however long the prompt.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { FairseqDictionary, type LanguageModelConfig } from '@transformer-ls/formats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  generate,
  type GenerateOptions as LibtorchOptions,
} from '../../transformer-ls/src/generate/stream.js';
import type { CausalLanguageModel } from '../../transformer-ls/src/models/language-model/create.js';
import { exportLanguageModel, smallLanguageModel } from '../../transformer-ls/test/export/small-exports.js';
import {
  type GenerateOptions,
  type LanguageModel,
  loadLanguageModel,
  type Prompt,
  TerminalText,
} from '../src/index.js';
import { failure, testFolder, withManifest } from './exported-models.js';

const scratch = testFolder();
const counts = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 32 && byte < 127 && byte !== 95 ? byte : 0,
);
const dictionary = FairseqDictionary.fromCounts(counts, 'characters');

const MODELS: Record<string, Partial<LanguageModelConfig>> = {
  consistent: {},
  'consistent of rank 0': { projectionRank: 0 },
  'consistent without memory': { memoryLength: 0 },
  'consistent with chunks of one token': { chunkSize: 1, memoryLength: 7 },
  reference: { mode: 'reference' },
};

interface Both {
  readonly libtorch: CausalLanguageModel;
  readonly exported: LanguageModel;
  readonly folder: string;
}

const models = new Map<string, Both>();
const withDictionary = {} as { both: Both };

async function both(
  name: string,
  changes: Partial<LanguageModelConfig>,
  vocabulary?: FairseqDictionary,
): Promise<Both> {
  const folder = join(scratch.path, name);
  mkdirSync(folder);
  const libtorch = smallLanguageModel(changes);
  await exportLanguageModel(libtorch, folder, vocabulary === undefined ? {} : { vocabulary });
  return { libtorch, exported: await loadLanguageModel(folder), folder };
}

beforeAll(async () => {
  for (const [name, changes] of Object.entries(MODELS)) models.set(name, await both(name, changes));
  withDictionary.both = await both(
    'dictionary',
    { mode: 'reference', vocabularySize: dictionary.vocabularySize },
    dictionary,
  );
});
afterAll(async () => {
  for (const { libtorch, exported } of [...models.values(), withDictionary.both]) {
    libtorch.dispose();
    await exported.dispose();
  }
  scratch.remove();
});

async function bytesOf(stream: AsyncIterable<Uint8Array>): Promise<number[]> {
  const bytes: number[] = [];
  for await (const piece of stream) bytes.push(...piece);
  return bytes;
}

const long =
  'It was a dark and stormy night; the rain fell in torrents — except at occasional intervals. '.repeat(4);

describe.each(Object.keys(MODELS))('a %s model', (name) => {
  const cases: [string, Prompt, GenerateOptions][] = [
    ['the likeliest tokens', 'The night', { temperature: 0, maxTokens: 30 }],
    ['drawn tokens', 'The night', { seed: 7, maxTokens: 30 }],
    [
      'drawn tokens of the likeliest few',
      'The night',
      { seed: 8, maxTokens: 30, temperature: 0.7, topK: 9, topP: 0.8 },
    ],
    ['after a prompt of several blocks', long, { seed: 9, maxTokens: 30 }],
    ['after exactly one block', 'x'.repeat(128), { seed: 10, maxTokens: 10 }],
    ['after one token more than a block', 'x'.repeat(129), { seed: 10, maxTokens: 10 }],
    ['after one byte', 'x', { seed: 11, maxTokens: 20 }],
    ['after nothing', '', { seed: 12, maxTokens: 20 }],
    [
      'after bytes that are no text',
      Uint8Array.from({ length: 300 }, (_, i) => (i * 37) % 256),
      { seed: 1, maxTokens: 5 },
    ],
    ['no token', 'The night', { maxTokens: 0 }],
  ];
  it.each(cases)('writes what libtorch writes: %s', async (_, prompt, options) => {
    const { libtorch, exported } = models.get(name)!;
    const expected = generate(libtorch, { ...options, prompt } as LibtorchOptions);
    const stream = exported.generate(prompt, options);
    expect(await bytesOf(stream.bytes())).toEqual(await bytesOf(expected));
    const { tokens, promptTokens, ending } = expected;
    expect(stream).toMatchObject({ tokens, promptTokens, ending });
    expect(ending).toBe('length');
  });

  it('does not depend on how the prompt comes', async () => {
    const { exported } = models.get(name)!;
    const bytes = new TextEncoder().encode(long);
    const options = { maxTokens: 15, seed: 3 };
    const whole = await bytesOf(exported.generate(long, options).bytes());
    async function* later() {
      for (let at = 0; at < bytes.length; at += 50) {
        await new Promise((resolve) => setImmediate(resolve));
        yield bytes.subarray(at, at + 50);
      }
    }
    const pieces = [bytes.subarray(0, 1), bytes.subarray(1, 1), bytes.subarray(1, 77), bytes.subarray(77)];
    for (const prompt of [bytes, pieces, later()])
      expect(await bytesOf(exported.generate(prompt, options).bytes())).toEqual(whole);
  });

  it('has streams side by side, each as if it were alone', async () => {
    const { exported } = models.get(name)!;
    const prompts = ['One', long, '', 'Four tokens'];
    const run = (prompt: string, seed: number) =>
      bytesOf(exported.generate(prompt, { seed, maxTokens: 12 }).bytes());
    const alone: number[][] = [];
    for (const [seed, prompt] of prompts.entries()) alone.push(await run(prompt, seed));
    expect(await Promise.all(prompts.map((prompt, seed) => run(prompt, seed)))).toEqual(alone);
  });

  it('ends before a stop text', async () => {
    const { libtorch, exported } = models.get(name)!;
    const all = await bytesOf(exported.generate('The', { seed: 2, maxTokens: 60 }).bytes());
    const at = all.findIndex((byte, i) => i > 5 && byte > 32 && byte < 127);
    const stop = [String.fromCharCode(all[at]!)];
    const stream = exported.generate('The', { seed: 2, maxTokens: 60, stop });
    const written = await bytesOf(stream.bytes());
    expect(written).toEqual(all.slice(0, all.indexOf(all[at]!)));
    expect(stream.ending).toBe('stop');
    const options = { prompt: 'The', seed: 2, maxTokens: 60, stop };
    expect(written).toEqual(await bytesOf(generate(libtorch, options)));
  });

  it('ends cleanly when aborted, and counts what it did', async () => {
    const { exported } = models.get(name)!;
    const controller = new AbortController();
    const stream = exported.generate('The', { signal: controller.signal });
    let pieces = 0;
    for await (const _ of stream.bytes()) if (++pieces === 5) controller.abort();
    expect(stream).toMatchObject({ ending: 'aborted', tokens: 5, promptTokens: 3 });
    expect(stream.memoryBytes).toBeGreaterThan(0);
  });
});

describe('a model with a dictionary', () => {
  it('writes what libtorch writes', async () => {
    const { libtorch, exported } = withDictionary.both;
    const options = { maxTokens: 40, seed: 5 };
    const prompt = 'Plain text of ASCII\nand no other.';
    expect(await bytesOf(exported.generate(prompt, options).bytes())).toEqual(
      await bytesOf(generate(libtorch, { ...options, prompt, vocabulary: dictionary })),
    );
  });

  it.each<[string, object, string]>([
    [
      'whose symbols are none',
      { style: 'characters', symbols: ['ab'] },
      'the vocabulary of the manifest line 1: expected one printable ASCII',
    ],
    ['with a symbol twice', { style: 'characters', symbols: ['a', 'a'] }, 'stands already on line 1'],
    [
      'with two lines in a symbol',
      { style: 'characters', symbols: ['a 0\nb'] },
      'symbols[0]: expected a symbol without white space',
    ],
    [
      'that is smaller than the model',
      { style: 'characters', symbols: ['a'] },
      `expected a vocabulary of ${dictionary.vocabularySize} ids, the manifest has one of 5`,
    ],
  ])('is refused %s', async (_, vocabulary, message) => {
    const copy = withManifest(withDictionary.both.folder, (manifest) => ({
      ...manifest,
      vocabulary: { kind: 'fairseq', ...vocabulary },
    }));
    const found = await failure(loadLanguageModel(copy));
    expect(found.code).toBe('damaged');
    expect(found.message).toContain(message);
  });
});

describe('a stream', () => {
  const model = () => models.get('consistent')!.exported;

  it('is text, whole characters at a time', async () => {
    const stream = model().generate(long, { seed: 4, maxTokens: 80 });
    const raw = await bytesOf(model().generate(long, { seed: 4, maxTokens: 80 }).bytes());
    let text = '';
    for await (const piece of stream) {
      expect(piece.isWellFormed()).toBe(true);
      text += piece;
    }
    const whole = new TerminalText();
    expect(text).toBe(whole.push(Uint8Array.from(raw)) + whole.end());
    expect(stream.tokens).toBe(80);
  });

  it('can be left, and read once', async () => {
    const stream = model().generate('The', { maxTokens: 100 });
    for await (const _ of stream) break;
    expect(stream.tokens).toBeLessThan(100);
    expect((await failure(bytesOf(stream.bytes()))).message).toBe(
      'a TextStream can be read once; call generate again',
    );
  });

  it('does nothing when it is aborted before it begins', async () => {
    const stream = model().generate(long, { signal: AbortSignal.abort() });
    expect(await bytesOf(stream.bytes())).toEqual([]);
    expect(stream).toMatchObject({ ending: 'aborted', tokens: 0, promptTokens: 0 });
  });

  it('stops to read a prompt that never ends when it is aborted', async () => {
    const controller = new AbortController();
    let pieces = 0;
    function* endless() {
      for (;;) {
        if (++pieces === 3) controller.abort();
        yield new Uint8Array(1000).fill(97);
      }
    }
    const stream = model().generate(endless(), { signal: controller.signal, maxTokens: 5 });
    expect(await bytesOf(stream.bytes())).toEqual([]);
    expect(stream.ending).toBe('aborted');
    expect(pieces).toBeLessThan(5);
  });

  it.each<[GenerateOptions, string]>([
    [{ maxTokens: -1 }, 'maxTokens: expected a whole number of at least 0, received -1'],
    [{ maxTokens: 1.5 }, 'maxTokens: expected a whole number of at least 0, received 1.5'],
    [{ temperature: -1 }, 'temperature: expected at least 0, received -1'],
    [{ topK: 0 }, 'topK: expected at least 1, received 0'],
    [{ topP: 0 }, 'topP: expected above 0 and at most 1, received 0'],
    [{ seed: -1 }, 'seed: expected a whole number of at least 0, received -1'],
  ])('refuses %j at once', (options, message) => {
    expect(() => model().generate('The', options)).toThrow(message);
  });

  it.each<[string, unknown, string]>([
    ['a number', 7, 'prompt: expected text, bytes or pieces of bytes, received number'],
    ['nothing', null, 'prompt: expected text, bytes or pieces of bytes, received object'],
    ['pieces of text', ['a', 'b'], 'prompt: expected bytes, received string'],
  ])('refuses %s as a prompt', async (_, prompt, message) => {
    const stream = model().generate(prompt as Prompt, { maxTokens: 1 });
    expect(await failure(bytesOf(stream.bytes()))).toEqual({ code: 'bad-input', message });
  });

  it('passes on what a prompt fails with', async () => {
    async function* broken() {
      yield new Uint8Array(3);
      throw new RangeError('the disk is gone');
    }
    await expect(bytesOf(model().generate(broken()).bytes())).rejects.toThrow('the disk is gone');
    // And others go on.
    expect(await bytesOf(model().generate('The', { maxTokens: 3 }).bytes())).toHaveLength(3);
  });

  it('tells what each token looked at', async () => {
    const { windowSize: W } = model().manifest.model;
    const looked: { window: Float32Array; chunks: Float32Array; dims: readonly number[] }[] = [];
    const options: GenerateOptions = {
      maxTokens: 6,
      seed: 1,
      onAttention(attention) {
        const [window, chunks] = [attention['attention.window']!, attention['attention.chunks']!];
        looked.push({
          window: Float32Array.from(window.data as Float32Array),
          chunks: Float32Array.from(chunks.data as Float32Array),
          dims: [...window.dims, ...chunks.dims],
        });
      },
    };
    // A whole block first: that is none of a single token.
    await bytesOf(model().generate('x'.repeat(130), options).bytes());
    expect(looked).toHaveLength(1 + 5);
    for (const { window, chunks, dims } of looked) {
      expect(dims).toEqual([2, 1, W, 2, 1, 6]);
      for (let layer = 0; layer < 2; layer++) {
        const sum = (all: Float32Array, width: number) =>
          all.subarray(layer * width, (layer + 1) * width).reduce((a, b) => a + b, 0);
        expect(sum(window, W) + sum(chunks, 6)).toBeCloseTo(1, 5);
      }
    }
  });
});

describe('memory', () => {
  it('of the state is the same however long the prompt', async () => {
    const exported = await loadLanguageModel(models.get('consistent')!.folder);
    const remembered = new Set<number>();
    for (const length of [1, 100, 10_000]) {
      const stream = exported.generate(new Uint8Array(length).fill(65), { maxTokens: 3 });
      for await (const _ of stream.bytes()) remembered.add(stream.memoryBytes);
      expect(stream.promptTokens).toBe(length);
    }
    expect(remembered.size).toBe(1);
    await exported.dispose();
  });
});

describe('dispose', () => {
  it('ends a model: streams that go on and new ones say so, and once more is no harm', async () => {
    const exported = await loadLanguageModel(models.get('consistent')!.folder);
    const stream = exported.generate('The', { maxTokens: 1000 });
    const iterator = stream.bytes()[Symbol.asyncIterator]();
    await iterator.next();
    await exported.dispose();
    expect(await failure(iterator.next())).toEqual({ code: 'disposed', message: 'this model was disposed' });
    expect((await failure(bytesOf(exported.generate('The').bytes()))).code).toBe('disposed');
    await exported.dispose();
  });

  it('waits for what is computed', async () => {
    const exported = await loadLanguageModel(models.get('reference')!.folder);
    const written = bytesOf(exported.generate(long, { maxTokens: 50 }).bytes());
    const [{ code }] = await Promise.all([failure(written), exported.dispose()]);
    expect(code).toBe('disposed');
  });
});
