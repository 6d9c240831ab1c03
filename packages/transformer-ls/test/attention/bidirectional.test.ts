import { manualSeed, noGrad, randn, scope, type Tensor, tensor } from '@transformer-ls/torch';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { gradcheck } from '../../../torch/test/gradcheck.js';
import {
  BidirectionalAttention,
  type BidirectionalAttentionConfig,
} from '../../src/attention/bidirectional.js';
import { rowsOf, slowBidirectionalAttention } from './slow-bidirectional.js';

const small: BidirectionalAttentionConfig = {
  modelDim: 4,
  heads: 2,
  windowSize: 3,
  projectionRank: 2,
  convolutionSize: null,
  attentionDropout: 0,
  mode: 'consistent',
};

/** Weights larger than at the start, so that a wrong mask shows. */
function attentionFor(config: BidirectionalAttentionConfig): BidirectionalAttention {
  const attention = new BidirectionalAttention(config).to({ dtype: 'float64' });
  noGrad(() => {
    for (const parameter of attention.parameters()) parameter.normal_(0, 1);
  });
  return attention;
}

const normal = (...shape: number[]) => randn(shape, { dtype: 'float64' });
const maskOf = (rows: readonly (readonly boolean[])[]) => tensor(rows.map((row) => [...row]));

beforeEach(() => manualSeed(1));

describe('bidirectional long-short attention', () => {
  it('is what the specification says, query by query, for any length, window, rank, mask and class token', () => {
    const cases = fc.record({
      length: fc.integer({ min: 1, max: 20 }),
      windowSize: fc.integer({ min: 0, max: 9 }),
      projectionRank: fc.integer({ min: 0, max: 3 }),
      withClass: fc.boolean(),
      hidden: fc.array(fc.nat(19), { maxLength: 12 }),
    });
    fc.assert(
      fc.property(cases, ({ length, withClass, hidden, ...sizes }) => {
        scope(() => {
          const attention = attentionFor({ ...small, ...sizes });
          const real = Array.from({ length }, (_, t) => !hidden.includes(t));
          if (!real.includes(true)) real[0] = true;
          const x = normal(1, length, 4);
          const token = withClass ? normal(1, 1, 4) : null;
          const found = noGrad(() => attention.forward(x, maskOf([real]), token)).squeeze(0);
          const expected = slowBidirectionalAttention(
            attention,
            rowsOf(x.squeeze(0)),
            real,
            token === null ? null : rowsOf(token.squeeze(0))[0]!,
          );
          expect(largestDifference(found, tensor(expected, { dtype: 'float64' }))).toBeLessThan(1e-10);
          attention.dispose();
        });
      }),
      { numRuns: 80 },
    );
  });

  it.each([0, 2])(
    'has right gradients for inputs, class token and every parameter, rank %i',
    (projectionRank) => {
      scope(() => {
        const attention = attentionFor({ ...small, projectionRank, convolutionSize: 3 });
        const x = normal(2, 7, 4);
        const token = normal(2, 1, 4);
        for (const input of [x, token]) input.requiresGrad = true;
        const mask = maskOf([
          [true, true, true, true, true, true, true],
          [true, false, true, true, true, false, false],
        ]);
        gradcheck(() => attention.forward(x, mask, token), [x, token, ...attention.parameters()]);
        attention.dispose();
      });
    },
  );

  it('gives finite numbers and gradients for a row of padding only, and zeros before the last projection', () => {
    for (const sizes of [{}, { projectionRank: 0 }, { windowSize: 0 }, { convolutionSize: 3 }])
      scope(() => {
        const attention = attentionFor({ ...small, ...sizes });
        const x = normal(2, 6, 4);
        x.requiresGrad = true;
        const mask = maskOf([Array(6).fill(true), Array(6).fill(false)]);
        const y = attention.forward(x, mask);
        y.square().sum().backward();
        const bias = attention.W_o.bias as Tensor;
        expect(y.select(0, 1).allclose(bias.expand([6, 4]))).toBe(true);
        for (const gradient of [x.grad, ...attention.parameters().map(({ grad }) => grad)])
          if (gradient !== null) expect(gradient.isfinite().all().item()).toBe(1);
        attention.dispose();
      });
  });

  it('refuses lengths in reference mode that the published code cannot cut', () => {
    const attention = attentionFor({ ...small, mode: 'reference' });
    expect(() => attention.forward(normal(1, 7, 4), null)).toThrow(
      'expected a length that is a multiple of the window size 3, received 7',
    );
    attention.dispose();
  });

  it('refuses a convolution that would change the length', () => {
    expect(() => new BidirectionalAttention({ ...small, convolutionSize: 4 })).toThrow(
      'expected an odd convolution size, which keeps the length, received 4',
    );
  });
});

function largestDifference(a: Tensor, b: Tensor): number {
  return a.sub(b).abs().max().item();
}
