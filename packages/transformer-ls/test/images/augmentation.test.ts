import {
  crop,
  type ImageAugmentationConfig,
  imageAugmentationSchema,
  normalisation,
  normalised,
  parseConfig,
  type RgbImage,
  resize,
} from '@transformer-ls/formats';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/data/random.js';
import { colorJitter } from '../../src/images/augment/color-jitter.js';
import { erase, erasedBox } from '../../src/images/augment/erasing.js';
import { AugmentationPolicy } from '../../src/images/augment/policy.js';
import { augmentation } from '../../src/images/augment/presets.js';
import { randomBox } from '../../src/images/augment/random-resized-crop.js';
import { mirrored, shifted } from '../../src/images/augment/shift-and-mirror.js';
import { bytesOf, fixture, picture } from './fixtures/augmentation.js';

const ranges = { scale: { min: 0.08, max: 1 }, ratio: { min: 3 / 4, max: 4 / 3 } };
const seed = fc.integer({ min: 0, max: 2 ** 31 });
const side = fc.integer({ min: 1, max: 700 });

/** A picture that tells its places apart. */
function numbered(width: number, height: number): RgbImage {
  return { width, height, data: Uint8Array.from({ length: 3 * width * height }, (_, i) => 1 + (i % 251)) };
}

describe('a random resized crop', () => {
  it('lies within the picture', () => {
    fc.assert(
      fc.property(seed, side, side, (seed, width, height) => {
        const box = randomBox({ width, height }, ranges, new Random(seed));
        expect(Math.min(box.left, box.top)).toBeGreaterThanOrEqual(0);
        expect(Math.min(box.width, box.height)).toBeGreaterThanOrEqual(1);
        expect(box.left + box.width).toBeLessThanOrEqual(width);
        expect(box.top + box.height).toBeLessThanOrEqual(height);
      }),
    );
  });

  it('has areas, shapes and places over the whole of their ranges', () => {
    const [width, height] = [1000, 1000];
    const boxes = Array.from({ length: 4000 }, (_, seed) =>
      randomBox({ width, height }, { ...ranges, scale: { min: 0.08, max: 0.5 } }, new Random(seed)),
    );
    const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const areas = boxes.map((box) => (box.width * box.height) / (width * height));
    expect(Math.min(...areas)).toBeGreaterThan(0.079);
    expect(Math.max(...areas)).toBeLessThan(0.501);
    expect(mean(areas)).toBeCloseTo(0.29, 1);
    const shapes = boxes.map((box) => Math.log(box.width / box.height));
    expect(Math.max(...shapes.map(Math.abs))).toBeLessThan(Math.log(4 / 3) + 0.01);
    expect(mean(shapes)).toBeCloseTo(0, 1);
    expect(mean(boxes.map((box) => box.left / (width - box.width)))).toBeCloseTo(0.5, 1);
    expect(mean(boxes.map((box) => box.top / (height - box.height)))).toBeCloseTo(0.5, 1);
  });

  it('of a picture too long for any is the largest allowed shape in its middle', () => {
    const wide = randomBox(
      { width: 3000, height: 60 },
      { ...ranges, scale: { min: 1, max: 1 } },
      new Random(1),
    );
    expect(wide).toEqual({ left: 1460, top: 0, width: 80, height: 60 });
    const high = randomBox(
      { width: 60, height: 3000 },
      { ...ranges, scale: { min: 1, max: 1 } },
      new Random(1),
    );
    expect(high).toEqual({ left: 0, top: 1460, width: 60, height: 80 });
  });

  it('gives the bytes of torchvision', () => {
    for (const { box, size, sampling, data } of fixture.crops) {
      const done = resize(crop(picture('noisy'), box), { width: size, height: size, filter: sampling });
      expect(Buffer.from(done.data), `${size} ${sampling}`).toEqual(Buffer.from(bytesOf(data)));
    }
  });
});

describe('shifting and mirroring', () => {
  it('mirrored twice is the picture', () => {
    const image = numbered(5, 3);
    expect(mirrored(mirrored(image))).toEqual(image);
    expect([...mirrored(image).data.subarray(0, 6)]).toEqual([13, 14, 15, 10, 11, 12]);
  });

  it('moves every pixel, and fills with black', () => {
    fc.assert(
      fc.property(fc.integer({ min: -7, max: 7 }), fc.integer({ min: -7, max: 7 }), (right, down) => {
        const image = numbered(6, 5);
        const moved = shifted(image, right, down);
        for (let y = 0; y < 5; y++)
          for (let x = 0; x < 6; x++) {
            const [fromX, fromY] = [x - right, y - down];
            const inside = fromX >= 0 && fromX < 6 && fromY >= 0 && fromY < 5;
            const expected = inside ? image.data[3 * (fromY * 6 + fromX)]! : 0;
            expect(moved.data[3 * (y * 6 + x)]).toBe(expected);
          }
      }),
    );
  });
});

describe('erasing', () => {
  const size = 48;

  it('replaces a rectangle of the area and shape that are allowed', () => {
    fc.assert(
      fc.property(seed, (seed) => {
        const box = erasedBox(size, new Random(seed));
        if (box === undefined) return;
        expect(box.left + box.width).toBeLessThanOrEqual(size);
        expect(box.top + box.height).toBeLessThanOrEqual(size);
        const area = (box.width * box.height) / size ** 2;
        expect(area).toBeGreaterThan(0.012);
        expect(area).toBeLessThan(0.35);
      }),
    );
  });

  it('leaves the rest, and its noise has mean 0 and deviation 1', () => {
    const noise: number[] = [];
    for (let seed = 0; seed < 40; seed++) {
      const planes = new Float32Array(3 * size * size).fill(7);
      erase(planes, size, new Random(seed));
      const box = erasedBox(size, new Random(seed))!;
      let erased = 0;
      for (let i = 0; i < planes.length; i++) {
        const [y, x] = [Math.floor(i / size) % size, i % size];
        const inside = y >= box.top && y < box.top + box.height && x >= box.left && x < box.left + box.width;
        if (inside) noise.push(planes[i]!);
        if (planes[i] !== 7) erased++;
        expect(inside || planes[i] === 7).toBe(true);
      }
      expect(erased).toBe(3 * box.width * box.height);
    }
    const mean = noise.reduce((sum, value) => sum + value, 0) / noise.length;
    const variance = noise.reduce((sum, value) => sum + (value - mean) ** 2, 0) / noise.length;
    expect(mean).toBeCloseTo(0, 1);
    expect(variance).toBeCloseTo(1, 1);
  });
});

describe('colour jitter', () => {
  it('changes nothing at strength 0, and something else for every seed above', () => {
    const image = picture('noisy');
    expect(colorJitter(image, 0, new Random(3))).toEqual(image);
    const some = [1, 2, 3].map((seed) => colorJitter(image, 0.4, new Random(seed)).data.join());
    expect(new Set(some).size).toBe(3);
  });
});

describe('normalised planes', () => {
  it('are those of torchvision, bit by bit', () => {
    const { mean, std, values } = fixture.normalised;
    const planes = normalised(picture('noisy'), normalisation(mean, std));
    expect([...planes]).toEqual(values);
  });
});

describe('a policy', () => {
  const size = 16;
  const run = (config: ImageAugmentationConfig, image: RgbImage, seed: number) => {
    const planes = new Float32Array(3 * size * size);
    new AugmentationPolicy(config, size).write(image, new Random(seed), planes);
    return planes;
  };

  it.each(['published', 'light', 'none'] as const)(
    '%s: the seed decides, for any size of picture',
    (name) => {
      fc.assert(
        fc.property(seed, fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 60 }), (seed, w, h) => {
          const image = numbered(w, h);
          const planes = run(augmentation(name), image, seed);
          expect(planes).toEqual(run(augmentation(name), image, seed));
          expect(planes.every(Number.isFinite)).toBe(true);
        }),
        { numRuns: 40 },
      );
    },
  );

  it('none is the same for every seed; published is another for every seed', () => {
    const image = numbered(40, 30);
    const different = (name: 'none' | 'published') =>
      new Set([1, 2, 3, 4].map((seed) => run(augmentation(name), image, seed).join())).size;
    expect(different('none')).toBe(1);
    expect(different('published')).toBe(4);
  });

  it('pad-and-crop shows all shifts of a picture of that size, and no others', () => {
    const image = numbered(size, size);
    const config = augmentation('none', { crop: 'pad-and-crop', padding: 1 });
    const policy = new AugmentationPolicy(config, size);
    const seen = new Set(
      Array.from({ length: 300 }, (_, seed) => policy.augmented(image, new Random(seed)).data.join()),
    );
    const shifts = [-1, 0, 1].flatMap((x) => [-1, 0, 1].map((y) => shifted(image, x, y).data.join()));
    expect(seen).toEqual(new Set(shifts));
  });

  it('has colour jitter only without RandAugment', () => {
    const image = numbered(size, size);
    const quiet = augmentation('none', { colorJitter: 0.4 });
    expect(run(quiet, image, 1)).not.toEqual(run(augmentation('none'), image, 1));
    const beside = augmentation('none', { colorJitter: 0.4, randAugment: 'rand-m9-n0-inc1' });
    expect(run(beside, image, 1)).toEqual(run(augmentation('none'), image, 1));
  });
});

describe('the configuration', () => {
  const problems = (value: object) => {
    try {
      parseConfig(imageAugmentationSchema, value, 'augmentation');
    } catch (error) {
      return (error as Error).message;
    }
    return '';
  };

  it('is the published one by default', () => {
    expect(augmentation('published')).toEqual({
      crop: 'random-resized',
      scale: { min: 0.08, max: 1 },
      ratio: { min: 3 / 4, max: 4 / 3 },
      padding: 4,
      interpolation: 'bicubic',
      flip: 0.5,
      randAugment: 'rand-m9-mstd0.5-inc1',
      colorJitter: 0.4,
      erasing: 0.25,
      mixup: 0.8,
      cutmix: 1,
      mixProbability: 1,
      cutmixShare: 0.5,
      smoothing: 0.1,
      mean: [0.485, 0.456, 0.406],
      std: [0.229, 0.224, 0.225],
    });
  });

  it.each([
    [{ scale: { min: 0.5, max: 0.2 } }, /scale: expected min to be at most max, received 0\.5 and 0\.2/],
    [{ scale: { min: 0.5, max: 2 } }, /scale: expected at most 1/],
    [{ scale: { min: 0 } }, /scale\.min: expected a number above 0/],
    [{ randAugment: 'rand-m99' }, /randAugment: expected RandAugment such as rand-m9-mstd0\.5-inc1/],
    [{ mean: [0.5, 0.5] }, /mean: expected three numbers from 0 to 1/],
    [{ std: [1, 0, 1] }, /std: expected three numbers above 0/],
    [{ smoothing: 1 }, /smoothing: expected a number at least 0 and below 1/],
    [{ mixUp: 0.8 }, /unknown key .*mixUp.*, did you mean mixup\?/],
    [
      { crop: 'random-resize' },
      /crop: expected random-resized, pad-and-crop or none.*did you mean random-resized\?/,
    ],
    [{ padding: 1e9 }, /padding: expected a whole number at least 0 and at most 1024/],
  ])('refuses %j', (value, message) => {
    expect(problems(value)).toMatch(message);
  });
});
