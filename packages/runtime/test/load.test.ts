import { createHash } from 'node:crypto';
import { appendFileSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exportText, smallClassifier } from '../../transformer-ls/test/export/small-exports.js';
import {
  type LoadOptions,
  type LoadProgress,
  loadImageClassifier,
  loadLanguageModel,
  loadModel,
  loadTextClassifier,
} from '../src/index.js';
import { copyOf, failure, served, testFolder, withManifest } from './exported-models.js';

const scratch = testFolder();
const folder = join(scratch.path, 'model with blanks');

beforeAll(async () => {
  mkdirSync(folder);
  const loaded = smallClassifier({ modelDim: 16 });
  await exportText(loaded, folder);
  loaded.model.dispose();
});
afterAll(scratch.remove);

async function loads(place: string | URL, options: LoadOptions = {}): Promise<void> {
  const model = await loadTextClassifier(place, options);
  const { classes } = await model.classify('a text');
  expect(classes.reduce((sum, { probability }) => sum + probability, 0)).toBeCloseTo(1, 6);
  await model.dispose();
}

describe('a model is loaded from', () => {
  it('a folder, and its address', async () => {
    await loads(folder);
    await loads(`${folder}/`);
    await loads(pathToFileURL(folder));
    await loads(pathToFileURL(folder).href);
  });

  it('a server, with and without a slash behind the folder', async () => {
    const { url, asked } = await served(folder);
    await loads(url);
    await loads(`${url}/`);
    await loads(new URL(`${url}?version=2`));
    expect(asked.slice(0, 3).sort()).toEqual(['classify.onnx', 'manifest.json', 'weights.bin']);
  });
});

describe('loadModel', () => {
  it('loads whatever kind there is', async () => {
    const model = await loadModel(folder, { threads: 1, device: 'cpu' });
    expect(model.kind).toBe('text-classifier');
    expect(model.manifest.name).toBe('small');
    expect(model.device).toBe('cpu');
    await model.dispose();
  });

  it('tells what came, up to all there is', async () => {
    const { files } = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')) as {
      files: { bytes: number }[];
    };
    const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const place of [folder, (await served(folder)).url]) {
      const told: LoadProgress[] = [];
      await loads(place, { onProgress: (progress) => told.push(progress) });
      expect(told.length).toBeGreaterThan(1);
      expect(new Set(told.map(({ totalBytes }) => totalBytes))).toEqual(new Set([total]));
      const loaded = told.map(({ loadedBytes }) => loadedBytes);
      expect(loaded).toEqual(loaded.toSorted((a, b) => a - b));
      expect(loaded.at(-1)).toBe(total);
    }
  });

  it.each([
    ['image-classifier', loadImageClassifier],
    ['language-model', loadLanguageModel],
  ])('refuses another kind than %s before its weights come', async (kind, load) => {
    const { url, asked } = await served(folder);
    expect(await failure(load(url))).toEqual({
      code: 'wrong-kind',
      message: `${url}/: is a text-classifier, expected a ${kind}`,
    });
    expect(asked).toEqual(['manifest.json']);
    expect((await failure(load(folder))).code).toBe('wrong-kind');
  });

  it.each<[string, LoadOptions, string]>([
    [
      'a device of browsers',
      { device: 'webgpu' },
      'device: expected auto or cpu outside browsers, received webgpu',
    ],
    ['no thread', { threads: 0 }, 'threads: expected a whole number of at least 1, received 0'],
    ['a part of a thread', { threads: 1.5 }, 'threads: expected a whole number of at least 1, received 1.5'],
  ])('refuses %s', async (_, options, message) => {
    expect(await failure(loadModel(folder, options))).toEqual({ code: 'bad-input', message });
  });
});

describe('refused is', () => {
  it('a folder that is not there, and one without a manifest', async () => {
    const none = join(scratch.path, 'none');
    expect(await failure(loadModel(none))).toEqual({
      code: 'not-found',
      message: `${none}/manifest.json: cannot be read (ENOENT)`,
    });
    expect((await failure(loadModel(scratch.path))).code).toBe('not-found');
    const { url } = await served(scratch.path);
    expect(await failure(loadModel(url))).toEqual({
      code: 'not-found',
      message: `${url}/manifest.json: the server answered 404`,
    });
  });

  it('a server that is not there', async () => {
    const { code, message } = await failure(loadModel('http://127.0.0.1:9/model'));
    expect(code).toBe('not-found');
    expect(message).toContain('http://127.0.0.1:9/model/manifest.json: cannot be fetched (');
  });

  it('a model one of whose files is missing', async () => {
    const copy = copyOf(folder);
    rmSync(join(copy, 'weights.bin'));
    expect(await failure(loadModel(copy))).toEqual({
      code: 'not-found',
      message: `${copy}/weights.bin: cannot be read (ENOENT)`,
    });
    const { url } = await served(copy);
    expect((await failure(loadModel(url))).message).toBe(`${url}/weights.bin: the server answered 404`);
    mkdirSync(join(copy, 'weights.bin'));
    expect(await failure(loadModel(copy))).toEqual({
      code: 'not-found',
      message: `${copy}/weights.bin: is no file`,
    });
  });

  it('a file that is shorter or longer than the manifest says', async () => {
    for (const change of [
      (path: string) => truncateSync(path, 100),
      (path: string) => truncateSync(path, 0),
      (path: string) => appendFileSync(path, 'x'),
    ]) {
      const copy = copyOf(folder);
      change(join(copy, 'weights.bin'));
      for (const place of [copy, (await served(copy)).url]) {
        const { code, message } = await failure(loadModel(place));
        expect(code).toBe('damaged');
        expect(message).toContain('weights.bin');
        expect(message).toContain('bytes');
      }
    }
  });

  it('a file any bit of which is another', async () => {
    for (const name of ['weights.bin', 'classify.onnx']) {
      const copy = copyOf(folder);
      const bytes = readFileSync(join(copy, name));
      bytes[Math.floor(bytes.length / 2)]! ^= 1;
      writeFileSync(join(copy, name), bytes);
      for (const place of [copy, (await served(copy)).url]) {
        const { code, message } = await failure(loadModel(place));
        expect(code).toBe('damaged');
        expect(message).toMatch(new RegExp(`: ${name} is not the file that manifest.json names$`));
      }
    }
  });

  it('a graph that is none, though its hash is right', async () => {
    const noise = Buffer.from('this is no graph');
    const copy = withManifest(folder, ({ files }) => {
      const graph = files.find(({ name }) => name === 'classify.onnx')!;
      Object.assign(graph, {
        bytes: noise.length,
        sha256: createHash('sha256').update(noise).digest('hex'),
      });
    });
    writeFileSync(join(copy, 'classify.onnx'), noise);
    const { code, message } = await failure(loadModel(copy));
    expect(code).toBe('damaged');
    expect(message).toMatch(/^classify\.onnx cannot be loaded: it is no ONNX graph \(.*\)$/);
  });

  it('a graph that asks for a file that the manifest does not name, though its hash is right', async () => {
    const copy = withManifest(folder, (manifest) => ({
      ...manifest,
      files: manifest.files.filter(({ name }) => name !== 'weights.bin'),
    }));
    for (const place of [copy, (await served(copy)).url])
      expect(await failure(loadModel(place))).toEqual({
        code: 'damaged',
        message: `classify.onnx cannot be loaded: weights of it lie in "weights.bin", which is none of the model's files`,
      });
  });

  type Manifest = Parameters<Parameters<typeof withManifest>[1]>[0];
  const renamed = (name: string) => (manifest: Manifest) => {
    manifest.files[0]!.name = name;
  };
  it.each<[string, (manifest: Manifest) => unknown, string]>([
    [
      'a file in the folder above',
      renamed('../weights.bin'),
      'files[0].name: expected a plain lower-case file name',
    ],
    ['a file anywhere', renamed('/etc/passwd'), 'files[0].name'],
    ['a file of another server', renamed('//example.org/weights.bin'), 'files[0].name'],
    ['an address', renamed('http:weights.bin'), 'files[0].name'],
    ['a file in a folder', renamed('a/weights.bin'), 'files[0].name'],
    ['a file with a backslash', renamed('..\\weights.bin'), 'files[0].name'],
    ['a hidden file', renamed('.weights.bin'), 'files[0].name'],
    ['a name with a line end', renamed('weights.bin\n'), 'files[0].name'],
    ['a name with an escape of a URL', renamed('%2e%2e%2fweights.bin'), 'files[0].name'],
    ['a name that is long', renamed('w'.repeat(101)), 'files[0].name'],
    ['no name', renamed(''), 'files[0].name'],
    ['a key that it does not know', (m) => ({ ...m, scripts: 'x' }), 'unknown key "scripts"'],
    [
      '__proto__ as a key',
      (m) => JSON.parse(`{"__proto__":{},${JSON.stringify(m).slice(1)}`),
      'unknown key "__proto__"',
    ],
    ['no file', (m) => ({ ...m, files: [] }), 'files: expected a list of 1 to 64 items'],
    [
      'a hundred files',
      (m) => ({ ...m, files: Array(100).fill(m.files[0]) }),
      'files: expected a list of 1 to 64 items',
    ],
    ['a file twice', (m) => ({ ...m, files: [...m.files, m.files[0]] }), 'files: expected each file once'],
    [
      'a graph that is none of its files',
      (m) => ({ ...m, graph: 'other.onnx' }),
      'graph: expected one of the files, received other.onnx',
    ],
    [
      'a file of a petabyte',
      (m) => Object.assign(m.files[0]!, { bytes: 1e15 }) && m,
      'bytes: expected a whole number at least 0 and at most 17179869184',
    ],
    ['a file of less than nothing', (m) => Object.assign(m.files[0]!, { bytes: -1 }) && m, 'bytes: expected'],
    [
      'a hash that is none',
      (m) => Object.assign(m.files[0]!, { sha256: 'A'.repeat(64) }) && m,
      'sha256: expected a SHA-256',
    ],
    ['another format', (m) => ({ ...m, format: 'other' }), 'format: expected transformer-ls exported model'],
    [
      'a later version',
      (m) => ({ ...m, version: 2 }),
      'version: expected a whole number at least 1 and at most 1, received 2',
    ],
    [
      'a kind that there is not',
      (m) => ({ ...m, kind: 'oracle' }),
      'kind: expected one of language-model, text-classifier, image-classifier',
    ],
    ['a list', () => [], 'expected an object'],
    ['a number', () => 7, 'expected an object'],
  ])('a manifest with %s', async (_, change, expected) => {
    const copy = withManifest(folder, change);
    for (const place of [copy, (await served(copy)).url]) {
      const { code, message } = await failure(loadModel(place));
      expect(code).toBe('damaged');
      expect(message).toContain('no exported model (');
      expect(message).toContain(expected);
      expect(message.length).toBeLessThan(1000);
    }
  });

  it.each<[string, string | Uint8Array]>([
    ['a page', '<!doctype html><title>Not found</title>'],
    ['nothing', ''],
    ['half a manifest', '{"format": "transformer-ls exported model", "ver'],
    ['bytes that are no UTF-8', Uint8Array.of(0x7b, 0xff, 0xfe, 0x7d)],
    ['a key twice', '{"format": "a", "format": "b"}'],
    ['lists in lists without end', '['.repeat(1_000_000)],
  ])('%s instead of a manifest', async (_, content) => {
    const copy = copyOf(folder);
    writeFileSync(join(copy, 'manifest.json'), content);
    for (const place of [copy, (await served(copy)).url]) {
      const { code, message } = await failure(loadModel(place));
      expect(code).toBe('damaged');
      expect(message).toContain('no exported model (');
    }
  });

  it('a manifest of more than 64 MiB, before it is in memory', async () => {
    const copy = copyOf(folder);
    truncateSync(join(copy, 'manifest.json'), 2 ** 36);
    expect(await failure(loadModel(copy))).toEqual({
      code: 'damaged',
      message: `${copy}/manifest.json: has 68719476736 bytes, expected at most 67108864`,
    });
  });
});

describe('a server', () => {
  /** Ends when the other side has gone. */
  const closed = (response: { once(event: 'close', listener: () => void): unknown }) =>
    new Promise<void>((resolve) => response.once('close', () => resolve()));

  it('that never stops sending is left', async () => {
    let gone: Promise<void> | undefined;
    const { url } = await served(folder, (name, _, response) => {
      if (name !== 'weights.bin') return false;
      gone = closed(response);
      const piece = Buffer.alloc(2 ** 16);
      const send = () => {
        while (!response.destroyed && response.write(piece));
      };
      response.on('drain', send);
      send();
      return true;
    });
    const { code, message } = await failure(loadModel(url));
    expect(code).toBe('damaged');
    expect(message).toMatch(/weights\.bin: expected at most \d+ bytes, received more$/);
    await gone;
  });

  it('that breaks off is named', async () => {
    const { url } = await served(folder, (name, _, response) => {
      if (name !== 'weights.bin') return false;
      response.writeHead(200, { 'content-length': 10_000 });
      response.write('some bytes', () => response.destroy());
      return true;
    });
    const { code, message } = await failure(loadModel(url));
    expect(code).toBe('not-found');
    expect(message).toContain(`${url}/weights.bin: broke off (`);
  });

  it('is asked for nothing more where one file cannot be had', async () => {
    let gone: Promise<void> | undefined;
    const told: LoadProgress[] = [];
    const { url } = await served(folder, (name, _, response) => {
      if (name === 'weights.bin') {
        // Begins, and never ends.
        response.write('some bytes');
        gone = closed(response);
        return true;
      }
      if (name !== 'classify.onnx') return false;
      response.writeHead(500).end();
      return true;
    });
    const { message } = await failure(loadModel(url, { onProgress: (progress) => told.push(progress) }));
    expect(message).toBe(`${url}/classify.onnx: the server answered 500`);
    await gone;
  });
});

describe('aborting', () => {
  it('before loading does nothing', async () => {
    const { url, asked } = await served(folder);
    const reason = new RangeError('mine');
    await expect(loadModel(url, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await expect(loadModel(folder, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(asked).toEqual([]);
  });

  it.each(['manifest.json', 'weights.bin'])('while %s comes ends the transfer', async (stalled) => {
    const controller = new AbortController();
    const reason = new RangeError('mine');
    let gone: Promise<unknown> | undefined;
    const { url } = await served(folder, (name, _, response) => {
      if (name !== stalled) return false;
      response.write('{');
      gone = new Promise((resolve) => response.once('close', resolve));
      setImmediate(() => controller.abort(reason));
      return true;
    });
    await expect(loadModel(url, { signal: controller.signal })).rejects.toBe(reason);
    await gone;
  });

  it('between the pieces of a folder ends it', async () => {
    const controller = new AbortController();
    const reason = new RangeError('mine');
    const options = { signal: controller.signal, onProgress: () => controller.abort(reason) };
    await expect(loadModel(folder, options)).rejects.toBe(reason);
  });

  it('after loading changes nothing', async () => {
    const controller = new AbortController();
    const model = await loadTextClassifier(folder, { signal: controller.signal });
    controller.abort();
    expect((await model.classify('a text')).classes).toHaveLength(3);
    await model.dispose();
  });
});
