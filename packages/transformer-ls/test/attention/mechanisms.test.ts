// What every mechanism behind the common interface promises: padding counts for nothing, nothing breaks, gradients are right.
import { attentionNames } from '@transformer-ls/formats';
import { noGrad, randn, scope, type Tensor, tensor, zeros } from '@transformer-ls/torch';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gradcheck } from '../../../torch/test/gradcheck.js';
import { segmentWeights } from '../../src/attention/nystromformer.js';
import type { SequenceAttention } from '../../src/attention/sequence-attention.js';
import { smallAttention } from './small-mechanisms.js';

const normal = (...shape: number[]) => randn(shape, { dtype: 'float64' });
const maskOf = (rows: readonly (readonly boolean[])[]) => tensor(rows.map((row) => [...row]));
const upTo = (length: number, of: number) => Array.from({ length: of }, (_, t) => t < length);

describe.each(attentionNames)('%s attention', (name) => {
  it('gives each row of a padded batch what it gives the row alone, whatever the lengths', () => {
    const attention = smallAttention(name, { modelDim: 8, maxLength: 32 });
    const lengths = fc.array(fc.integer({ min: 1, max: 27 }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(lengths, fc.integer({ min: 0, max: 5 }), (rows, extra) => {
        scope(() =>
          noGrad(() => {
            const L = Math.max(...rows) + extra;
            const x = normal(rows.length, L, 8);
            const together = attention.forward(x, maskOf(rows.map((length) => upTo(length, L))));
            for (const [row, length] of rows.entries()) {
              const alone = attention.forward(x.narrow(0, row, 1).narrow(1, 0, length), null);
              const found = together.narrow(0, row, 1).narrow(1, 0, length);
              expect(largestDifference(found, alone), `${length} of ${L} tokens`).toBeLessThan(1e-9);
            }
          }),
        );
      }),
      { numRuns: 25 },
    );
    attention.dispose();
  });

  it('does not depend on what stands at padding, wherever it is', () => {
    const attention = smallAttention(name, { modelDim: 8, maxLength: 32 });
    const masks = fc
      .array(fc.boolean(), { minLength: 2, maxLength: 27 })
      .filter((mask) => mask.includes(true));
    fc.assert(
      fc.property(masks, (real) => {
        scope(() =>
          noGrad(() => {
            const x = normal(1, real.length, 8);
            const mask = maskOf([real]);
            const hidden = mask.logicalNot().unsqueeze(-1);
            const [before, after] = [x, x.maskedFill(hidden, 7)].map((input) =>
              attention.forward(input, mask).maskedFill(hidden, 0),
            ) as [Tensor, Tensor];
            expect(largestDifference(before, after)).toBeLessThan(1e-9);
          }),
        );
      }),
      { numRuns: 25 },
    );
    attention.dispose();
  });

  it.each(['float64', 'float32', 'bfloat16'] as const)(
    'stays finite, forward and backward, where rows or whole blocks are padding, in %s',
    (dtype) => {
      const attention = smallAttention(name, { modelDim: 8, maxLength: 32 }).to({ dtype });
      scope(() => {
        const x = normal(4, 20, 8).to(dtype);
        x.requiresGrad = true;
        const mask = maskOf([upTo(20, 20), upTo(1, 20), upTo(0, 20), upTo(9, 20).reverse()]);
        const y = attention.forward(x, mask);
        expect(allFinite(y)).toBe(true);
        y.square().sum().backward();
        expect(allFinite(x.grad as Tensor)).toBe(true);
        for (const { grad } of attention.parameters()) if (grad !== null) expect(allFinite(grad)).toBe(true);
      });
      attention.dispose();
    },
  );

  it('gives padding no gradient from the results of tokens', () => {
    const attention = smallAttention(name, { modelDim: 8, maxLength: 32 });
    scope(() => {
      const x = normal(2, 13, 8);
      x.requiresGrad = true;
      const mask = maskOf([upTo(7, 13), [...upTo(0, 3), ...upTo(6, 10)]]);
      const real = mask.unsqueeze(-1);
      attention.forward(x, mask).maskedFill(real.logicalNot(), 0).square().sum().backward();
      const gradient = x.grad as Tensor;
      expect(gradient.maskedFill(real, 0).abs().max().item()).toBe(0);
      expect(gradient.abs().max().item()).toBeGreaterThan(0);
    });
    attention.dispose();
  });

  const masks: [title: string, mask: boolean[][] | null, length: number][] = [
    ['without a mask', null, 8],
    ['with padding behind', [upTo(7, 9)], 9],
    [
      'with padding anywhere, in a batch',
      [
        [true, false, true, true, false, true, true],
        [false, false, true, true, true, true, false],
      ],
      7,
    ],
  ];
  it.each(masks)('has right gradients for the input and every parameter %s', (_, rows, length) => {
    const attention = smallAttention(name, { modelDim: 4, maxLength: 16 });
    expectRightGradients(attention, rows, length);
    attention.dispose();
  });
});

it('nystromformer attention has right gradients in reference mode too', () => {
  const attention = smallAttention('nystromformer', { modelDim: 4, maxLength: 16, mode: 'reference' });
  expectRightGradients(attention, [upTo(8, 8), upTo(6, 8)], 8);
  attention.dispose();
});

it.each(['float32', 'bfloat16'] as const)(
  'nystromformer attention puts each token in one of segments of like size, in %s',
  (dtype) => {
    scope(() => {
      const x = zeros([2, 1, 1000, 4], { dtype });
      const inSegment = segmentWeights(x, maskOf([upTo(990, 1000)]).logicalNot(), 64).ne(0); // (1, 64, 1000)
      const perToken = inSegment.sum(1).narrow(1, 0, 990);
      expect(perToken.eq(1).all().item()).toBe(1);
      const sizes = inSegment.sum(2);
      expect([sizes.amin([0, 1]).item(), sizes.amax([0, 1]).item()]).toEqual([15, 16]);
    });
  },
);

function expectRightGradients(
  attention: SequenceAttention,
  rows: readonly (readonly boolean[])[] | null,
  length: number,
): void {
  scope(() => {
    const x = normal(rows?.length ?? 1, length, 4);
    x.requiresGrad = true;
    const mask = rows === null ? null : maskOf(rows);
    const tokens = (y: Tensor) => (mask === null ? y : y.maskedFill(mask.logicalNot().unsqueeze(-1), 0));
    const used = attention.parameters().filter((parameter) => parameter.numel > 0);
    gradcheck(() => tokens(attention.forward(x, mask)), [x, ...used]);
  });
}

function largestDifference(a: Tensor, b: Tensor): number {
  return a.sub(b).abs().max().item();
}

function allFinite(x: Tensor): boolean {
  return x.isfinite().all().item() === 1;
}
