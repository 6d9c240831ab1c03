import fc from 'fast-check';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { pngFile } from '../../src/charts/png.js';

describe('a PNG file', () => {
  it('holds its pixels, as another program reads them', async () => {
    const shape = fc.record({
      width: fc.integer({ min: 1, max: 9 }),
      height: fc.integer({ min: 1, max: 9 }),
      channels: fc.constantFrom(1 as const, 3 as const),
    });
    await fc.assert(
      fc.asyncProperty(
        shape.chain((one) => {
          const length = one.width * one.height * one.channels;
          return fc.uint8Array({ minLength: length, maxLength: length }).map((data) => ({ ...one, data }));
        }),
        async (pixels) => {
          const read = sharp(pngFile(pixels))
            .toColourspace(pixels.channels === 1 ? 'b-w' : 'srgb')
            .raw();
          const { data, info } = await read.toBuffer({ resolveWithObject: true });
          const { width, height, channels } = info;
          expect({ width, height, channels, data: [...data] }).toEqual({
            ...pixels,
            data: [...pixels.data],
          });
        },
      ),
      { numRuns: 30 },
    );
  });

  it('is refused where pixels are missing', () => {
    const data = new Uint8Array(11);
    expect(() => pngFile({ width: 2, height: 2, channels: 3, data })).toThrow(
      'pngFile: expected 2 x 2 x 3 bytes, got 11',
    );
    expect(() => pngFile({ width: 0, height: 2, channels: 1, data: new Uint8Array() })).toThrow(RangeError);
  });
});
