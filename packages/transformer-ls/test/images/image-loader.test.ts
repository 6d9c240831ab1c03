import {
  evaluationView,
  IMAGENET_MEAN,
  IMAGENET_STD,
  normalisation,
  normalised,
} from '@transformer-ls/formats';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { augmentation } from '../../src/images/augment/presets.js';
import { BatchOrder } from '../../src/images/loader/batch-order.js';
import { cacheMemory, DecodedCache } from '../../src/images/loader/decoded-cache.js';
import {
  type ImageBatch,
  ImageLoader,
  type ImageLoaderOptions,
} from '../../src/images/loader/image-loader.js';
import type { FixedView, TrainingView } from '../../src/images/loader/picture-view.js';
import { memoryPicture, memorySet } from './memory-set.js';

const published: TrainingView = { kind: 'training', augmentation: augmentation('published') };
const fixed: FixedView = {
  kind: 'evaluation',
  cropRatio: 1,
  filter: 'bicubic',
  mean: IMAGENET_MEAN,
  std: IMAGENET_STD,
};

const usual = { set: memorySet(22), size: 8, batchSize: 4, seed: 5, view: published, threads: 0 };
const loaderOf = (changes: Partial<ImageLoaderOptions> = {}) => new ImageLoader({ ...usual, ...changes });

/** A copy, since the loader uses the memory again. */
const kept = ({ pixels, labels, targets, indices }: ImageBatch) => ({
  pixels: pixels.slice(),
  labels: [...labels],
  targets: targets === null ? null : [...targets],
  indices: [...indices],
});

async function batches(count: number, changes: Partial<ImageLoaderOptions> = {}) {
  const loader = loaderOf(changes);
  const found = [];
  for (let i = 0; i < count; i++) found.push(kept(await loader.nextAsync()));
  const { problems } = loader;
  await loader.close();
  return { found, problems, state: loader.state(), loader };
}

describe('the order', () => {
  it('has every picture once in an epoch, but for a rest that fills no batch', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 1, max: 9 }),
        fc.nat(),
        (count, batchSize, seed) => {
          const pictures = Uint32Array.from({ length: count }, (_, i) => 3 * i);
          const order = new BatchOrder({ pictures, batchSize, shuffleSeed: seed });
          expect(order.batchesPerEpoch).toBe(Math.floor(count / batchSize));
          const epoch = Array.from({ length: order.batchesPerEpoch }, (_, i) => [
            ...order.batch(2, i),
          ]).flat();
          expect(epoch.length).toBe(batchSize * order.batchesPerEpoch);
          expect(new Set(epoch).size).toBe(epoch.length);
          expect(epoch.every((index) => pictures.includes(index))).toBe(true);
        },
      ),
    );
  });

  it('is another in every epoch and for every seed, and comes again', () => {
    const pictures = Uint32Array.from({ length: 50 }, (_, i) => i);
    const orderOf = (seed: number) => new BatchOrder({ pictures, batchSize: 50, shuffleSeed: seed });
    const [one, again, other] = [orderOf(1), orderOf(1), orderOf(2)];
    const first = [...one.batch(0, 0)];
    expect([...one.batch(1, 0)]).not.toEqual(first);
    expect([...one.batch(0, 0)]).toEqual(first);
    expect([...again.batch(0, 0)]).toEqual(first);
    expect([...other.batch(0, 0)]).not.toEqual(first);
  });
});

describe('training batches', () => {
  it('hold pictures, labels, targets and indices that belong together', async () => {
    const view: TrainingView = {
      kind: 'training',
      augmentation: augmentation('none', { smoothing: 0.3 }),
    };
    const { found } = await batches(5, { view });
    const tables = normalisation();
    for (const { pixels, labels, targets, indices } of found)
      for (const [row, index] of indices.entries()) {
        const seen = evaluationView(memoryPicture(index), { size: 8, cropRatio: 1 });
        expect(pixels.slice(row * 192, (row + 1) * 192)).toEqual(normalised(seen, tables));
        expect(labels[row]).toBe(index % 3);
        const expected = [0, 1, 2].map((label) => Math.fround(label === labels[row] ? 0.8 : 0.1));
        for (const [label, value] of expected.entries())
          expect(targets?.[3 * row + label]).toBeCloseTo(value, 6);
      }
  });

  it('have no targets where labels say it all', async () => {
    const view: TrainingView = { kind: 'training', augmentation: augmentation('light', { smoothing: 0 }) };
    expect((await batches(1, { view })).found[0]?.targets).toBeNull();
  });

  it('depend on the seed alone, not on how far ahead they are made nor on what is kept', async () => {
    const { found } = await batches(12);
    expect((await batches(12, { prefetch: 5 })).found).toEqual(found);
    expect((await batches(12, { cacheBytes: 0 })).found).toEqual(found);
    expect((await batches(12, { seed: 6 })).found).not.toEqual(found);
  });

  it('go on exactly where a state was taken, over the end of an epoch too', async () => {
    const { found, loader } = await batches(12);
    expect(loader.batchesPerEpoch).toBe(5);
    for (const done of [0, 1, 4, 5, 7]) {
      const before = await batches(done);
      const after = loaderOf();
      after.restore(before.state);
      const rest = [];
      for (let i = done; i < 12; i++) rest.push(kept(await after.nextAsync()));
      await after.close();
      expect(rest).toEqual(found.slice(done));
    }
  });

  it('are drawn from the pictures that are given', async () => {
    const pictures = Uint32Array.of(1, 5, 9, 13, 17, 21);
    const { found } = await batches(2, { pictures, batchSize: 3 });
    expect(found.flatMap(({ indices }) => indices).sort((a, b) => a - b)).toEqual([...pictures]);
  });

  it('are made no further ahead than was asked for', async () => {
    const set = memorySet(40);
    const loader = loaderOf({ set, prefetch: 2, cacheBytes: 0 });
    const reads = () => set.reads.reduce((sum, count) => sum + count, 0);
    await loader.nextAsync();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(reads()).toBe(12);
    await loader.nextAsync();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(reads()).toBe(16);
    await loader.close();
  });
});

describe('evaluation batches', () => {
  it('come in order, the last with what is left, and say what the published view says', async () => {
    const { found } = await batches(6, { view: fixed });
    expect(found.map(({ indices }) => indices)).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 9, 10, 11],
      [12, 13, 14, 15],
      [16, 17, 18, 19],
      [20, 21],
    ]);
    const { pixels, labels, targets } = found[5]!;
    expect(labels).toEqual([2, 0]);
    expect(targets).toBeNull();
    const seen = evaluationView(memoryPicture(21), { size: 8, cropRatio: 1 });
    expect(pixels.length).toBe(2 * 192);
    expect(pixels.slice(192)).toEqual(normalised(seen, normalisation()));
  });

  it('leave out what cannot be read', async () => {
    const set = memorySet(10, { unreadable: [1, 4, 5, 6, 7, 9] });
    const { found, problems } = await batches(3, { set, view: fixed });
    const all = (await batches(3, { set: memorySet(10), view: fixed })).found;
    expect(found.map(({ indices }) => indices)).toEqual([[0, 2, 3], [], [8]]);
    expect(found.map(({ labels }) => labels)).toEqual([[0, 2, 0], [], [2]]);
    expect(found[0]!.pixels).toEqual(
      Float32Array.from([...all[0]!.pixels.slice(0, 192), ...all[0]!.pixels.slice(384)]),
    );
    expect(problems.map(({ index }) => index).sort((a, b) => a - b)).toEqual([1, 4, 5, 6, 7, 9]);
  });

  it('are fewer than batchSize where there are not as many', async () => {
    expect((await batches(2, { view: fixed, batchSize: 100 })).found.map((b) => b.indices.length)).toEqual([
      22, 22,
    ]);
  });
});

describe('unreadable pictures', () => {
  const unreadable = [3, 8];
  const set = () => memorySet(22, { unreadable });

  it('are replaced by others, counted and listed, each once', async () => {
    const { found, problems } = await batches(15, { set: set() });
    const used = found.flatMap(({ indices }) => indices);
    expect(used.length).toBe(60);
    expect(used.some((index) => unreadable.includes(index))).toBe(false);
    expect([...problems].sort((a, b) => a.index - b.index)).toEqual([
      { index: 3, message: 'picture 3: is damaged' },
      { index: 8, message: 'picture 8: is damaged' },
    ]);
  });

  it('change nothing about the others', async () => {
    // Without mixing, where a replaced one shows in its partner.
    const view: TrainingView = {
      kind: 'training',
      augmentation: augmentation('published', { mixup: 0, cutmix: 0 }),
    };
    const { found } = await batches(5, { set: set(), view });
    const all = (await batches(5, { view })).found;
    for (const [i, { indices, pixels }] of found.entries())
      for (const [row, index] of all[i]!.indices.entries()) {
        const same = pixels.slice(row * 192, (row + 1) * 192);
        const whole = all[i]!.pixels.slice(row * 192, (row + 1) * 192);
        expect(indices[row] === index).toBe(!unreadable.includes(index));
        if (indices[row] === index) expect(same).toEqual(whole);
      }
  });

  it('are a reason to stop where they are many, in one line', async () => {
    const half = memorySet(40, { unreadable: Array.from({ length: 20 }, (_, i) => 2 * i) });
    await expect(batches(30, { set: half })).rejects.toThrow(
      /^made up: \d+ of 40 pictures are unreadable so far, expected at most 10 %; the first: picture \d+: is damaged$/,
    );
    const all = memorySet(6, { unreadable: [0, 1, 2, 3, 4, 5] });
    await expect(batches(1, { set: all })).rejects.toThrow(
      /^picture \d: it and 100 others that were tried in its place are unreadable$/,
    );
  });

  it('are told apart from what is wrong with the whole', async () => {
    const set = { ...memorySet(22), read: () => Promise.reject(new Error('the disk is gone')) };
    await expect(batches(1, { set })).rejects.toThrow('the disk is gone');
  });
});

describe('pictures that are kept', () => {
  it('are read once only', async () => {
    const set = memorySet(200);
    await batches(200, { set });
    const reads = set.reads.reduce((sum, count) => sum + count, 0);
    expect(set.reads.every((count) => count > 0)).toBe(true);
    // A picture that is being read for the last batch of an epoch may be wanted for the first one of the next at the same time.
    expect(reads).toBeLessThan(210);
  });

  it('are none where not all would fit', async () => {
    const set = memorySet(2000);
    const { found } = await batches(1000, { set, cacheBytes: 2000 * 200 });
    expect(set.reads.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(3900);
    const uncached = (await batches(1000, { set: memorySet(2000), cacheBytes: 0 })).found;
    expect(found.at(-1)).toEqual(uncached.at(-1));
  });

  it('come out as they went in', () => {
    const picture = fc.tuple(fc.nat(9), fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 20 }));
    fc.assert(
      fc.property(
        fc.array(picture, { maxLength: 12 }),
        fc.integer({ min: 0, max: 4000 }),
        (pictures, limit) => {
          const cache = new DecodedCache(cacheMemory(10, limit));
          const put = new Map<number, string>();
          for (const [index, width, height] of pictures) {
            if (put.has(index)) continue;
            const data = Uint8Array.from({ length: 3 * width * height }, (_, i) => (i * (index + 3)) % 256);
            cache.put(index, { width, height, data });
            put.set(index, `${width} ${height} ${data}`);
          }
          for (const [index, text] of put) {
            const found = cache.get(index);
            if (found !== undefined) expect(`${found.width} ${found.height} ${found.data}`).toBe(text);
          }
        },
      ),
    );
  });
});

describe('bad input', () => {
  it.each([
    [{ batchSize: 23 }, 'made up: 22 pictures fill no batch of 23; lower batchSize'],
    [{ batchSize: 0 }, 'batchSize: expected a whole number from 1 to 1048576, received 0'],
    [{ size: 1.5 }, 'size: expected a whole number from 1 to 16384, received 1.5'],
    [{ threads: 1000 }, 'threads: expected a whole number from 0 to 64, received 1000'],
    [{ prefetch: 0 }, 'prefetch: expected a whole number from 1 to 1024, received 0'],
    [{ pictures: Uint32Array.of(1, 22) }, 'made up: expected pictures below 22, received 22'],
    [
      { size: 8192, batchSize: 16, prefetch: 4 },
      '5 batches of 16 pictures of 8192 x 8192 take 60.0 GiB, expected at most 8.0 GiB; lower batchSize or prefetch',
    ],
    [{ threads: 2 }, 'threads need the source of the pictures, expected one'],
  ])('%j', (changes, message) => {
    expect(() => loaderOf(changes)).toThrow(message);
  });

  it('of a position', () => {
    const loader = loaderOf();
    expect(() => loader.restore({ epoch: 0, batch: 6 })).toThrow(
      'expected a data position up to batch 5, received 0, 6',
    );
    expect(() => loader.restore({ epoch: -1, batch: 0 })).toThrow('received -1, 0');
  });

  it('without threads there is nothing to block for', () => {
    expect(() => loaderOf().next()).toThrow('a loader without threads cannot be waited for; use nextAsync');
  });

  it('after the end', async () => {
    const loader = loaderOf();
    const waiting = loader.nextAsync();
    await loader.close();
    await expect(waiting).rejects.toThrow('the loader is closed');
    await expect(loader.nextAsync()).rejects.toThrow('the loader is closed');
    await loader.close();
  });
});
