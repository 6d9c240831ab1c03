// The fused operators against the composed path: outputs and all gradients, in every instruction set of this processor.
import {
  autocast,
  type Module,
  manualSeed,
  noGrad,
  operator,
  rand,
  randn,
  recordOps,
  scope,
  setFusedOperators,
  type Tensor,
} from '@transformer-ls/torch';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { getNumThreads, setNumThreads } from '../../../torch/src/index.js';
import { gradcheck } from '../../../torch/test/gradcheck.js';
import { BidirectionalAttention } from '../../src/attention/bidirectional.js';
import { attentionFused, poolTokens, windowAttention } from '../../src/attention/fused.js';
import { FullSpatialAttention, LongShortSpatialAttention } from '../../src/attention/spatial.js';

type Dtype = 'float32' | 'float64';
const instructions = operator<(name: string) => string>('tls::instructions');
const widest = instructions('');
const sets = ['avx512', 'avx2', 'portable'].filter((name) => {
  try {
    instructions(name);
    return true;
  } catch {
    return false;
  }
});
instructions(widest);
const threads = getNumThreads();

beforeEach(() => manualSeed(1));
afterEach(() => {
  setFusedOperators(true);
  instructions(widest);
});

/** Output and gradients, of x and of every parameter, as float64. */
function results(module: Module, x: Tensor, run: (x: Tensor) => Tensor, direction: Tensor): Tensor[] {
  module.zeroGrad();
  const input = x.detach();
  input.requiresGrad = true;
  const output = run(input);
  output.mul(direction.to(output.dtype)).sum().backward();
  const gradients = [input, ...module.parameters()].map(({ grad, shape }) => ({ grad, shape }));
  return [output.detach(), ...gradients.map(({ grad }) => grad ?? randn([0]))].map((one) =>
    one.to('float64').clone(),
  );
}

const largest = (x: Tensor): number => (x.numel === 0 ? 0 : (x.abs().max().item() as number));
const apart = (a: Tensor, b: Tensor): number => (a.numel === 0 ? 0 : largest(a.sub(b)));

const rootMeanSquare = (x: Tensor): number =>
  x.numel === 0 ? 0 : Math.sqrt(x.pow(2).mean().item() as number);

/**
 * float64: equal but for rounding. float32: at most twice as far from float64 as the composed path, beside some units in the last
 * place, because gradients that are zero by symmetry are nothing but rounding.
 */
function checkAgainstComposed(
  module: Module,
  inputShape: number[],
  run: (x: Tensor) => Tensor,
  dtypes: readonly Dtype[] = ['float64', 'float32'],
): void {
  module.to({ dtype: 'float64' });
  noGrad(() => {
    for (const parameter of module.parameters()) parameter.normal_(0, 0.5);
  });
  const x = randn(inputShape, { dtype: 'float64' });
  setFusedOperators(false);
  const direction = noGrad(() => randn(run(x).shape, { dtype: 'float64' }));
  const exact = results(module, x, run, direction);
  const scale = Math.max(1, ...exact.map(largest));
  for (const dtype of dtypes) {
    module.to({ dtype });
    setFusedOperators(false);
    const composed = results(module, x.to(dtype), run, direction);
    for (const name of sets) {
      instructions(name);
      setFusedOperators(true);
      const fused = results(module, x.to(dtype), run, direction);
      for (const [i, value] of fused.entries()) {
        expect(value.shape).toEqual(exact[i]!.shape);
        const error = value.sub(exact[i]!);
        const say = `${name} ${dtype} result ${i}`;
        if (dtype === 'float64') expect(largest(error), say).toBeLessThanOrEqual(1e-12 * scale);
        else
          expect(rootMeanSquare(error), say).toBeLessThanOrEqual(
            2 * rootMeanSquare(composed[i]!.sub(exact[i]!)) + 3e-6 * scale,
          );
      }
    }
  }
  module.dispose();
}

/** A norm of few numbers makes rounding large: there only float64 tells anything. */
const dtypesFor = (modelDim: number): readonly Dtype[] =>
  modelDim < 16 ? ['float64'] : ['float64', 'float32'];

const small = { modelDim: 32, heads: 2, projectionRank: 8, convolutionSize: null, attentionDropout: 0 };

const kept = ['keys and values', 'keys', 'nothing'] as const;

describe('bidirectional attention, fused', () => {
  it('is the composed one, for any length, batch, window, rank, mask, class token and convolution', () => {
    const cases = fc.record({
      B: fc.integer({ min: 1, max: 3 }),
      L: fc.integer({ min: 1, max: 70 }),
      heads: fc.integer({ min: 1, max: 3 }),
      headSize: fc.constantFrom(1, 3, 8, 16, 20),
      windowSize: fc.constantFrom(0, 1, 2, 3, 7, 8, 16, 40, 100),
      projectionRank: fc.constantFrom(0, 1, 5, 16, 33),
      convolutionSize: fc.constantFrom(null, 3),
      withClass: fc.boolean(),
      masked: fc.boolean(),
    });
    fc.assert(
      fc.property(cases, ({ B, L, heads, headSize, withClass, masked, ...config }) => {
        scope(() => {
          const modelDim = heads * headSize;
          const needsClass = config.windowSize === 0 && config.projectionRank === 0;
          const attention = new BidirectionalAttention({
            ...config,
            modelDim,
            heads,
            attentionDropout: 0,
            mode: 'consistent',
          });
          const mask = masked ? rand([B, L]).gt(0.4) : null;
          const token = withClass || needsClass ? randn([B, 1, modelDim], { dtype: 'float64' }) : null;
          checkAgainstComposed(
            attention,
            [B, L, modelDim],
            (x) => attention.forward(x, mask, token?.to(x.dtype) ?? null),
            dtypesFor(modelDim),
          );
        });
      }),
      { numRuns: 60 },
    );
  });

  it('is the composed one as one operator, over strips and parts of sequences, whatever it keeps', () => {
    const cases = fc.record({
      B: fc.integer({ min: 1, max: 4 }),
      L: fc.integer({ min: 128, max: 1300 }),
      heads: fc.integer({ min: 1, max: 3 }),
      headSize: fc.constantFrom(1, 5, 8, 16, 20),
      windowSize: fc.constantFrom(1, 2, 7, 8, 60, 300, 700),
      projectionRank: fc.constantFrom(1, 5, 16, 33),
      masked: fc.boolean(),
      keeps: fc.constantFrom(...kept),
    });
    fc.assert(
      fc.property(cases, ({ B, L, heads, headSize, masked, keeps, ...config }) => {
        scope(() => {
          const modelDim = heads * headSize;
          const attention = new BidirectionalAttention({
            ...config,
            modelDim,
            heads,
            convolutionSize: null,
            attentionDropout: 0,
            mode: 'consistent',
          });
          attention.keeps = keeps;
          const mask = masked ? rand([B, L]).gt(0.4) : null;
          const { ops } = recordOps(() => attention.forward(randn([B, L, modelDim]), mask));
          expect(ops.map(({ name }) => name)).toContain('tls::bidirectional_layer');
          const run = (x: Tensor) => attention.forward(x, mask);
          checkAgainstComposed(attention, [B, L, modelDim], run, dtypesFor(modelDim));
        });
      }),
      { numRuns: 12 },
    );
  });

  it('is the composed one in parts, where gradients are not wanted, and where every token is hidden', () => {
    scope(() => {
      const attention = new BidirectionalAttention({ ...small, windowSize: 8, mode: 'consistent' });
      const x = randn([2, 700, 32]);
      for (const mask of [null, rand([2, 700]).lt(0)]) {
        const whole = noGrad(() => attention.forward(x, mask));
        setFusedOperators(false);
        expect(apart(whole, attention.forward(x, mask))).toBeLessThan(1e-5);
        setFusedOperators(true);
      }
    });
  });

  it('gives the same bits with one thread and with two, and with keys kept or computed again', () => {
    scope(() => {
      const attention = new BidirectionalAttention({
        ...small,
        windowSize: 8,
        attentionDropout: 0.2,
        mode: 'consistent',
      });
      const x = randn([1, 5000, 32]);
      const run = (threads: number, keeps: (typeof kept)[number]): Tensor[] => {
        setNumThreads(threads);
        attention.keeps = keeps;
        manualSeed(3);
        return results(attention, x, (input) => attention.forward(input, null), randn(x.shape));
      };
      const one = run(1, 'keys and values');
      for (const other of [run(2, 'keys and values'), run(2, 'keys'), run(2, 'nothing'), run(1, 'nothing')])
        other.forEach((value, i) => {
          expect(apart(value, one[i]!)).toBe(0);
        });
    });
    setNumThreads(threads);
  });

  it('has the gradients that differences tell, dropout included', () => {
    scope(() => {
      const leaf = (...shape: number[]) => rand(shape, { dtype: 'float64', requiresGrad: true });
      const [x, D] = [leaf(2, 9, 6), 6];
      const weights = [leaf(D, D), leaf(D, D), leaf(D, D), leaf(4, D), leaf(D, D)];
      const biases = [leaf(D), leaf(D), leaf(D), leaf(4), leaf(D)];
      const norms = [leaf(D), leaf(D), leaf(D), leaf(D)];
      const layer = operator<(...inputs: unknown[]) => Tensor>('tls::bidirectional_layer');
      for (const keep of [
        [true, true],
        [true, false],
        [false, true],
        [false, false],
      ])
        gradcheck(
          () => layer(x, weights, biases, norms, null, 2, 4, 2, [1e-5, 1e-5], 0.7, 0.3, 5, ...keep),
          [x, ...weights, ...biases, ...norms],
        );
    });
  });

  it('says in one line what does not fit', () => {
    scope(() => {
      const layer = operator<(...inputs: unknown[]) => Tensor>('tls::bidirectional_layer');
      const call = (x: Tensor, heads = 2, logits = 4) => {
        const weights = [4, 4, 4, logits, 4].map((rows) => rand([rows, 4]));
        const biases = [4, 4, 4, logits, 4].map((rows) => rand([rows]));
        const norms = [4, 4, 4, 4].map((size) => rand([size]));
        return layer(x, weights, biases, norms, null, heads, 4, 2, [1e-5, 1e-5], 1, 0, 0, true, true);
      };
      expect(call(rand([1, 5, 4])).shape).toEqual([1, 5, 4]);
      expect(() => call(rand([5, 4]))).toThrow(/expected x \(B, L, D\)/);
      expect(() => call(rand([1, 5, 4]), 3)).toThrow(/heads that divides 4, received 3/);
      expect(() => call(rand([1, 5, 4]), 2, 5)).toThrow(/at least one slot for each of 2 heads/);
      expect(() => call(rand([1, 5, 3]), 1)).toThrow(/expected logits|expected weight \[3, 3\]/);
    });
  });
});

describe('attention on a grid, fused', () => {
  it('is the composed one, for any grid, window, rank and number of global tokens, in both modes', () => {
    const cases = fc.record({
      B: fc.integer({ min: 1, max: 6 }),
      rows: fc.integer({ min: 1, max: 11 }),
      columns: fc.integer({ min: 1, max: 11 }),
      heads: fc.integer({ min: 1, max: 3 }),
      headSize: fc.constantFrom(2, 5, 16, 24),
      windowSize: fc.constantFrom(0, 1, 2, 3, 7, 15),
      projectionRank: fc.constantFrom(0, 1, 8),
      globalTokens: fc.integer({ min: 0, max: 3 }),
      relativeBias: fc.boolean(),
      reference: fc.boolean(),
    });
    fc.assert(
      fc.property(cases, ({ B, rows, columns, heads, headSize, reference, ...config }) => {
        const W = config.windowSize;
        if (W === 0 && config.projectionRank === 0 && config.globalTokens === 0) return;
        scope(() => {
          const side = W === 0 ? rows : W * Math.ceil(rows / 5);
          const grid = reference ? { rows: side, columns: side } : { rows, columns };
          const C = reference ? Math.min(1, config.globalTokens) : config.globalTokens;
          if (W === 0 && config.projectionRank === 0 && C === 0) return;
          const attention = new LongShortSpatialAttention({
            ...config,
            globalTokens: C,
            modelDim: heads * headSize,
            heads,
            scoreScale: null,
            attentionDropout: 0,
            dropout: 0,
            queryKeyValueBiases: true,
            mode: reference ? 'reference' : 'consistent',
          });
          const tokens = C + grid.rows * grid.columns;
          checkAgainstComposed(
            attention,
            [B, tokens, heads * headSize],
            (x) => attention.forward(x, grid),
            dtypesFor(heads * headSize),
          );
        });
      }),
      { numRuns: 40 },
    );
  });

  it('of all tokens to all is the composed one, with and without biases', () => {
    for (const biased of [true, false])
      for (const globalTokens of [0, 2])
        scope(() => {
          const grid = { rows: 9, columns: 8 };
          const attention = new FullSpatialAttention({
            modelDim: 24,
            heads: 3,
            globalTokens,
            biasGrid: biased ? grid : null,
            scoreScale: null,
            queryKeyValueBiases: true,
            attentionDropout: 0,
            dropout: 0,
            mode: 'consistent',
          });
          checkAgainstComposed(attention, [2, globalTokens + 72, 24], (x) => attention.forward(x, grid));
        });
  });
});

describe('the operators', () => {
  const options = { dtype: 'float64', requiresGrad: true } as const;
  const plain = { bias: null, visible: null, dropout: { probability: 0, seed: 0 }, scale: 0.7 };

  it('have the gradients that differences tell, dropout included', () => {
    scope(() => {
      const [query, keys, values] = [0, 1, 2].map(() => randn([1, 6, 2, 3], options)) as [
        Tensor,
        Tensor,
        Tensor,
      ];
      const shared = { keys: randn([1, 2, 2, 3], options), values: randn([1, 2, 2, 3], options) };
      const bias = randn([2, 2, 4], options);
      const all = [query, keys, values, shared.keys, shared.values, bias];
      for (const probability of [0, 0.3])
        gradcheck(
          () =>
            windowAttention({
              ...plain,
              query,
              keys,
              values,
              shared,
              bias,
              grid: [1, 6],
              window: [1, 2],
              reach: [0, 1],
              dropout: { probability, seed: 7 },
            }),
          all,
        );
      const logits = randn([1, 6, 2, 4], options);
      gradcheck(() => poolTokens(logits, keys, values, null).keys, [logits, keys]);
      gradcheck(() => poolTokens(logits, keys, values, null).values, [logits, values]);
    });
  });

  it('drop the share of weights that was asked for, others for another seed, and keep the mean', () => {
    scope(() => {
      const [L, C] = [200, 100];
      // Equal weights and values of one: each result is the share that was kept, times its factor.
      const zero = randn([1, L, 1, 4]).mul(0);
      const shared = { keys: randn([1, C, 1, 4]).mul(0), values: randn([1, C, 1, 4]).mul(0).add(1) };
      const run = (seed: number) =>
        windowAttention({
          ...plain,
          query: zero,
          keys: zero,
          values: zero,
          shared,
          grid: [1, L],
          window: [0, 0],
          reach: [0, 0],
          dropout: { probability: 0.25, seed },
        }).select(3, 0);
      const [first, again, other] = [run(1), run(1), run(2)];
      expect(first.equal(again)).toBe(true);
      expect(first.equal(other)).toBe(false);
      expect(Math.abs((first.mean().item() as number) - 1)).toBeLessThan(0.02);
      // Binomial: sqrt(0.25 / 0.75 / 100) = 0.058 around 1.
      const spread = Math.sqrt(first.sub(1).pow(2).mean().item() as number);
      expect(spread).toBeGreaterThan(0.045);
      expect(spread).toBeLessThan(0.07);
    });
  });

  const layer = () =>
    new BidirectionalAttention({
      modelDim: 48,
      heads: 3,
      windowSize: 8,
      projectionRank: 16,
      convolutionSize: null,
      attentionDropout: 0,
      mode: 'consistent',
    });

  it('give the same bits again, with one thread and with two', () => {
    scope(() => {
      const attention = layer();
      const [x, direction] = [randn([2, 700, 48]), randn([2, 700, 48])];
      const run = (threads: number) => {
        setNumThreads(threads);
        return results(attention, x, (input) => attention.forward(input, null), direction);
      };
      const [one, two, again] = [run(1), run(2), run(2)];
      for (const [i, value] of one.entries()) {
        expect(again[i]!.equal(two[i]!)).toBe(true);
        // The products around the operators may round otherwise on other threads.
        expect(apart(value, two[i]!)).toBeLessThan(1e-3);
      }
      const q = randn([1, 3000, 2, 16]);
      const attend = () =>
        windowAttention({
          ...plain,
          query: q,
          keys: q,
          values: q,
          shared: null,
          grid: [1, 3000],
          window: [1, 8],
          reach: [0, 4],
        });
      setNumThreads(1);
      const alone = attend();
      setNumThreads(2);
      expect(attend().equal(alone)).toBe(true);
      attention.dispose();
    });
  });

  it('take inputs that are not contiguous, and empty batches', () => {
    scope(() => {
      const [B, L, N, H] = [2, 20, 3, 8];
      const across = randn([H, N, L, B]).permute([3, 2, 1, 0]);
      const apartHeads = randn([B, N, L, H]).transpose(1, 2);
      const geometry = { grid: [1, L], window: [1, 4], reach: [0, 2] } as const;
      const run = (x: Tensor, y: Tensor) =>
        windowAttention({ ...plain, query: x, keys: y, values: x, shared: null, ...geometry });
      expect(run(across, apartHeads).equal(run(across.contiguous(), apartHeads.contiguous()))).toBe(true);
      const none = randn([0, L, N, H]);
      expect(run(none, none).shape).toEqual([0, L, N, H]);
      expect(poolTokens(randn([0, L, N, 5]), none, none, null).keys.shape).toEqual([0, 5, N, H]);
    });
  });

  it('say in one line what does not fit', () => {
    scope(() => {
      const x = randn([1, 6, 2, 4]);
      const run = (changes: object) => () =>
        windowAttention({
          ...plain,
          query: x,
          keys: x,
          values: x,
          shared: null,
          grid: [1, 6],
          window: [1, 2],
          reach: [0, 1],
          ...changes,
        });
      expect(run({ keys: randn([1, 5, 2, 4]) })).toThrow(
        /expected key \[1, 6, 2, 4\].*received \[1, 5, 2, 4\]/,
      );
      expect(run({ grid: [2, 6] })).toThrow(/expected a grid of 6 tokens, received \[2, 6\]/);
      expect(run({ window: [0, 0] })).toThrow(/expected a window or shared keys, received neither/);
      expect(run({ bias: randn([2, 2, 3]) })).toThrow(/expected bias \[2, 2, 4\]/);
      expect(run({ dropout: { probability: 1, seed: 0 } })).toThrow(/from 0 to 1, received 1/);
      expect(() => instructions('mmx')).toThrow(/expected one of .*portable, received mmx/);
    });
  });

  it('are for float32 and float64 on the CPU', () => {
    scope(() => {
      expect(attentionFused(randn([1]), 64)).toBe(true);
      expect(attentionFused(randn([1]).to('bfloat16'), 64)).toBe(false);
      expect(autocast('cpu', 'bfloat16', () => attentionFused(randn([1]), 64))).toBe(false);
      setFusedOperators(false);
      expect(attentionFused(randn([1]), 64)).toBe(false);
    });
  });
});
