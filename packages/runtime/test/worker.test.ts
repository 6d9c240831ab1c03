// A page and its worker, joined by a pair of ports in memory: what is said is cloned and comes later, as between threads.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  exportImages,
  exportLanguageModel,
  exportText,
  smallClassifier,
  smallCvtLs,
  smallLanguageModel,
} from '../../transformer-ls/test/export/small-exports.js';
import {
  connectWorker,
  GenerationError,
  loadImageClassifier,
  loadLanguageModel,
  loadTextClassifier,
  type RuntimeError,
  type TokenAttention,
  type WorkerGenerateOptions,
  type WorkerLike,
  type WorkerModel,
} from '../src/index.js';
import { WorkerHost } from '../src/worker/host.js';
import type { SentRequest } from '../src/worker/messages.js';
import { failure, served, testFolder } from './exported-models.js';

const scratch = testFolder();
const folders = { language: '', text: '', images: '' };

beforeAll(async () => {
  for (const name of Object.keys(folders) as (keyof typeof folders)[]) {
    folders[name] = join(scratch.path, name);
    mkdirSync(folders[name]);
  }
  const [language, text, images] = [smallLanguageModel(), smallClassifier(), smallCvtLs()];
  await exportLanguageModel(language, folders.language);
  await exportText(text, folders.text);
  await exportImages(images, folders.images);
  language.dispose();
  text.model.dispose();
  images.model.dispose();
});
afterAll(scratch.remove);

/** A worker with a host behind it. */
class MemoryWorker implements WorkerLike {
  onmessage: ((event: MessageEvent) => void) | null = null;
  onerror: WorkerLike['onerror'] = null;
  terminated = false;
  /** What the page asked for, in order. */
  readonly asked: SentRequest[] = [];
  private readonly host = new WorkerHost((answer) => {
    const sent = structuredClone(answer);
    setImmediate(() => {
      if (!this.terminated) this.onmessage?.({ data: sent } as MessageEvent);
    });
  });

  postMessage(message: unknown): void {
    const sent = structuredClone(message) as SentRequest;
    this.asked.push(sent);
    setImmediate(() => {
      if (!this.terminated) void this.host.receive(sent);
    });
  }

  terminate(): void {
    this.terminated = true;
  }

  /** As a worker that throws where nobody catches, or whose script cannot be loaded. */
  die(message?: string): void {
    this.onerror?.({ message } as never);
  }

  did(what: SentRequest['request']['do']): number {
    return this.asked.filter(({ request }) => request.do === what).length;
  }
}

async function connected(folder: string): Promise<{ worker: MemoryWorker; model: WorkerModel }> {
  const worker = new MemoryWorker();
  return { worker, model: await connectWorker(worker, pathToFileURL(folder)) };
}

async function textOf(stream: AsyncIterable<string>): Promise<string> {
  let text = '';
  for await (const piece of stream) text += piece;
  return text;
}

describe('a model in a worker', () => {
  it('says what it is', async () => {
    const { model } = await connected(folders.text);
    expect(model.kind).toBe('text-classifier');
    expect(model.manifest.name).toBe('small');
    expect(model.device).toBe('cpu');
    await model.dispose();
  });

  it('classifies texts and pictures as it does without a worker', async () => {
    const [text, images] = [await connected(folders.text), await connected(folders.images)];
    const [plainText, plainImages] = [
      await loadTextClassifier(folders.text),
      await loadImageClassifier(folders.images),
    ];
    const bytes = new TextEncoder().encode('A text.');
    const picture = { width: 5, height: 4, data: new Uint8ClampedArray(80).map((_, i) => (i * 11) % 256) };
    expect(await text.model.classifyText('A text.')).toEqual(await plainText.classify('A text.'));
    expect(await text.model.classifyText([bytes])).toEqual(await plainText.classify('A text.'));
    expect(await text.model.embedText(bytes)).toEqual(await plainText.embed('A text.'));
    expect(await images.model.classifyImage(picture)).toEqual(await plainImages.classify(picture));
    expect(await images.model.embedImage(picture)).toEqual(await plainImages.embed(picture));
    for (const one of [text.model, images.model, plainText, plainImages]) await one.dispose();
  });

  it('writes text as it does without a worker, and counts', async () => {
    const { worker, model } = await connected(folders.language);
    const plain = await loadLanguageModel(folders.language);
    const prompt = 'A prompt of more than one block. '.repeat(6);
    const options = { seed: 3, maxTokens: 40, temperature: 0.8, topK: 50 };
    const stream = model.generate(prompt, options);
    const expected = plain.generate(prompt, options);
    expect(await textOf(stream)).toBe(await textOf(expected));
    const { tokens, promptTokens, memoryBytes, ending } = expected;
    expect(stream.counts).toMatchObject({ tokens, promptTokens, memoryBytes, ending });
    // It ended by itself: nobody has to end it.
    expect(worker.did('end')).toBe(0);
    await Promise.all([model.dispose(), plain.dispose()]);
  });

  it('tells where each token looked, where that is asked for', async () => {
    const { model } = await connected(folders.language);
    const looked: TokenAttention[] = [];
    const onAttention = (attention: TokenAttention) => looked.push(attention);
    await textOf(model.generate('The night', { maxTokens: 6, seed: 1, onAttention }));
    expect(looked.length).toBeGreaterThan(0);
    const { windowSize: W } = model.manifest.model as { windowSize: number };
    for (const { layers, window, chunks } of looked) {
      expect([layers, window.length, chunks.length]).toEqual([2, 2 * W, 2 * 6]);
      const sum = [...window, ...chunks].reduce((a, b) => a + b, 0);
      expect(sum).toBeCloseTo(2, 4);
    }
    await model.dispose();
  });

  it('tells how far loading is', async () => {
    const worker = new MemoryWorker();
    const told: number[] = [];
    const model = await connectWorker(worker, pathToFileURL(folders.text), {
      onProgress: ({ loadedBytes, totalBytes }) => told.push(loadedBytes / totalBytes),
    });
    expect(told.at(-1)).toBe(1);
    expect(told).toEqual(told.toSorted((a, b) => a - b));
    await model.dispose();
  });

  it('has streams side by side', async () => {
    const { model } = await connected(folders.language);
    const run = (seed: number) => textOf(model.generate(`Prompt ${seed}`, { seed, maxTokens: 15 }));
    const alone = [await run(1), await run(2), await run(3)];
    expect(await Promise.all([run(1), run(2), run(3)])).toEqual(alone);
    await model.dispose();
  });
});

describe('errors cross with their codes', () => {
  it('of loading, after which the worker is ended', async () => {
    const worker = new MemoryWorker();
    const place = pathToFileURL(join(scratch.path, 'none'));
    const { code, message } = await failure(connectWorker(worker, place));
    expect(code).toBe('not-found');
    expect(message).toContain('manifest.json: cannot be read (ENOENT)');
    expect(worker.terminated).toBe(true);
  });

  it('of a place that is none', async () => {
    const worker = new MemoryWorker();
    expect(await failure(connectWorker(worker, 'exported/model'))).toEqual({
      code: 'bad-input',
      message: 'exported/model: expected the URL of a folder',
    });
    expect(worker.terminated).toBe(true);
    expect(worker.asked).toEqual([]);
  });

  it('of another kind of model', async () => {
    const { model } = await connected(folders.text);
    expect(await failure(textOf(model.generate('The')))).toEqual({
      code: 'wrong-kind',
      message: 'this model is a text-classifier, expected a language-model',
    });
    expect((await failure(model.classifyImage({ width: 1, height: 1, data: new Uint8Array(3) }))).code).toBe(
      'wrong-kind',
    );
    await model.dispose();
  });

  it('of bad inputs, after which it goes on', async () => {
    const { model } = await connected(folders.text);
    expect(await failure(model.classifyText(''))).toEqual({
      code: 'bad-input',
      message: 'expected at least one token, received none',
    });
    expect((await model.classifyText('text')).classes).toHaveLength(3);
    await model.dispose();
  });

  it('of settings out of range', async () => {
    const { model } = await connected(folders.language);
    const refused = textOf(model.generate('The', { temperature: -1 }));
    await expect(refused).rejects.toBeInstanceOf(GenerationError);
    await expect(refused).rejects.toThrow('temperature: expected at least 0, received -1');
    expect((await textOf(model.generate('The', { maxTokens: 5, seed: 1 }))).length).toBeGreaterThan(0);
    await model.dispose();
  });

  it('of what cannot be sent', async () => {
    const { worker, model } = await connected(folders.text);
    const { code, message } = await failure(model.classifyText((() => 'text') as never));
    expect(code).toBe('bad-input');
    expect(message).toContain('this cannot be sent to a worker: ');
    expect((await model.classifyText('text')).classes).toHaveLength(3);
    expect(worker.terminated).toBe(false);
    await model.dispose();
  });
});

describe('a stream', () => {
  /** Never ends by itself. */
  const endless: WorkerGenerateOptions = { seed: 5 };

  it('ends when it is aborted, and so does the one in the worker', async () => {
    const { worker, model } = await connected(folders.language);
    const controller = new AbortController();
    const stream = model.generate('The', { ...endless, signal: controller.signal });
    let pieces = 0;
    for await (const _ of stream) if (++pieces === 4) controller.abort();
    expect(pieces).toBe(4);
    expect(stream.counts.ending).toBe('aborted');
    expect(worker.did('end')).toBe(1);
    expect((await textOf(model.generate('The', { maxTokens: 5 }))).length).toBeGreaterThan(0);
    await model.dispose();
  });

  it('ends when it is aborted while the prompt is read', async () => {
    const { model } = await connected(folders.language);
    const controller = new AbortController();
    const stream = model.generate('x'.repeat(2_000_000), { ...endless, signal: controller.signal });
    setTimeout(() => controller.abort(), 50);
    expect(await textOf(stream)).toBe('');
    expect(stream.counts.ending).toBe('aborted');
    expect(stream.counts.promptTokens).toBeLessThan(2_000_000);
    await model.dispose();
  });

  it('does nothing when it was aborted before', async () => {
    const { model } = await connected(folders.language);
    const stream = model.generate('The', { ...endless, signal: AbortSignal.abort() });
    expect(await textOf(stream)).toBe('');
    expect(stream.counts).toMatchObject({ ending: 'aborted', tokens: 0 });
    await model.dispose();
  });

  it('ends in the worker when its reader leaves', async () => {
    const { worker, model } = await connected(folders.language);
    for await (const _ of model.generate('The', endless)) break;
    expect(worker.did('end')).toBe(1);
    await model.dispose();
  });

  it('can be read once', async () => {
    const { model } = await connected(folders.language);
    const stream = model.generate('The', { maxTokens: 2 });
    await textOf(stream);
    expect(await failure(textOf(stream))).toEqual({
      code: 'bad-input',
      message: 'a stream can be read once; call generate again',
    });
    await model.dispose();
  });
});

describe('everybody who waits is told', () => {
  it('when the worker dies', async () => {
    const { worker, model } = await connected(folders.language);
    const stream = textOf(model.generate('x'.repeat(500_000)));
    const asked = model.classifyText('text');
    const [first, second] = [failure(stream), failure(asked)];
    await new Promise((resolve) => setImmediate(resolve));
    worker.die('out of memory');
    const told = { code: 'failed', message: 'the worker ended: out of memory' };
    expect(await Promise.all([first, second])).toEqual([told, told]);
    expect(worker.terminated).toBe(true);
    expect(await failure(model.classifyText('text'))).toEqual(told);
    await model.dispose();
  });

  it('when its script cannot be loaded', async () => {
    const worker = new MemoryWorker();
    const loading = failure(connectWorker(worker, pathToFileURL(folders.text)));
    worker.die();
    expect(await loading).toEqual({
      code: 'failed',
      message: 'the worker ended: it could not be started',
    });
  });

  it('when the model is disposed, and the worker ends', async () => {
    const { worker, model } = await connected(folders.language);
    const reading = failure(textOf(model.generate('The')));
    await new Promise((resolve) => setImmediate(resolve));
    await model.dispose();
    expect((await reading).code).toBe('disposed');
    expect(worker.terminated).toBe(true);
    expect(await failure(model.embedText('text'))).toEqual({
      code: 'disposed',
      message: 'this model was disposed',
    });
    await model.dispose();
  });

  it('when loading is aborted', async () => {
    const worker = new MemoryWorker();
    const controller = new AbortController();
    const reason = new RangeError('mine');
    const { url } = await served(folders.text, (name) => {
      if (name !== 'weights.bin') return false;
      controller.abort(reason);
      return true;
    });
    await expect(connectWorker(worker, url, { signal: controller.signal })).rejects.toBe(reason);
    expect(worker.terminated).toBe(true);
    const other = new MemoryWorker();
    const aborted = connectWorker(other, url, { signal: AbortSignal.abort(reason) });
    await expect(aborted).rejects.toBe(reason);
    expect(other.terminated).toBe(true);
  });
});

describe('the worker', () => {
  async function answers(host: WorkerHost, sent: unknown[], request: SentRequest['request'], id = 1) {
    await host.receive({ id, request });
    return sent.at(-1) as { id: number; value?: unknown; error?: RuntimeError };
  }

  it('answers every request with its number, also those that it cannot do', async () => {
    const sent: unknown[] = [];
    const host = new WorkerHost((answer) => sent.push(answer));
    const nothing = await answers(host, sent, { do: 'classify-text', documents: ['a'] }, 7);
    expect(nothing).toEqual({
      id: 7,
      error: { name: 'RuntimeError', code: 'disposed', message: 'this model was disposed' },
    });
    expect(await answers(host, sent, { do: 'next', stream: 3 }, 8)).toMatchObject({
      id: 8,
      error: { code: 'disposed', message: 'this model was disposed' },
    });
    expect(await answers(host, sent, { do: 'end', stream: 3 }, 9)).toEqual({ id: 9, value: null });
    expect(await answers(host, sent, { do: 'dispose' }, 10)).toEqual({ id: 10, value: null });
    expect(sent).toHaveLength(4);
  });

  it('ends open streams when it is disposed', async () => {
    const sent: unknown[] = [];
    const host = new WorkerHost((answer) => sent.push(answer));
    await host.receive({
      id: 1,
      request: { do: 'load', place: pathToFileURL(folders.language).href, options: {} },
    });
    await answers(host, sent, { do: 'generate', prompt: 'The', options: { attention: false } }, 2);
    expect(await answers(host, sent, { do: 'next', stream: 2 }, 3)).toMatchObject({
      value: { counts: { tokens: expect.any(Number) } },
    });
    expect(await answers(host, sent, { do: 'next', stream: 99 }, 4)).toMatchObject({
      error: { code: 'bad-input', message: 'this stream has ended' },
    });
    await answers(host, sent, { do: 'dispose' }, 5);
    expect(await answers(host, sent, { do: 'next', stream: 2 }, 6)).toMatchObject({
      error: { code: 'disposed' },
    });
  });
});
