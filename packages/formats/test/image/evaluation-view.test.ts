import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  evaluationBox,
  evaluationView,
  IMAGENET_MEAN,
  normalisation,
  normalised,
  shortSideTo,
} from '../../src/index.js';
import { pillowCases, sourcePicture } from './pillow-cases.js';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('the view for evaluation', () => {
  it.each(pillowCases.views.map((one) => [`${one.from} to ${one.size} at ${one.cropRatio}`, one] as const))(
    'is that of torchvision, numbers included: %s',
    (_, { seed, from, size, cropRatio, pixels, numbers }) => {
      const view = evaluationView(sourcePicture(seed, from), { size, cropRatio });
      expect(hex(view.data)).toBe(pixels);
      const planes = normalised(view, normalisation());
      expect(hex(new Uint8Array(planes.buffer))).toBe(numbers);
    },
  );

  it('cuts the long side to whole pixels', () => {
    expect(shortSideTo(256, { width: 500, height: 375 })).toEqual({ width: 341, height: 256 });
    expect(shortSideTo(438, { width: 375, height: 500 })).toEqual({ width: 438, height: 584 });
  });

  it('is a square of the size, of any picture', () => {
    const side = fc.integer({ min: 1, max: 60 });
    fc.assert(
      fc.property(
        side,
        side,
        fc.integer({ min: 1, max: 40 }),
        fc.constantFrom(0.5, 0.875, 0.95, 1),
        (width, height, size, cropRatio) => {
          const view = evaluationView(sourcePicture(1, [width, height]), { size, cropRatio });
          expect([view.width, view.height, view.data.length]).toEqual([size, size, 3 * size * size]);
        },
      ),
    );
  });

  it('shows a part of the picture, which its box says', () => {
    const box = evaluationBox({ width: 500, height: 375 }, { size: 224 });
    // 341 x 256 resized, of which 224 x 224 from 58, 16 on.
    expect(box.left).toBeCloseTo((58 * 500) / 341, 9);
    expect(box.right).toBeCloseTo((282 * 500) / 341, 9);
    expect([box.top, box.bottom]).toEqual([(16 * 375) / 256, (240 * 375) / 256]);
    expect(evaluationBox({ width: 32, height: 32 }, { size: 32, cropRatio: 1 })).toEqual({
      left: 0,
      top: 0,
      right: 32,
      bottom: 32,
    });
    const side = fc.integer({ min: 1, max: 60 });
    fc.assert(
      fc.property(side, side, fc.integer({ min: 1, max: 40 }), (width, height, size) => {
        const { left, top, right, bottom } = evaluationBox({ width, height }, { size });
        const edges = [left, top, width - right, height - bottom, right - left, bottom - top];
        for (const edge of edges) expect(edge).toBeGreaterThan(-1e-9);
      }),
    );
  });

  it('of a picture at its native size changes nothing', () => {
    const image = sourcePicture(3, [32, 32]);
    expect(evaluationView(image, { size: 32, cropRatio: 1 })).toEqual(image);
  });

  it.each([0, 1.1, Number.NaN])('refuses a crop ratio of %d', (cropRatio) => {
    expect(() => evaluationView(sourcePicture(3, [32, 32]), { size: 32, cropRatio })).toThrow(
      `expected a crop ratio above 0 and at most 1, received ${cropRatio}`,
    );
  });
});

describe('normalised', () => {
  it('writes planes to where it is told', () => {
    const image = sourcePicture(2, [3, 2]);
    const batch = new Float32Array(36);
    normalised(image, normalisation([0, 0, 0], [1, 1, 1]), batch.subarray(18));
    expect(batch.subarray(0, 18).every((value) => value === 0)).toBe(true);
    expect([...batch.subarray(18)].map((value) => Math.round(value * 255))).toEqual(
      [0, 1, 2].flatMap((colour) => Array.from({ length: 6 }, (_, pixel) => image.data[3 * pixel + colour]!)),
    );
  });

  it('refuses too little room and a std of zero', () => {
    expect(() => normalised(sourcePicture(2, [3, 2]), normalisation(), new Float32Array(17))).toThrow(
      'expected room for 18 numbers, received 17',
    );
    expect(() => normalisation(IMAGENET_MEAN, [1, 0, 1])).toThrow('expected a std above 0, received 1, 0, 1');
  });
});
