import { linear, manualSeed, noGrad, randn, scope, type Tensor, tensor } from '@transformer-ls/torch';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { gradcheck } from '../../../torch/test/gradcheck.js';
import {
  FullConvolutionalAttention,
  type FullConvolutionalConfig,
  LongShortConvolutionalAttention,
  type LongShortConvolutionalConfig,
} from '../../src/attention/convolutional.js';
import type { Grid } from '../../src/attention/grid-windows.js';
import { dot, mix, softmax } from './plain-numbers.js';
import { slowProjection } from './slow-convolution.js';
import { slowGridAttention } from './slow-grid.js';

const projections = {
  modelDim: 4,
  heads: 2,
  globalTokens: 1,
  projectionKernel: 3,
  scoreScale: null,
  queryKeyValueBiases: true,
  attentionDropout: 0,
  dropout: 0,
};

const small: LongShortConvolutionalConfig = {
  ...projections,
  windowSize: 2,
  projectionRank: 2,
  relativeBias: false,
  normEpsilon: 1e-5,
  mode: 'consistent',
};

/** Weights and statistics larger than at the start, so that a wrong place, mask or scale shows. */
function filled<A extends LongShortConvolutionalAttention | FullConvolutionalAttention>(attention: A): A {
  attention.to({ dtype: 'float64' });
  noGrad(() => {
    for (const parameter of attention.parameters()) parameter.normal_(0, 1);
    for (const [name, buffer] of attention.namedBuffers()) {
      if (name.endsWith('running_mean')) buffer.normal_(0, 1);
      if (name.endsWith('running_var')) buffer.uniform_(0.5, 2);
    }
  });
  return attention;
}

const longShort = (changes: Partial<LongShortConvolutionalConfig> = {}) =>
  filled(new LongShortConvolutionalAttention({ ...small, ...changes }));
const full = (changes: Partial<FullConvolutionalConfig> = {}) =>
  filled(new FullConvolutionalAttention({ ...projections, keyValueStride: 2, ...changes }));

const normal = (...shape: number[]) => randn(shape, { dtype: 'float64' });
const largestDifference = (a: Tensor, b: Tensor) => a.sub(b).abs().max().item();

type Attention = LongShortConvolutionalAttention | FullConvolutionalAttention;

/** Queries, keys and values of x (C + T, D) by the slow form. */
function slowProjections(attention: Attention, x: Tensor, grid: Grid, keyValueStride: number) {
  const weights = listsOf(attention);
  const { globalTokens } = attention.config;
  const kernel = (weights('conv_proj_q.conv.weight') as number[][][][])[0]![0]!.length;
  const common = { x: x.tolist() as number[][], globalTokens, grid, kernel, weights };
  return (['q', 'k', 'v'] as const).map((letter) =>
    slowProjection({
      ...common,
      letter,
      stride: letter === 'q' ? 1 : keyValueStride,
      training: attention.training,
    }),
  ) as [number[][], number[][], number[][]];
}

function listsOf(attention: Attention): (name: string) => unknown {
  const lists = new Map([...attention.stateDict()].map(([name, value]) => [name, value.tolist()]));
  return (name) => lists.get(name);
}

function projected(attention: Attention, rows: number[][]): Tensor {
  const state = attention.stateDict();
  return linear(tensor(rows, { dtype: 'float64' }), state.get('proj.weight')!, state.get('proj.bias')!);
}

function expectedLongShort(attention: LongShortConvolutionalAttention, x: Tensor, grid: Grid): Tensor {
  const [query, key, value] = slowProjections(attention, x, grid, 1);
  const { config } = attention;
  const input = x.tolist() as number[][];
  const weights = listsOf(attention);
  return projected(attention, slowGridAttention({ config, grid, query, key, value, input, weights }));
}

function expectedFull(attention: FullConvolutionalAttention, x: Tensor, grid: Grid): Tensor {
  const { heads: N, modelDim: D, scoreScale, keyValueStride } = attention.config;
  const H = D / N;
  const [query, key, value] = slowProjections(attention, x, grid, keyValueStride);
  const head = (row: number[], n: number) => row.slice(n * H, (n + 1) * H);
  const rows = query.map((one) =>
    Array.from({ length: N }, (_, n) => {
      const scores = key.map((other) => dot(head(one, n), head(other, n)) * (scoreScale ?? H ** -0.5));
      return mix(
        softmax(scores),
        value.map((other) => head(other, n)),
      );
    }).flat(),
  );
  return projected(attention, rows);
}

const grids = {
  rows: fc.integer({ min: 1, max: 6 }),
  columns: fc.integer({ min: 1, max: 6 }),
  globalTokens: fc.integer({ min: 0, max: 2 }),
  projectionKernel: fc.constantFrom(1, 3, 5),
  training: fc.boolean(),
};

/** Batch normalisation of a single value has no variance. */
const trainable = ({ rows, columns, training }: Grid & { training: boolean }, stride = 1) =>
  !training || Math.ceil(rows / stride) * Math.ceil(columns / stride) > 1;

beforeEach(() => manualSeed(1));

describe('long-short attention on convolutional projections', () => {
  it('is what the specification says, query by query, for any grid, window, rank, kernel and class tokens', () => {
    const cases = fc
      .record({
        ...grids,
        windowSize: fc.integer({ min: 0, max: 4 }),
        projectionRank: fc.integer({ min: 0, max: 3 }),
      })
      .filter(
        ({ windowSize, projectionRank, globalTokens }) => windowSize + projectionRank + globalTokens > 0,
      )
      .filter((one) => trainable(one));
    fc.assert(
      fc.property(cases, ({ rows, columns, training, ...changes }) => {
        scope(() => {
          const attention = longShort(changes).train(training);
          const x = normal(changes.globalTokens + rows * columns, 4);
          const expected = expectedLongShort(attention, x, { rows, columns });
          const found = noGrad(() => attention.forward(x.unsqueeze(0), { rows, columns })).squeeze(0);
          expect(largestDifference(found, expected)).toBeLessThan(1e-8);
          attention.dispose();
        });
      }),
      { numRuns: 60 },
    );
  });

  it.each([
    ['evaluation, a ragged grid', {}, { rows: 3, columns: 2 }, false],
    ['training, a ragged grid', {}, { rows: 3, columns: 2 }, true],
    ['training, two class tokens', { globalTokens: 2 }, { rows: 2, columns: 2 }, true],
    [
      'training, no class token, no window',
      { globalTokens: 0, windowSize: 0 },
      { rows: 2, columns: 3 },
      true,
    ],
  ])('has right gradients for the input and every parameter: %s', (_, changes, grid, training) => {
    scope(() => {
      const attention = longShort(changes).train(training);
      const x = normal(1, attention.config.globalTokens + grid.rows * grid.columns, 4);
      x.requiresGrad = true;
      gradcheck(() => attention.forward(x, grid), [x, ...attention.parameters()]);
      attention.dispose();
    });
  });

  it('gives each image of a batch what it gives it alone, in evaluation', () => {
    scope(() => {
      const attention = longShort().eval();
      const grid = { rows: 5, columns: 3 };
      const x = normal(3, 16, 4);
      const together = noGrad(() => attention.forward(x, grid)).select(0, 1);
      const alone = noGrad(() => attention.forward(x.narrow(0, 1, 1), grid)).squeeze(0);
      expect(largestDifference(together, alone)).toBeLessThan(1e-12);
      attention.dispose();
    });
  });

  it('refuses tokens that are no grid', () => {
    scope(() => {
      const attention = longShort();
      expect(() => attention.forward(normal(1, 8, 4), { rows: 2, columns: 3 })).toThrow(
        'expected 1 + 2 * 3 tokens (global ones first), received 8',
      );
      attention.dispose();
    });
  });
});

describe("CvT's own attention", () => {
  it('is every query over every key of the smaller grid', () => {
    const cases = fc
      .record({
        ...grids,
        keyValueStride: fc.integer({ min: 1, max: 3 }),
        scoreScale: fc.constantFrom(null, 0.5),
      })
      .filter((one) => trainable(one, one.keyValueStride));
    fc.assert(
      fc.property(cases, ({ rows, columns, training, ...changes }) => {
        scope(() => {
          const attention = full(changes).train(training);
          const x = normal(changes.globalTokens + rows * columns, 4);
          const expected = expectedFull(attention, x, { rows, columns });
          const found = noGrad(() => attention.forward(x.unsqueeze(0), { rows, columns })).squeeze(0);
          expect(largestDifference(found, expected)).toBeLessThan(1e-8);
          attention.dispose();
        });
      }),
      { numRuns: 40 },
    );
  });

  it('has right gradients and shows weights that sum to 1', () => {
    scope(() => {
      const attention = full();
      const [x, grid] = [normal(1, 10, 4), { rows: 3, columns: 3 }];
      x.requiresGrad = true;
      gradcheck(() => attention.forward(x, grid), [x, ...attention.parameters()]);
      let shape: readonly number[] = [];
      attention.observer = (weights) => {
        shape = weights.shape;
        expect(largestDifference(weights.sum(-1), weights.sum(-1).mul(0).add(1))).toBeLessThan(1e-12);
      };
      noGrad(() => attention.forward(x, grid));
      expect(shape).toEqual([1, 2, 1 + 9, 1 + 4]);
      attention.dispose();
    });
  });
});
