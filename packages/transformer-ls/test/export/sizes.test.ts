import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addSizes,
  type DynamicSize,
  type FreeSizes,
  type Sample,
  type Size,
  sameSize,
  sizeAt,
  sizeFrom,
  sizeText,
} from '../../src/export/sizes.js';

const MULTIPLES = [4, 5];

/** Every remainder of a length beside every other of the second one, more than once. */
const samples: readonly Sample[] = Array.from({ length: 40 }, (_, i) => ({
  B: 1 + ((i * 7) % 5),
  L: 1 + i,
  M: 1 + ((i * 13) % 41),
}));
const free: FreeSizes = { samples, multiples: MULTIPLES };
const fresh: readonly Sample[] = Array.from({ length: 60 }, (_, i) => ({
  B: 1 + (i % 7),
  L: 41 + i,
  M: 50 + ((i * 17) % 61),
}));

const lengths = fc.record({
  name: fc.constantFrom('L', 'M'),
  plus: fc.constantFrom(-1, 0, 1),
  multipleOf: fc.constantFrom(1, ...MULTIPLES),
});
const batch = { name: 'B', plus: 0, multipleOf: 1 };
/** A size with a number added counts only where it is rounded: else the number is a constant's business. */
const length = lengths.map((one) => (one.multipleOf === 1 ? { ...one, plus: 0 } : one));
const products = fc.oneof(
  fc.constant([batch]),
  length.map((one) => [one]),
  length.map((one) => [batch, one]),
);
const term = fc.record({
  factor: fc.integer({ min: -9, max: 9 }).filter((factor) => factor !== 0),
  product: products,
});
/** Everything of the sought form: whole, as a divisor is one of all its parts. */
const sizes = fc
  .record({
    constant: fc.integer({ min: -50, max: 50 }),
    terms: fc.array(term, { minLength: 1, maxLength: 2 }),
  })
  .map((size): DynamicSize => ({ ...size, divisor: 1 }));

const at = (size: Size, all: readonly Sample[]) => all.map((sample) => sizeAt(size, sample));

describe('sizeFrom', () => {
  it('finds every size of the sought form, for sizes that it has not seen too', () => {
    fc.assert(
      fc.property(sizes, (size) => {
        const found = sizeFrom(at(size, samples), free);
        expect(found).not.toBeNull();
        expect(at(found!, fresh)).toEqual(at(size, fresh));
      }),
      { numRuns: 60 },
    );
  });

  it('finds how many windows a length has', () => {
    const rounded = fc.tuple(length, fc.boolean()).filter(([{ multipleOf }]) => multipleOf > 1);
    fc.assert(
      fc.property(rounded, fc.integer({ min: -9, max: 9 }), ([one, isBatch], constant) => {
        const windows: DynamicSize = {
          constant: constant * one.multipleOf,
          terms: [{ factor: 1, product: isBatch ? [batch, one] : [one] }],
          divisor: one.multipleOf,
        };
        const found = sizeFrom(at(windows, samples), free);
        expect(found).toEqual(windows);
      }),
    );
  });

  it('agrees with every run it is made from, whatever the values are', () => {
    const runs = fc.array(fc.record({ B: fc.nat({ max: 9 }), L: fc.nat({ max: 99 }) }), {
      minLength: 1,
      maxLength: 6,
    });
    fc.assert(
      fc.property(runs, fc.array(fc.nat({ max: 99 }), { minLength: 6, maxLength: 6 }), (all, numbers) => {
        const values = numbers.slice(0, all.length);
        const found = sizeFrom(values, { samples: all, multiples: [3] });
        if (found !== null) expect(at(found, all)).toEqual(values);
      }),
      { numRuns: 300 },
    );
  });

  it('takes no size of what one run contradicts', () => {
    fc.assert(
      fc.property(
        fc.oneof(sizes, fc.integer({ min: -9, max: 9 })),
        fc.nat({ max: samples.length - 1 }),
        fc.integer({ min: 1, max: 20 }),
        (size, wrong, by) => {
          const values = at(size, samples).map((value, i) => (i === wrong ? value + by : value));
          expect(sizeFrom(values, free)).toBeNull();
        },
      ),
      { numRuns: 30 },
    );
  });

  it('takes none of another form', () => {
    const values = samples.map(({ L }) => L! * L!);
    expect(sizeFrom(values, free)).toBeNull();
  });

  it('gives the number itself where all runs agree', () => {
    expect(sizeFrom([7, 7, 7], { samples: [{ B: 1 }, { B: 2 }, { B: 3 }], multiples: [] })).toBe(7);
  });

  it('takes the simplest', () => {
    const found = (of: (sample: Sample) => number) => sizeText(sizeFrom(samples.map(of), free)!);
    expect(found(({ B }) => B!)).toBe('B');
    expect(found(({ L }) => L! - 1)).toBe('L + -1');
    expect(found(({ B, L }) => 2 * B! * L!)).toBe('2*B*L');
    expect(found(({ L }) => Math.ceil(L! / 4) * 4 - L!)).toBe('-1*L + ceil(L/4)*4');
    expect(found(({ L }) => Math.ceil((L! + 1) / 5))).toBe('(ceil((L + 1)/5)*5)/5');
    expect(found(({ B, M }) => B! * Math.ceil(M! / 4))).toBe('(B*ceil(M/4)*4)/4');
  });
});

describe('sizeAt', () => {
  it('refuses what is not whole', () => {
    const half: DynamicSize = { constant: 0, terms: [{ factor: 1, product: [batch] }], divisor: 2 };
    expect(sizeAt(half, { B: 6 })).toBe(3);
    expect(() => sizeAt(half, { B: 3 })).toThrow('(B)/2 is not whole at {"B":3}');
  });
});

describe('sizeText', () => {
  it('can be computed: it says what the size is', () => {
    fc.assert(
      fc.property(sizes, fc.constantFrom(...samples), (size, { B, L, M }) => {
        const value = new Function('ceil', 'B', 'L', 'M', `return ${sizeText(size)}`);
        expect(value(Math.ceil, B, L, M)).toBe(sizeAt(size, { B: B!, L: L!, M: M! }));
      }),
    );
  });
});

describe('addSizes', () => {
  const any = fc.oneof(sizes, fc.integer({ min: -50, max: 50 }));

  it('is the sum at every size', () => {
    fc.assert(
      fc.property(any, any, fc.integer({ min: -3, max: 3 }), (a, b, factor) => {
        const sum = addSizes(a, b, factor);
        for (const sample of fresh.slice(0, 9))
          expect(sizeAt(sum, sample)).toBe(sizeAt(a, sample) + factor * sizeAt(b, sample));
      }),
    );
  });

  it('brings parts to one divisor', () => {
    const part = (divisor: number): DynamicSize => ({
      constant: 0,
      terms: [{ factor: 1, product: [batch] }],
      divisor,
    });
    expect(sizeText(addSizes(part(2), part(3)))).toBe('(5*B)/6');
    expect(sizeText(addSizes(part(2), part(2)))).toBe('B');
    expect(addSizes(part(2), part(2), -1)).toBe(0);
  });
});

describe('sameSize', () => {
  it('does not depend on how a size is written', () => {
    fc.assert(
      fc.property(sizes, sizes, (a, b) => {
        const turned: DynamicSize = { ...a, terms: a.terms.toReversed() };
        const grown: DynamicSize = {
          constant: 3 * a.constant,
          terms: a.terms.map((one) => ({ ...one, factor: 3 * one.factor })),
          divisor: 3,
        };
        expect(sameSize(a, turned)).toBe(true);
        expect(sameSize(a, grown)).toBe(true);
        expect(sameSize(a, addSizes(a, 1))).toBe(false);
        if (sameSize(a, b)) expect(at(a, fresh)).toEqual(at(b, fresh));
      }),
    );
  });
});
