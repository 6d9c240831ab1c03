import type { RgbImage } from '@transformer-ls/formats';
import { seenByModel } from '@transformer-ls/formats';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { tokenAt } from '../../src/cli/attend-image-input.js';

const SPOT = 5;

/** Black, with a white square of 11 x 11 pixels around x, y. */
function spotted(width: number, height: number, x: number, y: number): RgbImage {
  const data = new Uint8Array(3 * width * height);
  for (let row = y - SPOT; row <= y + SPOT; row++)
    for (let column = x - SPOT; column <= x + SPOT; column++)
      if (row >= 0 && row < height && column >= 0 && column < width)
        data.fill(255, 3 * (row * width + column), 3 * (row * width + column) + 3);
  return { width, height, data };
}

/** Where the light of a picture lies on average, in pixels from its edges. */
function centre({ width, height, data }: RgbImage): { x: number; y: number } {
  let [total, across, down] = [0, 0, 0];
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++) {
      const light = data[3 * (row * width + column)]!;
      total += light;
      across += light * (column + 0.5);
      down += light * (row + 0.5);
    }
  return { x: across / total, y: down / total };
}

describe('the token at a pixel of the file', () => {
  it('is the one that shows it, whatever the proportions of picture and model', () => {
    // Far enough inside that nothing of the square is cut off.
    const place = fc.double({ min: 0.42, max: 0.58, noNaN: true });
    const side = fc.integer({ min: 60, max: 120 });
    const sizes = fc.constantFrom({ height: 64, width: 64 }, { height: 48, width: 80 });
    fc.assert(
      fc.property(side, side, place, place, sizes, (width, height, across, down, size) => {
        const [x, y] = [Math.floor(across * width), Math.floor(down * height)];
        const seen = seenByModel(spotted(width, height, x, y), size, { cropRatio: 0.875, filter: 'bicubic' });
        const patch = 4;
        const grid = { rows: size.height / patch, columns: size.width / patch, patch };
        const { row, column } = tokenAt({ x, y }, seen, grid);
        const light = centre(seen.image);
        // Rounding to bytes moves the middle of the light a little.
        expect(Math.abs((column + 0.5) * patch - light.x)).toBeLessThan(patch / 2 + 0.3);
        expect(Math.abs((row + 0.5) * patch - light.y)).toBeLessThan(patch / 2 + 0.3);
      }),
    );
  });

  it('is refused where the model does not see the pixel', () => {
    const seen = seenByModel(
      spotted(100, 60, 50, 30),
      { height: 32, width: 32 },
      { cropRatio: 1, filter: 'bicubic' },
    );
    const grid = { rows: 8, columns: 8, patch: 4 };
    const at = (x: number, y: number) => tokenAt({ x, y }, seen, grid);
    // 53 x 32 pixels resized, of which 32 x 32 from the tenth column on.
    expect(() => at(18, 30)).toThrow(
      '--at-pixel: expected a pixel that the model sees, x from 19 to 78 and y from 0 to 59, received 18:30',
    );
    expect([at(19, 0), at(78, 59)]).toEqual([
      { row: 0, column: 0 },
      { row: 7, column: 7 },
    ]);
    expect(() => at(79, 30)).toThrow('received 79:30');
    expect(() => at(30, 60)).toThrow('received 30:60');
  });
});
