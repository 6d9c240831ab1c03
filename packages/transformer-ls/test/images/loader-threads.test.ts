/** The loader on threads of its own: the sources as plain JavaScript, since threads of Node 20 run no TypeScript. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { augmentation } from '../../src/images/augment/presets.js';
import type { ImageSet } from '../../src/images/image-set.js';
import type { ImageBatch, ImageLoader, ImageLoaderOptions } from '../../src/images/loader/image-loader.js';
import type { ImageSource } from '../../src/images/sources.js';
import { transpileProgram } from '../train/transpiled-program.js';
import { memoryPicture } from './memory-set.js';

const COUNT = 26;
const folder = mkdtempSync(join(tmpdir(), 'loader-threads-'));
const pictures = join(folder, 'pictures');
const source: ImageSource = { name: 'made up', from: { kind: 'folder', path: pictures, inside: '' } };
let images: string;
let program: typeof import('../../src/images/loader/image-loader.js');
let sources: typeof import('../../src/images/sources.js');
let crews: typeof import('../../src/images/loader/thread-crew.js');
let signals: typeof import('../../src/images/loader/shared-signal.js');

/** One of the transpiled modules. */
async function load<T>(name: string): Promise<T> {
  return (await import(/* @vite-ignore */ pathToFileURL(join(images, name)).href)) as T;
}

async function writePictures(): Promise<void> {
  for (const label of ['cats', 'dogs']) mkdirSync(join(pictures, label), { recursive: true });
  for (let i = 0; i < COUNT; i++) {
    const { width, height, data } = memoryPicture(i, 20);
    const path = join(pictures, i % 2 === 0 ? 'cats' : 'dogs', `${String(i).padStart(2, '0')}.png`);
    await sharp(data, { raw: { width, height, channels: 3 } })
      .png()
      .toFile(path);
  }
  writeFileSync(join(pictures, 'dogs', '07.png'), 'no picture at all');
}

beforeAll(async () => {
  images = join(transpileProgram(folder), '../images');
  program = await load('loader/image-loader.js');
  sources = await load('sources.js');
  crews = await load('loader/thread-crew.js');
  signals = await load('loader/shared-signal.js');
  await writePictures();
});
afterAll(() => rmSync(folder, { recursive: true }));

const usual = {
  size: 16,
  batchSize: 6,
  seed: 3,
  view: { kind: 'training', augmentation: augmentation('published') },
} as const;

async function withLoader<T>(
  options: Partial<ImageLoaderOptions>,
  use: (loader: ImageLoader, set: ImageSet) => Promise<T>,
): Promise<T> {
  const set = await sources.openImageSet(source);
  const loader = new program.ImageLoader({ ...usual, set, source, threads: 2, ...options });
  try {
    return await use(loader, set);
  } finally {
    await loader.close();
    await set.close();
  }
}

const kept = ({ pixels, labels, targets, indices }: ImageBatch) => ({
  pixels: pixels.slice(),
  labels: [...labels],
  targets: [...(targets ?? [])],
  indices: [...indices],
});

describe('threads', () => {
  it.each(['training', 'evaluation'] as const)(
    '%s: any number of them gives the same bytes',
    async (kind) => {
      const view = kind === 'training' ? usual.view : fixedView();
      const run = (options: Partial<ImageLoaderOptions>, blocking: boolean) =>
        withLoader({ view, ...options }, async (loader) => {
          const found = [];
          for (let i = 0; i < 11; i++) found.push(kept(blocking ? loader.next() : await loader.nextAsync()));
          return { found, problems: loader.problems, state: loader.state() };
        });
      const alone = await run({ threads: 0 }, false);
      expect(alone.problems.length).toBe(1);
      expect(alone.problems[0]?.message).toContain('07.png: expected JPEG, PNG');
      expect(await run({ threads: 1 }, true)).toEqual(alone);
      expect(await run({ threads: 2, cacheBytes: 0 }, true)).toEqual(alone);
      expect(await run({ threads: 5, prefetch: 4 }, false)).toEqual(alone);
    },
  );

  it('are told apart from a loader that goes on from a state', async () => {
    const all = await withLoader({}, async (loader) => {
      const found = Array.from({ length: 7 }, () => kept(loader.next()));
      return found;
    });
    const state = await withLoader({}, async (loader) => {
      for (let i = 0; i < 3; i++) loader.next();
      return loader.state();
    });
    const rest = await withLoader({ threads: 1 }, async (loader) => {
      loader.restore(state);
      return Array.from({ length: 4 }, () => kept(loader.next()));
    });
    expect(rest).toEqual(all.slice(3));
  });

  it('that find other pictures than those that were opened say so in one line', async () => {
    await withLoader({}, async (loader, set) => {
      const changed = new program.ImageLoader({
        ...usual,
        set: { ...set, fingerprint: 'another' },
        source,
        threads: 2,
      });
      const line =
        'a thread that loads pictures has failed: made up: the pictures have changed since the loader was opened';
      expect(() => changed.next()).toThrow(line);
      expect(() => changed.next()).toThrow(line);
      await expect(changed.nextAsync()).rejects.toThrow(line);
      await changed.close();
      expect(loader.next().indices.length).toBe(6);
    });
  });

  it('that are forgotten do not keep the process, and close ends them', () => {
    const script = join(folder, 'forgetful.mjs');
    const options = JSON.stringify({ ...usual, source, threads: 2 });
    writeFileSync(
      script,
      `import { readdirSync } from 'node:fs';
       import { ImageLoader } from ${JSON.stringify(pathToFileURL(join(images, 'loader/image-loader.js')).href)};
       import { openImageSet } from ${JSON.stringify(pathToFileURL(join(images, 'sources.js')).href)};
       const options = ${options};
       const set = await openImageSet(options.source);
       const threads = () => readdirSync('/proc/self/task').length;
       await set.read(0);
       const before = threads();
       const loader = new ImageLoader({ ...options, set });
       loader.next();
       const during = threads();
       await loader.close();
       console.log(during - before >= 3, during - threads() >= 3);
       new ImageLoader({ ...options, set }).next();
       console.log('end');`,
    );
    const { stdout, stderr, status } = spawnSync(process.execPath, [script], { encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(stdout).toBe(process.platform === 'linux' ? 'true true\nend\n' : stdout);
    expect(status).toBe(0);
  });
});

function fixedView() {
  const { mean, std } = usual.view.augmentation;
  return { kind: 'evaluation', cropRatio: 0.875, filter: 'bicubic', mean, std } as const;
}

describe('the end of a thread wakes who is blocked, and says why', () => {
  it.each([
    ["throw new Error('the wheel came off')", 'the wheel came off'],
    ['process.exit(3)', 'it ended with code 3'],
    ["import './is-nowhere.js'", 'Cannot find module'],
    ["await Promise.reject(new Error('too late'))", 'too late'],
  ])('%s', async (text, expected) => {
    const entry = join(folder, 'dying.mjs');
    writeFileSync(entry, text);
    const memory = signals.signalMemory();
    const signal = new signals.SharedSignal(memory);
    const crew = new crews.ThreadCrew(pathToFileURL(entry), [{}, {}], memory);
    // Nothing here lets the event loop run.
    for (let moment = signal.moment(); !signal.isAlarmed(); moment = signal.moment()) signal.wait(moment);
    expect(String(crew.failures()[0])).toContain(expected);
    await crew.close();
  });
});
