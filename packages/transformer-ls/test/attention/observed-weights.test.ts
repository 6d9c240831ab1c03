import { cat, manualSeed, noGrad, randn, scope, type Tensor, tensor } from '@transformer-ls/torch';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { BidirectionalAttention } from '../../src/attention/bidirectional.js';
import { FullAttention } from '../../src/attention/full.js';
import { mergeHeads, splitHeads } from '../../src/attention/heads.js';
import { LinearAttention } from '../../src/attention/linear.js';
import { LinformerAttention } from '../../src/attention/linformer.js';
import { LocalAttention } from '../../src/attention/local.js';
import {
  isObservable,
  type ObservableAttention,
  type ObservedWeights,
} from '../../src/attention/observed-weights.js';
import { tileKeys, tileQueries, untileQueries } from '../../src/attention/windows.js';

const D = 4;
const N = 2;
const normal = (...shape: number[]) => randn(shape, { dtype: 'float64' });
const shared = { modelDim: D, heads: N, attentionDropout: 0 };

/** Weights larger than at the start, so that no softmax is nearly even. */
function started<A extends ObservableAttention>(attention: A): A {
  attention.to({ dtype: 'float64' });
  noGrad(() => {
    for (const parameter of attention.parameters()) parameter.normal_(0, 1);
  });
  return attention;
}

/** Runs the attention and, while the observed weights live, what is to be checked of them. */
function observing(
  attention: ObservableAttention,
  x: Tensor,
  mask: Tensor,
  classToken: Tensor | null,
  check: (weights: ObservedWeights) => Tensor,
): { expected: Tensor; found: Tensor } {
  let expected: Tensor | undefined;
  attention.observer = (weights) => {
    expected = check(weights);
  };
  const found = noGrad(() => attention.forward(x, mask, classToken));
  attention.observer = null;
  return { expected: expected!, found };
}

function largestDifference(a: Tensor, b: Tensor): number {
  return a.sub(b).abs().max().item();
}

/** Sums of the rows of tokens over all they see, and whether anything hidden has weight. */
function checkRows({ window, compressed }: ObservedWeights, real: readonly boolean[]): void {
  const L = real.length;
  const parts = [
    ...(compressed === null ? [] : [compressed.sum(-1)]),
    ...(window === null
      ? []
      : [untileQueries(window.weights.sum(-1, true), window.tiling).squeeze(-1).narrow(2, 0, L)]),
  ];
  const sums = parts.reduce((a, b) => a.add(b)); // (N, 1, L)
  for (const [t, isReal] of real.entries())
    if (isReal)
      for (let n = 0; n < N; n++) expect(sums.tolist()).toHaveProperty([n, 0, t], expect.closeTo(1, 10));
  if (window === null) return;
  const { tile } = window.tiling;
  const reach = (window.tiling.window - 1) / 2;
  const weights = window.weights.tolist() as number[][][][][];
  for (const [g, segment] of weights[0]![0]!.entries())
    for (const [s, row] of segment.entries())
      for (const [j, weight] of row.entries()) {
        const key = g * tile - reach + j;
        // A row of hidden keys alone is even; only rows of real tokens have a meaning.
        if (real[g * tile + s] && !real[key]) expect(weight).toBe(0);
      }
}

beforeEach(() => manualSeed(1));

describe('observed weights of long-short attention', () => {
  it('sum to 1, are 0 at padding, and times the values are the output', () => {
    const cases = fc.record({
      length: fc.integer({ min: 1, max: 18 }),
      windowSize: fc.integer({ min: 0, max: 7 }),
      projectionRank: fc.integer({ min: 0, max: 3 }),
      withClass: fc.boolean(),
      hidden: fc.array(fc.nat(17), { maxLength: 10 }),
    });
    fc.assert(
      fc.property(cases, ({ length, withClass, hidden, ...sizes }) => {
        scope(() => {
          const attention = started(
            new BidirectionalAttention({ ...shared, ...sizes, convolutionSize: null, mode: 'consistent' }),
          );
          const real = Array.from({ length }, (_, t) => !hidden.includes(t));
          if (!real.includes(true)) real[0] = true;
          const mask = tensor([real]);
          const x = normal(1, length, D);
          const classToken = withClass ? normal(1, 1, D) : null;
          const { expected, found } = observing(attention, x, mask, classToken, (weights) => {
            checkRows(weights, real);
            checkProjection(weights.projection, real);
            return noGrad(() => rebuilt(attention, weights, x, mask, classToken));
          });
          expect(largestDifference(found, expected)).toBeLessThan(1e-10);
          attention.dispose();
        });
      }),
      { numRuns: 60 },
    );
  });

  it('change nothing by being looked at, and are not computed when nobody looks', () => {
    scope(() => {
      const attention = started(
        new BidirectionalAttention({
          ...shared,
          windowSize: 3,
          projectionRank: 2,
          convolutionSize: 3,
          mode: 'consistent',
        }),
      );
      const [x, mask] = [normal(1, 8, D), tensor([Array(8).fill(true)])];
      const alone = noGrad(() => attention.forward(x, mask));
      let calls = 0;
      const { found } = observing(attention, x, mask, null, ({ window }) => {
        calls += 1;
        return window!.weights;
      });
      noGrad(() => attention.forward(x, mask));
      // Weights are looked at where they exist, in the composed path, which rounds otherwise.
      expect(found.sub(alone).abs().max().item()).toBeLessThan(1e-12);
      expect(calls).toBe(1);
      attention.dispose();
    });
  });
});

function checkProjection(projection: Tensor | null, real: readonly boolean[]): void {
  if (projection === null) return;
  for (const head of projection.tolist() as number[][][][])
    for (const slot of head[0]!) {
      expect(slot.reduce((a, b) => a + b)).toBeCloseTo(1, 10);
      for (const [t, weight] of slot.entries()) if (!real[t]) expect(weight).toBe(0);
    }
}

/** The output from the observed weights, the module's projections and norms alone. */
function rebuilt(
  attention: BidirectionalAttention,
  { window, compressed, projection, classToken }: ObservedWeights,
  x: Tensor,
  mask: Tensor,
  token: Tensor | null,
): Tensor {
  const values = attention.dual_ln_l.forward(attention.W_v.forward(x));
  const own = token === null ? null : attention.W_v.forward(token);
  const pooled = projection === null ? [] : [mergeHeads(projection.matmul(splitHeads(values, N)))];
  const slots = [...(own === null ? [] : [own]), ...pooled];
  let tokens: Tensor | undefined;
  if (compressed !== null)
    tokens = compressed.matmul(splitHeads(attention.dual_ln_s.forward(cat(slots, 1)), N));
  if (window !== null) {
    const reach = (window.tiling.window - 1) / 2;
    const around = tileKeys(values.pad([0, 0, reach, reach]), N, window.tiling);
    const taken = untileQueries(window.weights.matmul(around), window.tiling);
    tokens = tokens === undefined ? taken : tokens.add(taken);
  }
  const results = tokens!.maskedFill(mask.logicalNot().unsqueeze(-1), 0);
  if (classToken === null || own === null) return attention.W_o.forward(mergeHeads(results));
  const seen = cat([splitHeads(own, N), results], 2); // (N, 1, 1+L, H)
  return attention.W_o.forward(mergeHeads(cat([classToken.matmul(seen), results], 2)));
}

describe('observed weights of compared mechanisms', () => {
  const real = [true, true, false, true, true, true, true, false, false];
  const L = real.length;

  it.each([
    ['full', () => new FullAttention(shared)],
    ['local', () => new LocalAttention({ ...shared, windowSize: 4 })],
    ['linformer', () => new LinformerAttention({ ...shared, projectionRank: 3, maxLength: 12 })],
  ] as const)('times the values are the output of %s attention', (name, create) => {
    scope(() => {
      const attention = started(create() as ObservableAttention & FullAttention);
      const [x, mask] = [normal(1, L, D), tensor([real])];
      const { expected, found } = observing(attention, x, mask, null, (weights) => {
        checkRows(weights, real);
        const { window, compressed, projection } = weights;
        const values = splitHeads(attention.W_v.forward(x), N);
        if (compressed !== null && projection !== null) {
          const visible = values.maskedFill(mask.logicalNot().unsqueeze(-1), 0);
          return mergeHeads(compressed.matmul(projection.matmul(visible)));
        }
        const { weights: shares, tiling } = window!;
        return mergeHeads(untileQueries(shares.matmul(tileQueries(values, tiling)), tiling));
      });
      const difference = noGrad(() => attention.ff.forward(expected))
        .sub(found)
        .mul(mask.unsqueeze(-1));
      expect(difference.abs().max().item(), name).toBeLessThan(1e-10);
      attention.dispose();
    });
  });

  it('do not exist where the mechanism has none', () => {
    const attention = new LinearAttention(shared);
    expect(isObservable(attention)).toBe(false);
    attention.dispose();
  });
});
