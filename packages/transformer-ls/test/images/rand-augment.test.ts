import { parseRandAugment } from '@transformer-ls/formats';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/data/random.js';
import {
  randAugment,
  randAugmentNames,
  randAugmentOperations,
} from '../../src/images/augment/rand-augment.js';
import type { WarpLook } from '../../src/images/augment/warp.js';
import { bytesOf, fixture, picture } from './fixtures/augmentation.js';

type Picture = ReturnType<typeof picture>;
type Apply = (image: Picture, amount: number, look: WarpLook) => Picture;
type Amount = (part: number, sign: 1 | -1) => number;

describe('operations', () => {
  it.each(randAugmentNames)('%s gives the bytes of Pillow', (name) => {
    const cases = fixture.operations.filter((one) => one.name === name);
    expect(cases.length).toBeGreaterThan(0);
    const apply: Apply = randAugmentOperations[name].apply;
    for (const { amount, picture: shown, sampling, data } of cases) {
      const done = apply(picture(shown), amount, { sampling, fill: fixture.fill });
      expect(Buffer.from(done.data), `${name} ${amount} of ${shown}, ${sampling}`).toEqual(
        Buffer.from(bytesOf(data)),
      );
    }
  });

  it.each(randAugmentNames)('%s takes the numbers of timm at every strength', (name) => {
    const amount: Amount = randAugmentOperations[name].amount;
    for (const { strength, amounts } of fixture.amounts.filter((one) => one.name === name))
      expect([amount(strength / 10, -1), amount(strength / 10, 1)]).toEqual(amounts);
  });

  it('leave the picture they are given as it is', () => {
    const [image, copy] = [picture('noisy'), picture('noisy')];
    for (const name of randAugmentNames) {
      const { amount, apply }: { amount: Amount; apply: Apply } = randAugmentOperations[name];
      apply(image, amount(0.9, 1), { sampling: 'bicubic', fill: fixture.fill });
      expect(image, name).toEqual(copy);
    }
  });

  it('posterize to no bits at all is black, where Pillow 13 gives up', () => {
    expect(randAugmentOperations.PosterizeIncreasing.amount(1)).toBe(0);
    const black = randAugmentOperations.PosterizeIncreasing.apply(picture('noisy'), 0);
    expect(black.data.every((value) => value === 0)).toBe(true);
  });
});

describe('the notation', () => {
  it('of the published training', () => {
    expect(parseRandAugment('rand-m9-mstd0.5-inc1')).toEqual({
      magnitude: 9,
      magnitudeStd: 0.5,
      operations: 2,
      probability: 0.5,
    });
    expect(parseRandAugment('rand-inc1-p0.25-n3')).toEqual({
      magnitude: 10,
      magnitudeStd: 0,
      operations: 3,
      probability: 0.25,
    });
  });

  it.each([
    '',
    'rand',
    'rand-m9',
    'rand-m9-inc0',
    'rand-m11-inc1',
    'rand-m9-m8-inc1',
    'rand-m9.5-inc1',
    'rand-n99-inc1',
    'rand-p2-inc1',
    'augmix-m9-inc1',
    'rand-m9-inc1-tweights',
    'rand--inc1',
  ])('refuses %j', (text) => {
    expect(parseRandAugment(text)).toBeUndefined();
  });
});

describe('a picture', () => {
  const look = { interpolation: 'random', fill: fixture.fill } as const;
  const settings = parseRandAugment('rand-m9-mstd0.5-inc1')!;

  it('depends on its seed alone, and keeps its size', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e9 }), (seed) => {
        const once = randAugment(picture('noisy'), settings, look, new Random(seed));
        const again = randAugment(picture('noisy'), settings, look, new Random(seed));
        expect(once).toEqual(again);
        expect(once).toMatchObject({ width: 13, height: 11 });
        expect(once.data.length).toBe(3 * 13 * 11);
      }),
      { numRuns: 50 },
    );
  });

  it('stays as it is where no operation is applied, about every fourth time', () => {
    const image = picture('noisy');
    const unchanged = Array.from({ length: 2000 }, (_, seed) =>
      randAugment(image, settings, look, new Random(seed)),
    ).filter((done) => done === image).length;
    expect(unchanged).toBeGreaterThan(430);
    expect(unchanged).toBeLessThan(570);
  });
});
