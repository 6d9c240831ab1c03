import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crop, type ResizeFilter, type RgbImage, resize } from '../../src/index.js';
import { pillowCases, sourcePicture } from './pillow-cases.js';

const filters: ResizeFilter[] = ['box', 'bilinear', 'bicubic', 'lanczos'];
const side = fc.integer({ min: 1, max: 24 });
const size = fc.record({ width: side, height: side });
const picture = fc
  .tuple(fc.nat(1000), side, side)
  .map(([seed, width, height]) => sourcePicture(seed, [width, height]));
const filter = fc.constantFrom(...filters);

function plain(width: number, height: number, colour: readonly number[]): RgbImage {
  return { width, height, data: Uint8Array.from({ length: 3 * width * height }, (_, i) => colour[i % 3]!) };
}

describe('resize', () => {
  it.each(
    pillowCases.resized.map(
      (one) => [`${one.from} to ${one.to} ${one.filter} ${one.box ?? ''}`, one] as const,
    ),
  )('gives the bytes of Pillow: %s', (_, { seed, from, to: [width, height], filter, box, pixels }) => {
    const [left, top, right, bottom] = box ?? [];
    const part = box === null ? {} : { box: { left: left!, top: top!, right: right!, bottom: bottom! } };
    const result = resize(sourcePicture(seed, from), { width, height, filter, ...part });
    expect([result.width, result.height]).toEqual([width, height]);
    expect(Buffer.from(result.data).toString('hex')).toBe(pixels);
  });

  it('keeps a single colour', () => {
    const byte = fc.nat(255);
    fc.assert(
      fc.property(size, size, filter, fc.tuple(byte, byte, byte), (from, to, filter, colour) => {
        expect(resize(plain(from.width, from.height, colour), { ...to, filter })).toEqual(
          plain(to.width, to.height, colour),
        );
      }),
    );
  });

  it('to the same size is the same picture, in memory of its own', () => {
    fc.assert(
      fc.property(picture, filter, (image, filter) => {
        const result = resize(image, { width: image.width, height: image.height, filter });
        expect(result).toEqual(image);
        expect(result.data.buffer).not.toBe(image.data.buffer);
      }),
    );
  });

  it('stays within the colours there are, where no filter weight is negative', () => {
    fc.assert(
      fc.property(picture, size, fc.constantFrom<ResizeFilter>('box', 'bilinear'), (image, to, filter) => {
        const [low, high] = [Math.min(...image.data), Math.max(...image.data)];
        for (const value of resize(image, { ...to, filter }).data) {
          expect(value).toBeGreaterThanOrEqual(low - 1);
          expect(value).toBeLessThanOrEqual(high + 1);
        }
      }),
    );
  });

  it('turns a mirrored picture into the mirrored result, up to rounding', () => {
    const mirrored = ({ width, height, data }: RgbImage): RgbImage => ({
      width,
      height,
      data: data.map((_, i) => {
        const [row, column] = [Math.floor(i / (3 * width)), Math.floor(i / 3) % width];
        return data[3 * (row * width + width - 1 - column) + (i % 3)]!;
      }),
    });
    // Not of box and Lanczos: pixels on the very edge of what they cover count on one side only.
    const symmetric = fc.constantFrom<ResizeFilter>('bilinear', 'bicubic');
    fc.assert(
      fc.property(picture, size, symmetric, (image, to, filter) => {
        const other = mirrored(resize(image, { ...to, filter })).data;
        for (const [i, value] of resize(mirrored(image), { ...to, filter }).data.entries())
          expect(Math.abs(value - other[i]!)).toBeLessThanOrEqual(2);
      }),
      { numRuns: 30 },
    );
  });

  it('computes the kept part as if it computed all', () => {
    const part = fc.tuple(
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
    );
    const within = ([start, length]: [number, number], size: number) => {
      const first = Math.min(size - 1, Math.floor(start * size));
      return [first, Math.max(1, Math.floor(length * (size - first)))] as const;
    };
    fc.assert(
      fc.property(picture, size, filter, part, part, (image, to, filter, across, down) => {
        const [left, width] = within(across, to.width);
        const [top, height] = within(down, to.height);
        const keep = { left, top, width, height };
        expect(resize(image, { ...to, filter, keep })).toEqual(crop(resize(image, { ...to, filter }), keep));
      }),
    );
  });

  it.each([
    [{ width: 0, height: 4 }, 'expected a width of at least 1 pixel, received 0'],
    [{ width: 4, height: 1.5 }, 'expected a height of at least 1 pixel, received 1.5'],
    [{ width: Number.NaN, height: 4 }, 'expected a width of at least 1 pixel, received NaN'],
    [
      { width: 4, height: 4, box: { left: 0, top: 0, right: 8.5, bottom: 4 } },
      'expected a box within 8 x 6 pixels, received 0 to 8.5 and 0 to 4',
    ],
    [{ width: 4, height: 4, box: { left: 3, top: 0, right: 3, bottom: 4 } }, 'received 3 to 3 and 0 to 4'],
    [{ width: 4, height: 4, box: { left: Number.NaN, top: 0, right: 3, bottom: 4 } }, 'received NaN to 3'],
    [
      { width: 4, height: 4, keep: { left: 2, top: 0, width: 3, height: 4 } },
      'expected an area within 4 x 4 pixels, received 3 x 4 from 2, 0 on',
    ],
  ])('refuses %j', (options, message) => {
    expect(() => resize(sourcePicture(0, [8, 6]), options)).toThrow(message);
  });
});

describe('crop', () => {
  it('cuts whole pixels', () => {
    const image = sourcePicture(1, [5, 4]);
    const { data } = crop(image, { left: 1, top: 2, width: 3, height: 2 });
    const row = (y: number) => [...image.data.subarray(3 * (5 * y + 1), 3 * (5 * y + 4))];
    expect([...data]).toEqual([...row(2), ...row(3)]);
  });

  it.each([
    { left: -1, top: 0, width: 2, height: 2 },
    { left: 0, top: 3, width: 2, height: 2 },
    { left: 0.5, top: 0, width: 2, height: 2 },
    { left: 0, top: 0, width: 0, height: 2 },
  ])('refuses %j', (area) => {
    expect(() => crop(sourcePicture(1, [5, 4]), area)).toThrow(/^expected an area within 5 x 4 pixels/);
  });
});
