import { linear, manualSeed, noGrad, randn, scope, type Tensor, tensor } from '@transformer-ls/torch';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { gradcheck } from '../../../torch/test/gradcheck.js';
import type { ObservedGridWeights } from '../../src/attention/grid-attention.js';
import type { Grid } from '../../src/attention/grid-windows.js';
import { gridBiasIndex, windowBiasIndex } from '../../src/attention/relative-bias.js';
import {
  FullSpatialAttention,
  LongShortSpatialAttention,
  type SpatialAttentionConfig,
} from '../../src/attention/spatial.js';
import { slowGridAttention } from './slow-grid.js';

const small: SpatialAttentionConfig = {
  modelDim: 4,
  heads: 2,
  windowSize: 2,
  projectionRank: 2,
  globalTokens: 1,
  relativeBias: true,
  scoreScale: null,
  queryKeyValueBiases: true,
  attentionDropout: 0,
  dropout: 0,
  mode: 'consistent',
};

/** Weights larger than at the start, so that a wrong mask or bias shows. */
function attentionFor(changes: Partial<SpatialAttentionConfig>): LongShortSpatialAttention {
  const attention = new LongShortSpatialAttention({ ...small, ...changes }).to({ dtype: 'float64' });
  noGrad(() => {
    for (const parameter of attention.parameters()) parameter.normal_(0, 1);
  });
  return attention;
}

const normal = (...shape: number[]) => randn(shape, { dtype: 'float64' });
const rowsOf = (x: Tensor) => x.tolist() as number[][];

/** The specification's loop on the attention's own weights: x (C + T, D) → (C + T, D). */
function expectedOf(attention: LongShortSpatialAttention, x: Tensor, grid: Grid): Tensor {
  const state = attention.stateDict();
  const of = (name: string) => state.get(name)!;
  const D = attention.config.modelDim;
  const parts = linear(x, of('qkv.weight'), state.get('qkv.bias') ?? null);
  const [query, key, value] = [0, 1, 2].map((i) => rowsOf(parts.narrow(1, i * D, D)));
  const result = slowGridAttention({
    config: attention.config,
    grid,
    query: query!,
    key: key!,
    value: value!,
    input: rowsOf(x),
    weights: (name) => of(name).tolist(),
  });
  return linear(tensor(result, { dtype: 'float64' }), of('proj.weight'), of('proj.bias'));
}

const largestDifference = (a: Tensor, b: Tensor) => a.sub(b).abs().max().item();

beforeEach(() => manualSeed(1));

describe('long-short attention on a grid', () => {
  it('is what the specification says, query by query, for any height, width, window, rank and global tokens', () => {
    const cases = fc
      .record({
        rows: fc.integer({ min: 1, max: 7 }),
        columns: fc.integer({ min: 1, max: 7 }),
        windowSize: fc.integer({ min: 0, max: 5 }),
        projectionRank: fc.integer({ min: 0, max: 3 }),
        globalTokens: fc.integer({ min: 0, max: 3 }),
        relativeBias: fc.boolean(),
      })
      .filter(
        ({ windowSize, projectionRank, globalTokens }) => windowSize + projectionRank + globalTokens > 0,
      );
    fc.assert(
      fc.property(cases, ({ rows, columns, ...changes }) => {
        scope(() => {
          const attention = attentionFor(changes);
          const x = normal(changes.globalTokens + rows * columns, 4);
          const found = noGrad(() => attention.forward(x.unsqueeze(0), { rows, columns })).squeeze(0);
          const expected = noGrad(() => expectedOf(attention, x, { rows, columns }));
          expect(largestDifference(found, expected)).toBeLessThan(1e-9);
          attention.dispose();
        });
      }),
      { numRuns: 80 },
    );
  });

  it('is what the specification says in reference mode, with entries that displacements share', () => {
    for (const [side, windowSize, globalTokens] of [
      [6, 3, 1],
      [4, 1, 1],
      [4, 2, 0],
      [5, 0, 1],
    ] as const)
      scope(() => {
        const attention = attentionFor({ mode: 'reference', windowSize, globalTokens });
        const x = normal(globalTokens + side * side, 4);
        const grid = { rows: side, columns: side };
        const found = noGrad(() => attention.forward(x.unsqueeze(0), grid)).squeeze(0);
        expect(
          largestDifference(
            found,
            noGrad(() => expectedOf(attention, x, grid)),
          ),
        ).toBeLessThan(1e-9);
        attention.dispose();
      });
  });

  it.each([
    ['a ragged grid', {}, { rows: 3, columns: 2 }],
    ['two global tokens', { globalTokens: 2 }, { rows: 2, columns: 2 }],
    ['no window', { windowSize: 0 }, { rows: 2, columns: 3 }],
    ['no projection', { projectionRank: 0, globalTokens: 0 }, { rows: 2, columns: 3 }],
  ])('has right gradients for the input and every parameter: %s', (_, changes, grid) => {
    scope(() => {
      const attention = attentionFor(changes);
      const x = normal(1, attention.config.globalTokens + grid.rows * grid.columns, 4);
      x.requiresGrad = true;
      gradcheck(() => attention.forward(x, grid), [x, ...attention.parameters()]);
      attention.dispose();
    });
  });

  it('gives each image of a batch what it gives it alone', () => {
    scope(() => {
      const attention = attentionFor({});
      const grid = { rows: 5, columns: 3 };
      const x = normal(3, 16, 4);
      const together = noGrad(() => attention.forward(x, grid));
      const alone = noGrad(() => attention.forward(x.narrow(0, 1, 1), grid)).squeeze(0);
      expect(largestDifference(together.select(0, 1), alone)).toBeLessThan(1e-12);
      attention.dispose();
    });
  });

  it('shows weights that sum to 1 and are 0 off the grid', () => {
    scope(() => {
      const attention = attentionFor({ globalTokens: 2 });
      const grid = { rows: 3, columns: 5 };
      let calls = 0;
      attention.observer = ({ window, shared, projection, global }: ObservedGridWeights) => {
        calls += 1;
        const sums = window!.weights.sum(-1).add(shared!.sum(-1));
        expect(largestDifference(sums, sums.mul(0).add(1))).toBeLessThan(1e-12);
        expect(projection!.shape).toEqual([1, 2, 2, 15]);
        expect(largestDifference(projection!.sum(-1), projection!.sum(-1).mul(0).add(1))).toBeLessThan(1e-12);
        const all = global!.toGlobal.sum(-1).add(global!.toTokens.sum(-1));
        expect(largestDifference(all, all.mul(0).add(1))).toBeLessThan(1e-12);
        // The first segment: the square around it begins one row and column off the grid.
        const first = window!.weights.select(2, 0).reshape([1, 2, 4, 4, 4]);
        expect(first.select(3, 0).abs().max().item()).toBe(0);
        expect(first.select(4, 0).abs().max().item()).toBe(0);
        expect(first.select(3, 1).select(3, 1).min().item()).toBeGreaterThan(0);
      };
      noGrad(() => attention.forward(normal(1, 17, 4), grid));
      expect(calls).toBe(1);
      attention.dispose();
    });
  });

  it.each<[string, Partial<SpatialAttentionConfig>, Grid, number, string]>([
    [
      'tokens that are no grid',
      {},
      { rows: 2, columns: 3 },
      8,
      'expected 1 + 2 * 3 tokens (global ones first), received 8',
    ],
    [
      'a grid of broken windows in reference mode',
      { mode: 'reference' },
      { rows: 3, columns: 3 },
      10,
      'expected a square grid of whole windows of 2 in reference mode, received 3 x 3',
    ],
    [
      'a grid that is not square in reference mode',
      { mode: 'reference' },
      { rows: 2, columns: 4 },
      9,
      'expected a square grid of whole windows of 2 in reference mode, received 2 x 4',
    ],
    [
      'two global tokens in reference mode',
      { mode: 'reference', globalTokens: 2 },
      { rows: 2, columns: 2 },
      6,
      'expected at most 1 global token in reference mode, received 2',
    ],
  ])('refuses %s', (_, changes, grid, tokens, message) => {
    scope(() => {
      const attention = attentionFor(changes);
      expect(() => attention.forward(normal(1, tokens, 4), grid)).toThrow(message);
      attention.dispose();
    });
  });
});

describe('biases of a window', () => {
  it.each([
    [7, 253, 169],
    [8, 375, 256],
    [1, 1, 1],
  ])('as published for a window of %i: %i entries for %i keys', (window, entries, keys) => {
    scope(() => {
      const found = windowBiasIndex(window, 'reference');
      expect(found.entries).toBe(entries);
      expect(found.index.shape).toEqual([window ** 2, keys]);
      expect(found.index.max().item()).toBeLessThan(entries);
    });
  });

  it.each([1, 2, 3, 7])('one entry for each displacement in consistent mode, window %i', (window) => {
    scope(() => {
      const { index, entries } = windowBiasIndex(window, 'consistent');
      const used = new Set((index.tolist() as number[][]).flat());
      expect(used.size).toBe(entries);
      const reach = Math.max(1, Math.floor(window / 2));
      expect(entries).toBe((2 * (window + reach) - 1) ** 2);
    });
  });

  it('one entry for each displacement of a grid, which need not be square', () => {
    scope(() => {
      const { index, entries } = gridBiasIndex({ rows: 2, columns: 3 });
      expect(entries).toBe(15);
      const rows = index.tolist() as number[][];
      expect(new Set(rows.flat()).size).toBe(15);
      expect(rows[0]![0]).toBe(rows[5]![5]); // every token and itself
      expect(rows[0]![1]).toBe(rows[3]![4]); // one column to the left
      expect(rows[0]![1]).not.toBe(rows[0]![3]);
    });
  });
});

describe('full attention on a grid', () => {
  const config = {
    modelDim: 4,
    heads: 2,
    globalTokens: 2,
    biasGrid: { rows: 2, columns: 3 },
    scoreScale: null,
    queryKeyValueBiases: true,
    attentionDropout: 0,
    dropout: 0,
    mode: 'consistent',
  } as const;

  function fullAttention(changes: Partial<ConstructorParameters<typeof FullSpatialAttention>[0]> = {}) {
    const attention = new FullSpatialAttention({ ...config, ...changes }).to({ dtype: 'float64' });
    noGrad(() => {
      for (const parameter of attention.parameters()) parameter.normal_(0, 1);
    });
    return attention;
  }

  it('has right gradients for the input and every parameter', () => {
    scope(() => {
      const attention = fullAttention();
      const x = normal(1, 8, 4);
      x.requiresGrad = true;
      gradcheck(() => attention.forward(x, config.biasGrid), [x, ...attention.parameters()]);
      attention.dispose();
    });
  });

  it('adds to each score the bias of its displacement, or of its global token', () => {
    scope(() => {
      const [attention, plain] = [fullAttention(), fullAttention({ biasGrid: null })];
      const state = attention.stateDict();
      plain.loadStateDict(new Map([...plain.stateDict().keys()].map((name) => [name, state.get(name)!])));
      const weights: number[][][][] = [];
      for (const one of [attention, plain])
        one.observer = (found) => void weights.push((found.log().tolist() as number[][][][])[0]!);
      const x = normal(1, 8, 4);
      noGrad(() => [attention, plain].map((one) => one.forward(x, config.biasGrid)));
      const [biased, bare] = weights as [number[][][], number[][][]];
      // Log weights differ by the biases, and by a constant of the row.
      const difference = (n: number, query: number, a: number, b: number) =>
        biased[n]![query]![a]! - bare[n]![query]![a]! - (biased[n]![query]![b]! - bare[n]![query]![b]!);
      const table = state.get('local_relative_position_bias_table')!.tolist() as number[][];
      const local = state.get('g2l_relative_position_bias')!.tolist() as number[][][];
      const global = state.get('g2g_relative_position_bias')!.tolist() as number[][][];
      const entry = (query: number, key: number) =>
        (Math.floor(query / 3) - Math.floor(key / 3) + 1) * 5 + (query % 3) - (key % 3) + 2;
      for (const n of [0, 1]) {
        const ofTokens = table[entry(4, 5)]![n]! - table[entry(4, 0)]![n]!;
        expect(difference(n, 2 + 4, 2 + 5, 2 + 0)).toBeCloseTo(ofTokens, 8);
        expect(difference(n, 2 + 4, 1, 2 + 0)).toBeCloseTo(local[1]![n]![1]! - table[entry(4, 0)]![n]!, 8);
        expect(difference(n, 1, 0, 2 + 3)).toBeCloseTo(global[n]![1]![0]! - local[0]![n]![1]!, 8);
      }
      attention.dispose();
      plain.dispose();
    });
  });

  it('refuses another grid than that of its biases, and takes any without', () => {
    scope(() => {
      const [attention, plain] = [fullAttention(), fullAttention({ biasGrid: null })];
      expect(() => attention.forward(normal(1, 8, 4), { rows: 3, columns: 2 })).toThrow(
        'expected the grid of 2 x 3 that the biases of full attention are made for, received 3 x 2',
      );
      expect(plain.forward(normal(1, 11, 4), { rows: 3, columns: 3 }).shape).toEqual([1, 11, 4]);
      attention.dispose();
      plain.dispose();
    });
  });
});
