import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/data/random.js';
import { beta, fillNormal, normal } from '../../src/images/augment/distributions.js';
import {
  cutBox,
  drawMixing,
  type Mixing,
  mixPictures,
  writeTargets,
} from '../../src/images/augment/mixing.js';
import { fixture } from './fixtures/augmentation.js';

/** Gives out numbers that were chosen before. */
class Given extends Random {
  constructor(private readonly numbers: number[]) {
    super(0);
  }

  override below(): number {
    return this.numbers.shift()!;
  }
}

const published = { mixup: 0.8, cutmix: 1, mixProbability: 1, cutmixShare: 0.5 };

describe('batches', () => {
  const { size, labels, classes, pixels, cases } = fixture.mixedBatches;

  it.each(cases)("$kind of $share gives the numbers of timm's", (one) => {
    const { kind, share, box } = one;
    const mixing: Mixing =
      kind === 'none' ? { kind } : kind === 'mixup' ? { kind, share } : { kind, share, box: box! };
    const mixed = Float32Array.from(pixels);
    mixPictures(mixed, mixing, size);
    expect([...mixed]).toEqual(one.pixels);
    const targets = new Float32Array(labels.length * classes);
    writeTargets(targets, Int32Array.from(labels), { share, smoothing: 0.1 });
    expect([...targets]).toEqual(one.targets);
  });

  it('of an odd number leave the one in the middle as it is', () => {
    const mixed = Float32Array.from({ length: 9 }, (_, i) => i);
    mixPictures(mixed, { kind: 'mixup', share: 0.25 }, 1);
    expect([...mixed]).toEqual([4.5, 5.5, 6.5, 3, 4, 5, 1.5, 2.5, 3.5]);
  });

  it('targets add up to 1', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 9 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 0.9, noNaN: true }),
        (labels, share, smoothing) => {
          const targets = new Float32Array(10 * labels.length);
          writeTargets(targets, Int32Array.from(labels), { share, smoothing });
          for (let row = 0; row < labels.length; row++) {
            const sum = targets.subarray(10 * row, 10 * (row + 1)).reduce((a, b) => a + b, 0);
            expect(sum).toBeCloseTo(1, 5);
          }
        },
      ),
    );
  });
});

describe('cutmix', () => {
  it("cuts timm's boxes", () => {
    for (const { size, share, centre, box } of fixture.cutBoxes)
      expect(cutBox(share, size, new Given([...centre])), `${size} ${share} ${centre}`).toEqual(box);
  });

  it('has the share of what is left of the picture itself', () => {
    for (let seed = 0; seed < 200; seed++) {
      const mixing = drawMixing({ ...published, mixup: 0 }, 20, new Random(seed));
      if (mixing.kind !== 'cutmix') throw new Error('expected cutmix');
      const pixels = new Float32Array(2 * 3 * 20 * 20).fill(1, 3 * 20 * 20);
      mixPictures(pixels, mixing, 20);
      const foreign = pixels.subarray(0, 400).reduce((sum, value) => sum + value, 0) / 400;
      expect(mixing.share).toBeCloseTo(1 - foreign, 6);
    }
  });
});

describe('which way a batch is mixed', () => {
  const kinds = (settings: typeof published) => {
    const drawn = Array.from({ length: 2000 }, (_, seed) => drawMixing(settings, 8, new Random(seed)).kind);
    return (kind: string) => drawn.filter((one) => one === kind).length / drawn.length;
  };

  it('follows the probabilities', () => {
    const both = kinds({ ...published, mixProbability: 0.5, cutmixShare: 0.25 });
    expect(both('none')).toBeCloseTo(0.5, 1);
    expect(both('cutmix')).toBeCloseTo(0.125, 1);
    expect(both('mixup')).toBeCloseTo(0.375, 1);
  });

  it('is the only one there is, or none', () => {
    expect(kinds({ ...published, cutmix: 0 })('mixup')).toBe(1);
    expect(kinds({ ...published, mixup: 0 })('cutmix')).toBe(1);
    expect(kinds({ ...published, mixup: 0, cutmix: 0 })('none')).toBe(1);
  });
});

describe('distributions', () => {
  const COUNT = 40_000;
  const sorted = (draw: (random: Random) => number) => {
    const random = new Random(11);
    return Array.from({ length: COUNT }, () => draw(random)).sort((a, b) => a - b);
  };
  /** Largest distance between the shares of numbers up to x and their probability (Kolmogorov). */
  const distance = (values: number[], probability: (x: number) => number) =>
    values.reduce((most, x, i) => Math.max(most, Math.abs((i + 0.5) / COUNT - probability(x))), 0);
  // A distance of more than this comes up once in 10,000 times.
  const FAR = 2.23 / Math.sqrt(COUNT);

  it('beta, where its probabilities are known', () => {
    expect(
      distance(
        sorted((random) => beta(1, 1, random)),
        (x) => x,
      ),
    ).toBeLessThan(FAR);
    const arcsine = (x: number) => (2 / Math.PI) * Math.asin(Math.sqrt(x));
    expect(
      distance(
        sorted((random) => beta(0.5, 0.5, random)),
        arcsine,
      ),
    ).toBeLessThan(FAR);
    const middle = (x: number) => x * x * (3 - 2 * x);
    expect(
      distance(
        sorted((random) => beta(2, 2, random)),
        middle,
      ),
    ).toBeLessThan(FAR);
    expect(
      distance(
        sorted((random) => beta(3, 1, random)),
        (x) => x ** 3,
      ),
    ).toBeLessThan(FAR);
  });

  it.each([0.8, 0.2, 0.01, 1, 5])('beta(%d, %d) has its mean and variance', (alpha) => {
    const values = sorted((random) => beta(alpha, alpha, random));
    const mean = values.reduce((sum, x) => sum + x, 0) / COUNT;
    const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / COUNT;
    expect(mean).toBeCloseTo(0.5, 1);
    expect(variance).toBeCloseTo(1 / (4 * (2 * alpha + 1)), 2);
    expect(values[0]).toBeGreaterThanOrEqual(0);
    expect(values.at(-1)).toBeLessThanOrEqual(1);
  });

  it('normal', () => {
    // Abramowitz and Stegun 7.1.26, good to 1.5e-7.
    const probability = (x: number) => {
      const t = 1 / (1 + (0.3275911 * Math.abs(x)) / Math.SQRT2);
      const terms = [0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429];
      const tail = terms.reduceRight((sum, term) => (sum + term) * t, 0) * Math.exp((-x * x) / 2);
      return x < 0 ? tail / 2 : 1 - tail / 2;
    };
    expect(distance(sorted(normal), probability)).toBeLessThan(FAR);
    const filled = new Float32Array(COUNT);
    fillNormal(filled, new Random(5));
    expect(
      distance(
        [...filled].sort((a, b) => a - b),
        probability,
      ),
    ).toBeLessThan(FAR);
  });
});
