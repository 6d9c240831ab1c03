import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import zlib from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ImageError } from '../../src/images/image-set.js';
import { openParquetImages } from '../../src/images/parquet-images.js';
import { scratchFolder } from '../data/scratch-folder.js';

const fixture = (name: string) => fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url));
const shards = [0, 1].map((i) => fixture(`train-0000${i}-of-00002.parquet`));
/** Picture i of `make_parquet.py`. */
const colour = (i: number) => [20 * i, 255 - 20 * i, 7 * i];

describe('parquet files of pictures', () => {
  it('are one set, with the classes that the hub notes', async () => {
    const set = await openParquetImages('pets', shards);
    expect(set.classes).toEqual(['cat', 'dog', 'bird']);
    expect([...set.labels]).toEqual(Array.from({ length: 12 }, (_, i) => i % 3));
    for (const i of [11, 0, 7, 6, 3, 10]) {
      const { width, height, data } = await set.read(i);
      expect([width, height, ...data.subarray(0, 3)]).toEqual([6, 5, ...colour(i)]);
    }
    expect(set.nameOf(8)).toBe(`${shards[1]} row 1`);
    expect(set.fingerprint).not.toBe((await openParquetImages('pets', shards.toReversed())).fingerprint);
    await set.close();
  });

  it('are read by many at the same time', async () => {
    const set = await openParquetImages('pets', shards);
    const order = Array.from({ length: 60 }, (_, i) => (i * 7) % 12);
    const images = await Promise.all(order.map((i) => set.read(i)));
    expect(images.map(({ data }) => [...data.subarray(0, 3)])).toEqual(order.map(colour));
  });

  it('may have bytes alone, 32-bit labels, another packing and no notes', async () => {
    const set = await openParquetImages('plain', [fixture('plain-gzip.parquet')]);
    expect([set.classes, [...set.labels]]).toEqual([
      ['0', '1', '2', '3', '4', '5'],
      [0, 1, 2, 5],
    ]);
    expect([...(await set.read(3)).data.subarray(0, 3)]).toEqual(colour(3));
  });

  it.skipIf(!('zstdDecompressSync' in zlib))('may be packed with Zstandard where Node has it', async () => {
    const set = await openParquetImages('plain', [fixture('plain-zstd.parquet')]);
    expect([...(await set.read(3)).data.subarray(0, 3)]).toEqual(colour(3));
  });

  it.each([
    [
      'plain-lz4.parquet',
      /plain-lz4\.parquet: is packed with LZ4_RAW, expected one of UNCOMPRESSED, SNAPPY, GZIP, BROTLI/,
    ],
    ['without-labels.parquet', /row 0: expected a class from 0 to 99999 in label, received -1$/],
    [
      'texts.parquet',
      /expected a column of pictures \(image\) and one of whole numbers \(label\), received text \(BYTE_ARRAY\), label \(INT32\)$/,
    ],
    ['make_parquet.py', /make_parquet\.py: is no parquet file, or cut short$/],
  ])('%s is one clear line', async (name, message) => {
    await expect(openParquetImages('x', [fixture(name)])).rejects.toThrow(message);
  });

  const whole = readFileSync(shards[0]!);
  const written = (bytes: Uint8Array) => {
    const path = join(scratchFolder(), 'x.parquet');
    writeFileSync(path, bytes);
    return path;
  };

  it.each<[string, Uint8Array, RegExp]>([
    ['nothing', new Uint8Array(0), /x\.parquet: is no parquet file, or cut short$/],
    ['the first half', whole.subarray(0, whole.length / 2), /x\.parquet: is no parquet file, or cut short$/],
    ['the end alone', whole.subarray(-8), /x\.parquet: is no parquet file, or cut short$/],
    ['no pages, but their description', whole.subarray(-1500), /x\.parquet: /],
    [
      'a description of four gigabytes',
      Buffer.concat([whole.subarray(0, -8), Buffer.from('\xff\xff\xff\xff', 'latin1'), Buffer.from('PAR1')]),
      /has a description of 4294967295 bytes in a file of 4386, expected at most 268435456$/,
    ],
  ])('%s is one clear line', async (_, bytes, message) => {
    const error = await openParquetImages('x', [written(bytes)]).catch((caught) => caught);
    expect(error).toBeInstanceOf(Error);
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain('\n');
  });

  it('says in one line which pictures are damaged, and gives the others', async () => {
    // The first page of pictures lies behind the mark and the column of identifiers.
    const at = whole.indexOf('IHDR');
    const damaged = Buffer.from(whole);
    damaged.fill(0xff, at - 20, at + 20);
    const set = await openParquetImages('x', [written(damaged)]);
    const found = await Promise.all([...set.labels.keys()].map((i) => set.read(i).catch((error) => error)));
    expect(found.some((one) => one instanceof ImageError)).toBe(true);
  });

  it('of damaged bytes give pictures or one clear line', async () => {
    const edits = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 });
    const path = join(scratchFolder(), 'x.parquet');
    await fc.assert(
      fc.asyncProperty(edits, async (changes) => {
        const bytes = Buffer.from(whole);
        for (const [at, value] of changes) bytes[at] = value;
        writeFileSync(path, bytes);
        const set = await openParquetImages('x', [path]).catch((error) => error);
        if (set instanceof Error) {
          expect(set.name).toBe('DataError');
          expect(set.message).toMatch(/^.+x\.parquet: .+$/);
          return;
        }
        for (const i of [...set.labels.keys()].slice(0, 20)) {
          const found = await set.read(i).catch((error: unknown) => error);
          if (found instanceof Error) expect(found).toBeInstanceOf(ImageError);
        }
      }),
      { numRuns: 200 },
    );
  });
});
