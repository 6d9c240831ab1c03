import { existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { type CifarSet, cifar10, cifar10Classes } from '../../src/images/cifar-batches.js';
import { cifar10Standing, readCifar10 } from '../../src/lra/cifar10.js';
import { greyBatches } from '../../src/lra/cifar10-batches.js';
import { imagesOfJpegs, imagesOfStrips } from '../../src/lra/cifar10-pictures.js';
import { type GreyImages, greyImage, greyOf } from '../../src/lra/grey-images.js';
import { scratchFolder } from '../data/scratch-folder.js';
import { writeTarGz } from './archives.js';
import { pickledBatch } from './python-batch.js';

const shared = fileURLToPath(new URL('../../../../../shared/data/cifar10', import.meta.url));
/** Two images a batch. */
const small: CifarSet = {
  ...cifar10,
  train: Object.fromEntries(Object.keys(cifar10.train).map((name) => [name, 2])),
  test: { test_batch: 2 },
};
const inArchive = (path: string) => greyBatches({ set: small, kind: 'archive', path }, quiet);
const inFolderOf = (path: string) => greyBatches({ set: small, kind: 'folder', path }, quiet);
const quiet = () => {};

/** Image i of the twelve: its three planes hold i, 2i and 3i in all places but the first. */
function colours(i: number): Uint8Array {
  const planes = new Uint8Array(3072).map((_, at) => i * (1 + Math.floor(at / 1024)));
  planes[0] = 255;
  return planes;
}
const label = (i: number) => (i * 7) % 10;
const batchName = (batch: number) => (batch < 5 ? `data_batch_${batch + 1}` : 'test_batch');

/** All six files of either kind, in an order that is not theirs. */
function batches(kind: 'bin' | 'py'): Record<string, Uint8Array> {
  return Object.fromEntries(
    [3, 5, 0, 4, 2, 1].map((batch) => {
      const places = [2 * batch, 2 * batch + 1];
      if (kind === 'bin')
        return [
          `${batchName(batch)}.bin`,
          Buffer.concat(places.flatMap((i) => [Buffer.of(label(i)), colours(i)])),
        ];
      return [batchName(batch), pickledBatch(Buffer.concat(places.map(colours)), places.map(label))];
    }),
  );
}

const inFolder = (folder: string, files: Record<string, Uint8Array>) =>
  Object.fromEntries(Object.entries(files).map(([name, bytes]) => [`${folder}/${name}`, bytes]));

/** What all copies must give: official order, grey. */
const expected = (i: number) => ({ pixels: greyImage(colours(i), 'planes'), label: label(i) });
function expectAll(images: GreyImages): void {
  expect(images.train).toEqual(Array.from({ length: 10 }, (_, i) => expected(i)));
  expect(images.test).toEqual([expected(10), expected(11)]);
}

describe('grey', () => {
  it.each([
    [0, 0, 0, 0],
    [255, 255, 255, 255],
    [255, 0, 0, 76],
    [0, 255, 0, 149],
    [0, 0, 255, 29],
    [10, 20, 30, 18],
  ])('of %i %i %i is %i', (red, green, blue, grey) => {
    expect(greyOf(red, green, blue)).toBe(grey);
  });

  it('is the weighted mean, stretched by 255.5 / 255 and cut', () => {
    const byte = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(byte, byte, byte, (red, green, blue) => {
        const exact = ((0.2989 * red + 0.587 * green + 0.114 * blue) / 255) * 255.5;
        expect(Math.abs(greyOf(red, green, blue) + 0.5 - exact)).toBeLessThan(0.5001);
      }),
    );
  });

  it('reads colours that lie pixel by pixel like colours in planes', () => {
    const planes = colours(3);
    const pixels = planes.map((_, at) => planes[(at % 3) * 1024 + Math.floor(at / 3)]!);
    expect(greyImage(pixels, 'pixels')).toEqual(greyImage(planes, 'planes'));
  });
});

describe('the published batches', () => {
  it.each(['bin', 'py'] as const)('are read from an archive in their order: %s', async (kind) => {
    const path = join(scratchFolder(), 'cifar.tar.gz');
    await writeTarGz(path, { 'cifar/readme.html': Buffer.from('x'), ...inFolder('cifar', batches(kind)) });
    expectAll(await inArchive(path));
  });

  it.each(['bin', 'py'] as const)('are read from a folder: %s', async (kind) => {
    const folder = scratchFolder();
    for (const [name, bytes] of Object.entries(batches(kind))) writeFileSync(join(folder, name), bytes);
    expectAll(await inFolderOf(folder));
  });

  const system = Buffer.from('cposix\nsystem\n(U\x02idtR.', 'latin1');
  it.each<[string, Record<string, Uint8Array>, RegExp]>([
    [
      'half a record',
      { 'data_batch_1.bin': new Uint8Array(4000) },
      /data_batch_1\.bin: has 4000 bytes, expected 6146 \(2 images of 3073\)$/,
    ],
    [
      'a label of 10',
      { 'data_batch_1.bin': new Uint8Array(6146).fill(10) },
      /image 0: expected a label from 0 to 9$/,
    ],
    [
      'a batch that is not there',
      { 'data_batch_1.bin': new Uint8Array(6146) },
      /holds no data_batch_2\.bin, expected 5 batches and a test batch$/,
    ],
    ['nothing', { 'readme.html': Buffer.from('x') }, /holds no data_batch_1\.bin, expected/],
    [
      'a pickle that runs a command',
      { data_batch_1: system },
      /is no batch of CIFAR-10: the global "posix.system" is not allowed$/,
    ],
    [
      'a pickle of something else',
      { data_batch_1: Buffer.from('N.') },
      /is no batch of CIFAR-10: expected a dict$/,
    ],
    [
      'a pickle without data',
      { data_batch_1: Buffer.from('}.') },
      /expected data of 2 x 3072 unsigned bytes/,
    ],
    [
      'too few images',
      { data_batch_1: pickledBatch(colours(1), [1]) },
      /expected data of 2 x 3072 unsigned bytes/,
    ],
    [
      'half a pickle',
      { data_batch_1: batches('py').data_batch_1!.subarray(0, 3000) },
      /expected 6144 more bytes, received/,
    ],
  ])('%s is one clear line', async (_, files, message) => {
    const path = join(scratchFolder(), 'cifar.tar.gz');
    await writeTarGz(path, files);
    await expect(inArchive(path)).rejects.toThrow(message);
  });

  it('half an archive is one clear line', async () => {
    const path = join(scratchFolder(), 'cifar.tar.gz');
    await writeTarGz(path, batches('bin'));
    truncateSync(path, Math.floor(readFileSync(path).length / 2));
    await expect(inArchive(path)).rejects.toThrow(/cut short|not a sound tar/);
  });
});

describe('copies', () => {
  it('are told apart by the names in a folder', async () => {
    const folder = scratchFolder();
    expect(() => readCifar10(folder, quiet)).toThrow(/holds no CIFAR-10, expected cifar-10-binary\.tar\.gz/);
    const inner = join(folder, 'cifar-10-batches-bin');
    mkdirSync(inner);
    for (const [name, bytes] of Object.entries(batches('bin'))) writeFileSync(join(inner, name), bytes);
    expect((await cifar10Standing(folder)).caution).toBe('');
    await expect(readCifar10(folder, quiet)).rejects.toThrow(
      /data_batch_1\.bin: has 6146 bytes, expected 30730000/,
    );
    await writeTarGz(join(folder, 'cifar-10-binary.tar.gz'), batches('bin'));
    expect((await cifar10Standing(folder)).caution).toMatch(
      /^Not one of the published archives: its SHA-256 is [0-9a-f]{64}\.$/,
    );
  });
});

describe('JPEGs', () => {
  const jpegCounts = { train: 20, test: 10 };
  const order = Array.from({ length: 20 }, (_, i) => label(i));

  /** A picture of one grey for each label and number. */
  async function jpegs(part: string, perClass: number): Promise<Record<string, Uint8Array>> {
    const files: Record<string, Uint8Array> = {};
    for (const [of, name] of cifar10Classes.entries())
      for (let number = 0; number < perClass; number++) {
        const grey = 20 * of + 10 * number;
        const create = {
          width: 32,
          height: 32,
          channels: 3 as const,
          background: { r: grey, g: grey, b: grey },
        };
        files[`${part}/${name}/000${number}.jpg`] = await sharp({ create }).jpeg({ quality: 100 }).toBuffer();
      }
    return files;
  }

  async function folderOf(changes: Record<string, Uint8Array | undefined> = {}): Promise<string> {
    const folder = scratchFolder();
    const train = Object.entries({ ...(await jpegs('train', 2)), ...changes }).filter(([, bytes]) => bytes);
    await writeTarGz(
      join(folder, 'cifar10-jpeg.train.tar.gz'),
      Object.fromEntries(train) as Record<string, Uint8Array>,
    );
    await writeTarGz(join(folder, 'cifar10-jpeg.test.tar.gz'), await jpegs('test', 1));
    writeFileSync(join(folder, 'cifar10-labels.train.txt'), `${order.join('\n')}\n`);
    return folder;
  }

  it('are put into the order of the labels', async () => {
    const { train, test } = await imagesOfJpegs(await folderOf(), quiet, jpegCounts);
    expect(train.map((one) => one.label)).toEqual(order);
    const grey = (of: number, number: number) =>
      greyOf(...([0, 0, 0].fill(20 * of + 10 * number) as [number, number, number]));
    for (const [i, { pixels, label: of }] of train.entries())
      expect(Math.abs(pixels[500]! - grey(of, i < 10 ? 0 : 1))).toBeLessThanOrEqual(1);
    expect(test.map((one) => one.label)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it.each<[string, () => Promise<Record<string, Uint8Array | undefined>>, RegExp]>([
    ['a missing one', async () => ({ 'train/cat/0001.jpg': undefined }), /holds no train\/cat\/0001\.jpg$/],
    [
      'one too many',
      async () => ({ 'train/cat/0002.jpg': Buffer.of(1) }),
      /holds train\/cat\/0002\.jpg, which has no label$/,
    ],
    [
      'a damaged one',
      async () => ({ 'train/cat/0001.jpg': Buffer.from('no picture') }),
      /train\/cat\/0001\.jpg: is not the picture that was expected: /,
    ],
    [
      'a larger one',
      async () => ({
        'train/cat/0001.jpg': await sharp({
          create: { width: 64, height: 64, channels: 3, background: 'red' },
        })
          .jpeg()
          .toBuffer(),
      }),
      /train\/cat\/0001\.jpg: is not the picture that was expected: Input image exceeds pixel limit/,
    ],
  ])('%s is one clear line', async (_, changes, message) => {
    const folder = await folderOf(await changes());
    await expect(imagesOfJpegs(folder, quiet, jpegCounts)).rejects.toThrow(message);
  });

  it('labels that are too few are one clear line', async () => {
    const folder = await folderOf();
    writeFileSync(join(folder, 'cifar10-labels.train.txt'), '1\n2\n');
    await expect(imagesOfJpegs(folder, quiet, jpegCounts)).rejects.toThrow(/holds 2 labels, expected 20$/);
  });
});

describe('strips', () => {
  const strip = async (path: string, images: readonly number[]) => {
    const pixels = Buffer.concat(
      images.map((i) => new Uint8Array(3072).map((_, at) => i * (1 + (at % 3)) + (at === 0 ? 255 - i : 0))),
    );
    await sharp(pixels, { raw: { width: 1024, height: images.length, channels: 3 } })
      .png()
      .toFile(path);
  };

  it('are joined in the order of their numbers', async () => {
    const folder = scratchFolder();
    await strip(join(folder, 'train_rows_0003-0004.png'), [3, 4]);
    await strip(join(folder, 'train_rows_0000-0002.png'), [0, 1, 2]);
    await strip(join(folder, 'test_rows_0000-0000.png'), [9]);
    writeFileSync(join(folder, 'cifar10-labels.train.txt'), '0\n7\n4\n1\n8\n9\n');
    writeFileSync(join(folder, 'cifar10-labels.test-first1000.txt'), '3\n');
    const { train, test } = await imagesOfStrips(folder, quiet);
    expect(train).toEqual([0, 1, 2, 3, 4].map(expected));
    expect(test).toEqual([expected(9)]);
    await strip(join(folder, 'train_rows_0009-0009.png'), [9]);
    await expect(imagesOfStrips(folder, quiet)).rejects.toThrow(
      'expected the strip from image 5 on, found train_rows_0009',
    );
  });

  it.skipIf(!existsSync(shared))('of real photographs', async () => {
    const { train, test } = await imagesOfStrips(shared, quiet);
    expect([train.length, test.length]).toEqual([4000, 1000]);
    expect(train.slice(0, 5).map((one) => cifar10Classes[one.label])).toEqual([
      'frog',
      'truck',
      'truck',
      'deer',
      'automobile',
    ]);
    const mean = train.reduce((sum, { pixels }) => sum + pixels.reduce((a, b) => a + b) / 1024, 0) / 4000;
    expect(mean).toBeGreaterThan(115);
    expect(mean).toBeLessThan(130);
  });
});
