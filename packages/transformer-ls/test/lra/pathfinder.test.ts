import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/data/random.js';
import { readIdx } from '../../src/lra/idx.js';
import { generatePathfinder } from '../../src/lra/pathfinder.js';
import { pathfinderShapes } from '../../src/lra/pathfinder-shapes.js';
import { discStamp } from '../../src/lra/pathfinder-stamps.js';
import { reduced } from '../../src/lra/resample.js';

const shared = fileURLToPath(new URL('../../../../../shared/data/pathfinder32', import.meta.url));

/** Of pixels 0 … 255, over all images. */
function statistics(images: readonly Uint8Array[]) {
  const pixels = images.reduce((sum, image) => sum + image.length, 0);
  const share = (low: number, high: number) =>
    images.reduce((sum, image) => sum + image.filter((value) => value >= low && value <= high).length, 0) /
    pixels;
  const means = images.map((image) => image.reduce((a, b) => a + b, 0) / image.length);
  const mean = means.reduce((a, b) => a + b, 0) / images.length;
  const spread = Math.sqrt(means.reduce((sum, one) => sum + (one - mean) ** 2, 0) / images.length);
  return {
    mean,
    spread,
    dark: share(0, 0),
    lit: share(49, 255),
    middle: share(128, 175),
    full: share(255, 255),
  };
}

/** Of 3,200 images of the original generator; the range is what chance does to 1,000 images, four times. */
const original = {
  mean: [20.17, 0.35],
  spread: [1.98, 0.25],
  dark: [0.6585, 0.006],
  lit: [0.1325, 0.004],
  middle: [0.0555, 0.0025],
  full: [0.0022, 0.0003],
} as const;

const examples = (count: number) =>
  Array.from({ length: count }, (_, i) => generatePathfinder(new Random(3, i), pathfinderShapes[32]));

describe('Pathfinder', () => {
  it('has the brightness of the original generator, and as many of either label', () => {
    const drawn = examples(1000);
    const found = statistics(drawn.map(({ pixels }) => pixels));
    for (const [name, [value, range]] of Object.entries(original))
      expect(Math.abs(found[name as keyof typeof original] - value), name).toBeLessThan(range);
    const joined = drawn.filter(({ label }) => label === 1).length;
    expect(Math.abs(joined / 1000 - 0.5)).toBeLessThan(0.065);
  });

  it.skipIf(!existsSync(shared))('these are the numbers of the original images', async () => {
    const found = statistics(await readIdx(join(shared, 'train-images-idx3-ubyte.gz')));
    for (const [name, [value, range]] of Object.entries(original))
      expect(Math.abs(found[name as keyof typeof original] - value), name).toBeLessThan(range / 4);
  });

  it.each([32, 64, 128, 256] as const)(
    'draws the same image for the same seed; its brightest pixel is 255: %i',
    (side) => {
      const draw = (seed: number) => generatePathfinder(new Random(seed), pathfinderShapes[side]);
      const [one, again, other] = [draw(1), draw(1), draw(2)];
      expect(again).toEqual(one);
      expect(other.pixels).not.toEqual(one.pixels);
      expect(one.pixels).toHaveLength(side * side);
      expect(Math.max(...one.pixels)).toBe(255);
    },
  );

  it('the discs lie on the picture, wherever paths end', () => {
    const disc = discStamp(pathfinderShapes[32].markerRadius);
    const bright = disc.values.filter((value) => value > 0.9).length;
    // Beside distractors, which may be brighter, discs are at 239.
    for (const { pixels } of examples(200))
      expect(pixels.filter((value) => value >= 215).length).toBeGreaterThanOrEqual(bright);
  });
});

describe('reducing a picture', () => {
  it('keeps one grey', () => {
    fc.assert(
      fc.property(
        fc.nat(255),
        fc.integer({ min: 2, max: 20 }),
        fc.integer({ min: 1, max: 20 }),
        (grey, from, to) => {
          const [size, smaller] = [from, Math.min(from, to)];
          const result = reduced(new Uint8Array(size * size).fill(grey), size, smaller);
          expect([...new Set(result)]).toEqual([grey]);
          expect(result).toHaveLength(smaller * smaller);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('of the same size changes nothing', () => {
    const pixels = Uint8Array.from({ length: 36 }, (_, i) => (i * 37) % 256);
    expect(reduced(pixels, 6, 6)).toEqual(pixels);
  });

  it('keeps rows rows and columns columns', () => {
    const rows = Uint8Array.from({ length: 64 }, (_, i) => (i < 32 ? 0 : 200));
    expect([...reduced(rows, 8, 2)].map((value) => value > 100)).toEqual([false, false, true, true]);
  });
});
