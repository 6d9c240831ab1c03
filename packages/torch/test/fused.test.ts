// Linear maps, LayerNorm and GELU of our own against libtorch's: outputs and all gradients, in every instruction set of this processor.
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  autocast,
  call,
  countMultiplyAccumulates,
  type DType,
  empty,
  feedForward,
  fusedFor,
  gelu,
  getNumThreads,
  gradients,
  layerNorm,
  linear,
  linearMaps,
  manualSeed,
  noGrad,
  operator,
  rand,
  randn,
  recordOps,
  scope,
  setFusedOperators,
  setNumThreads,
  type Tensor,
} from '../src/index.js';
import { gradcheck } from './gradcheck.js';

const instructions = operator<(name: string) => string>('tls::instructions');
const widest = instructions('');
const sets = ['avx512', 'avx2', 'portable'].filter((name) => {
  try {
    return instructions(name) === name;
  } catch {
    return false;
  }
});
instructions(widest);
const threads = getNumThreads();

beforeEach(() => manualSeed(1));
afterEach(() => {
  setFusedOperators(true);
  setNumThreads(threads);
  instructions(widest);
});

type Function = (inputs: readonly Tensor[]) => readonly Tensor[];

/** Outputs, then gradients of all inputs under given directions, as float64. */
function results(fn: Function, inputs: readonly Tensor[], directions: readonly Tensor[]): Tensor[] {
  const leaves = inputs.map((input) => {
    const leaf = input.detach();
    leaf.requiresGrad = true;
    return leaf;
  });
  const outputs = fn(leaves);
  let total = outputs[0]!.mul(directions[0]!).sum();
  outputs.slice(1).forEach((output, i) => {
    total = total.add(output.mul(directions[i + 1]!).sum());
  });
  total.backward();
  return [...outputs.map((output) => output.detach()), ...leaves.map(({ grad }) => grad!)].map((one) =>
    one.to('float64').clone(),
  );
}

const largest = (x: Tensor): number => (x.numel === 0 ? 0 : (x.abs().max().item() as number));
const rootMeanSquare = (x: Tensor): number =>
  x.numel === 0 ? 0 : Math.sqrt(x.pow(2).mean().item() as number);

/** float64: equal but for rounding. float32: at most twice as far from float64 as libtorch's, beside some units in the last place. */
function checkAgainstLibtorch(
  fn: Function,
  inputs: readonly Tensor[],
  dtypes: readonly DType[] = ['float64', 'float32'],
): void {
  setFusedOperators(false);
  const directions = fn(inputs).map((output) => randn(output.shape, { dtype: 'float64' }));
  const exact = results(fn, inputs, directions);
  const scale = Math.max(1, ...exact.map(largest));
  for (const dtype of dtypes) {
    const [own, along] = [inputs.map((x) => x.to(dtype)), directions.map((x) => x.to(dtype))];
    setFusedOperators(false);
    const composed = results(fn, own, along);
    setFusedOperators(true);
    for (const name of sets) {
      instructions(name);
      for (const [i, value] of results(fn, own, along).entries()) {
        expect(value.shape).toEqual(exact[i]!.shape);
        const error = value.sub(exact[i]!);
        const say = `${name} ${dtype} result ${i}`;
        if (dtype === 'float64') expect(largest(error), say).toBeLessThanOrEqual(1e-12 * scale);
        else
          expect(rootMeanSquare(error), say).toBeLessThanOrEqual(
            2 * rootMeanSquare(composed[i]!.sub(exact[i]!)) + 5e-7 * scale,
          );
      }
    }
  }
}

const double = (...shape: number[]): Tensor => randn(shape, { dtype: 'float64' });
const names = (fn: () => unknown): string[] => recordOps(() => void fn()).ops.map(({ name }) => name);

describe('linear maps of one input', () => {
  it('of no numbers are their biases', () => {
    scope(() =>
      expect(
        linear(rand([200, 0]), rand([3, 0]))
          .toTypedArray()
          .every((x) => x === 0),
      ).toBe(true),
    );
  });

  it('are those of libtorch, for any rows, widths and number of maps, with biases and without', () => {
    const cases = fc.record({
      rows: fc.integer({ min: 128, max: 1300 }),
      inputs: fc.constantFrom(1, 2, 7, 16, 24, 64, 80, 100),
      outputs: fc.array(fc.constantFrom(1, 3, 16, 24, 50, 64, 130), { minLength: 1, maxLength: 3 }),
      biased: fc.boolean(),
    });
    fc.assert(
      fc.property(cases, ({ rows, inputs, outputs, biased }) =>
        scope(() => {
          const x = double(rows, inputs);
          const weights = outputs.map((count) => double(count, inputs));
          const biases = biased ? outputs.map((count) => double(count)) : [];
          checkAgainstLibtorch(
            ([input, ...parameters]) =>
              linearMaps(
                input!,
                parameters.slice(0, outputs.length),
                outputs.map((_, i) => parameters[outputs.length + i] ?? null),
              ),
            [x, ...weights, ...biases],
          );
        }),
      ),
      { numRuns: 40 },
    );
  });

  it('have the gradients that differences show', () => {
    scope(() => {
      const leaves = [double(130, 2), double(3, 2), double(1, 2), double(3), double(1)];
      for (const leaf of leaves) leaf.requiresGrad = true;
      const [x, v, w, b, c] = leaves as [Tensor, Tensor, Tensor, Tensor, Tensor];
      const fn = () => {
        const [one, other] = linearMaps(x, [v, w], [b, c]) as [Tensor, Tensor];
        return one.mul(other).tanh().sum(0);
      };
      expect(names(fn)).toContain('tls::linear_maps');
      gradcheck(fn, leaves);
    });
  });

  it('take rows that lie apart, more dimensions, outputs that nobody uses, and an input without gradient', () => {
    scope(() => {
      const wide = randn([2, 100, 48]);
      const x = wide.narrow(2, 8, 32);
      const [v, w] = [randn([5, 32]), randn([7, 32])];
      for (const leaf of [v, w]) leaf.requiresGrad = true;
      const [, used] = linearMaps(x, [v, w], [null, null]) as [Tensor, Tensor];
      expect(used.shape).toEqual([2, 100, 7]);
      used.sum().backward();
      const expected = x.reshape([-1, 32]).sum(0).expand([7, 32]);
      expect(largest(w.grad!.sub(expected))).toBeLessThan(1e-4);
      expect(v.grad === null || largest(v.grad) === 0).toBe(true);
    });
  });

  it('are the same bits for any number of threads, and again', () => {
    scope(() => {
      const inputs = [randn([3000, 64]), randn([96, 64]), randn([96])];
      const fn: Function = ([x, w, b]) => [linear(x!, w!, b!)];
      const direction = [randn([3000, 96])];
      setNumThreads(1);
      const once = results(fn, inputs, direction);
      for (const count of [1, 2, 3]) {
        setNumThreads(count);
        results(fn, inputs, direction).forEach((value, i) => {
          expect(value.equal(once[i]!)).toBe(true);
        });
      }
    });
  });

  it('leave to libtorch what it does as well: few rows, large weights, other types, autocast', () => {
    scope(() => {
      const fused = (x: Tensor, w: Tensor) => names(() => linear(x, w)).includes('tls::linear_maps');
      expect(fused(randn([128, 8]), randn([8, 8]))).toBe(true);
      expect(fused(randn([127, 8]), randn([8, 8]))).toBe(false);
      expect(fused(randn([256, 2048]), randn([2048, 2048]))).toBe(false);
      expect(fused(randn([256, 8]).to('bfloat16'), randn([8, 8]).to('bfloat16'))).toBe(false);
      expect(autocast('cpu', 'bfloat16', () => fused(randn([256, 8]), randn([8, 8])))).toBe(false);
      setFusedOperators(false);
      expect(fused(randn([128, 8]), randn([8, 8]))).toBe(false);
      expect(fusedFor(randn([1]))).toBe(false);
    });
  });

  it('say what was expected and what came', () => {
    scope(() => {
      const maps = (...inputs: unknown[]) => call('tls::linear_maps', ...(inputs as never[]));
      expect(() => maps(randn([4, 3]), [randn([2, 5])], [])).toThrow(/weights \(O, 3\).*received \[2, 5\]/);
      expect(() => maps(randn([4, 3]), [], [])).toThrow(/received 0 and 0/);
      expect(() => maps(randn([4, 3]), [randn([2, 3])], [randn([2]), randn([2])])).toThrow(
        /received 1 and 2/,
      );
      expect(() => maps(randn([4, 3]), [randn([2, 3])], [randn([3])])).toThrow(/expected bias \[2\]/);
      expect(
        call('tls::linear_maps', empty([0, 3]), [randn([2, 3])], []) as unknown as Tensor[],
      ).toHaveLength(1);
    });
  });
});

describe('feed-forward without gradients', () => {
  const sizes = fc.record({
    rows: fc.integer({ min: 128, max: 700 }),
    inputs: fc.constantFrom(1, 5, 16, 40, 64),
    inner: fc.constantFrom(1, 17, 64, 256, 300, 600),
    outputs: fc.constantFrom(1, 7, 32, 70),
    biased: fc.boolean(),
  });

  it('is that of plain operators, for any sizes', () => {
    fc.assert(
      fc.property(sizes, ({ rows, inputs, inner, outputs, biased }) =>
        scope(() => {
          const x = double(2, rows, inputs);
          const first = { weight: double(inner, inputs), bias: biased ? double(inner) : null };
          const second = { weight: double(outputs, inner), bias: biased ? double(outputs) : null };
          const run = () => noGrad(() => feedForward(x, first, second, 0.5, false));
          setFusedOperators(false);
          const expected = run();
          setFusedOperators(true);
          for (const name of sets) {
            instructions(name);
            const { ops, result } = recordOps(run);
            expect(ops.map((op) => op.name)).toEqual(['tls::available', 'tls::feed_forward']);
            expect(countMultiplyAccumulates(ops)).toBe(2 * rows * inner * (inputs + outputs));
            expect(largest(result.sub(expected))).toBeLessThan(1e-11);
          }
        }),
      ),
      { numRuns: 30 },
    );
  });

  it('is composed where gradients or dropout are wanted, and the operator refuses gradients', () => {
    scope(() => {
      const x = randn([200, 8]);
      const [first, second] = [
        { weight: randn([16, 8]), bias: null },
        { weight: randn([8, 16]), bias: null },
      ];
      const used = (fn: () => Tensor) => names(fn).includes('tls::feed_forward');
      expect(used(() => feedForward(x, first, second, 0.5, true))).toBe(false);
      expect(used(() => noGrad(() => feedForward(x, first, second, 0.5, true)))).toBe(false);
      expect(used(() => noGrad(() => feedForward(x, first, second, 0, true)))).toBe(true);
      x.requiresGrad = true;
      expect(() => call('tls::feed_forward', x, first.weight, null, second.weight, null)).toThrow(
        /expected no gradients/,
      );
    });
  });
});

describe('LayerNorm', () => {
  it("is libtorch's, for any rows and width, with weight and bias and without", () => {
    const cases = fc.record({
      rows: fc.integer({ min: 1, max: 1200 }),
      width: fc.constantFrom(1, 2, 5, 16, 17, 48, 64, 100, 257),
      weighted: fc.boolean(),
    });
    fc.assert(
      fc.property(cases, ({ rows, width, weighted }) =>
        scope(() => {
          const inputs = [
            double(rows, width).mul(3).add(2),
            ...(weighted ? [double(width), double(width)] : []),
          ];
          checkAgainstLibtorch(
            // A norm of few numbers, which may be nearly equal, makes rounding as large as epsilon is small.
            ([x, weight, bias]) => [
              layerNorm(x!, [width], weight ?? null, bias ?? null, width < 16 ? 1e-2 : 1e-5),
            ],
            inputs,
            width < 16 ? ['float64'] : undefined,
          );
        }),
      ),
      { numRuns: 40 },
    );
  });

  it('takes rows that lie apart as they are', () => {
    scope(() => {
      const x = randn([4, 50, 60]).narrow(2, 20, 20);
      const fused = layerNorm(x, [20]);
      setFusedOperators(false);
      expect(largest(fused.sub(layerNorm(x, [20])))).toBeLessThan(2e-6);
    });
  });

  it('keeps float32 exact where the mean is large beside the deviation', () => {
    scope(() => {
      const x = randn([64, 96]).add(1000);
      const exact = layerNorm(x.to('float64'), [96]);
      expect(largest(layerNorm(x, [96]).to('float64').sub(exact))).toBeLessThan(2e-3);
    });
  });
});

describe('GELU', () => {
  it("is libtorch's, for any number of numbers", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 40000 }), (count) =>
        scope(() => checkAgainstLibtorch(([x]) => [gelu(x!)], [double(count).mul(3)])),
      ),
      { numRuns: 12 },
    );
  });

  it('keeps its digits where it is very small', () => {
    scope(() => {
      const x = rand([4000], { dtype: 'float64' }).mul(-12);
      const exact = gelu(x);
      const error = gelu(x.to('float32'))
        .to('float64')
        .sub(gelu(x.to('float32').to('float64')))
        .div(exact);
      expect(largest(error)).toBeLessThan(5e-6);
    });
  });

  it('is 0, itself or NaN at the ends', () => {
    scope(() => {
      const ends = randn([3]);
      ends.select(0, 0).fill_(Number.NEGATIVE_INFINITY);
      ends.select(0, 1).fill_(Number.POSITIVE_INFINITY);
      ends.select(0, 2).fill_(Number.NaN);
      const [low, high, none] = gelu(ends).toTypedArray();
      setFusedOperators(false);
      const [libtorchLow] = gelu(ends).toTypedArray();
      expect(low).toEqual(libtorchLow);
      expect(high).toBe(Number.POSITIVE_INFINITY);
      expect(none).toBeNaN();
    });
  });
});

describe('gradients of gradients', () => {
  const heads = () => rand([1, 6, 2, 4]);
  const cases: Record<string, (x: Tensor) => Tensor> = {
    linear_maps: (x) => linear(x, rand([3, 4])),
    layer_norm: (x) => layerNorm(x, [4]),
    gelu,
    window_attention: (x) => {
      const tokens = x.narrow(0, 0, 12).view([1, 6, 2, 4]);
      const args = [tokens, heads(), heads(), null, null, null, null, [1, 6], [1, 2], [0, 1], 1, 0, 0];
      return call('tls::window_attention', ...args) as Tensor;
    },
    causal_attention: (x) => {
      const tokens = x.narrow(0, 0, 12).view([1, 6, 2, 4]);
      const args = [
        tokens,
        heads(),
        heads(),
        null,
        null,
        null,
        null,
        null,
        null,
        4,
        [4, 0, 0, 0, 0],
        1,
        0,
        0,
      ];
      return call('tls::causal_attention', ...args) as Tensor;
    },
    pool_tokens: (x) => {
      const tokens = x.narrow(0, 0, 12).view([1, 6, 2, 4]);
      return (call('tls::pool_tokens', tokens, heads(), heads(), null) as Tensor[])[0]!;
    },
  };

  it.each(Object.entries(cases))('are refused by %s, not taken for constants', (name, fn) => {
    scope(() => {
      const x = rand([128, 4]);
      x.requiresGrad = true;
      const result = fn(x).pow(2).sum();
      expect(() => gradients([result], [x], { createGraph: true })).toThrow(
        new RegExp(`${name}: expected no gradient of its gradient`),
      );
    });
  });

  it('come from the composed operators', () => {
    setFusedOperators(false);
    scope(() => {
      const x = rand([128, 4]);
      x.requiresGrad = true;
      const [first] = gradients([gelu(layerNorm(x, [4])).sum()], [x], { createGraph: true });
      const [second] = gradients([first!.pow(2).sum()], [x]);
      expect(largest(second!)).toBeGreaterThan(0);
    });
  });
});
