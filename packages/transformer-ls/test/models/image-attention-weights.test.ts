import type { CvtLsConfig } from '@transformer-ls/formats';
import { type Module, manualSeed, noGrad, randn, scope } from '@transformer-ls/torch';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Grid } from '../../src/attention/grid-windows.js';
import { FullSpatialAttention, LongShortSpatialAttention } from '../../src/attention/spatial.js';
import { vilLsPreset } from '../../src/models/vil-ls/presets.js';
import { observeImage } from '../../src/models/vision/attention-weights.js';
import {
  areaSize,
  fullWeights,
  type GridBlockWeights,
  type GridHeadWeights,
  longShortWeights,
  type QueryChoice,
} from '../../src/models/vision/grid-weights.js';
import { createImageClassifier } from '../../src/models/vision/image-classifier.js';
import { visionPreset } from '../../src/models/vision/presets.js';
import { type SlowWeights, slowGridWeights } from './slow-grid-weights.js';

const D = 4;
const N = 2;
const common = {
  modelDim: D,
  heads: N,
  scoreScale: null,
  queryKeyValueBiases: true,
  attentionDropout: 0,
  dropout: 0,
  mode: 'consistent',
} as const;

/** Weights larger than at the start, so that no softmax is nearly even. */
function started<A extends Module>(attention: A): A {
  attention.to({ dtype: 'float64' });
  noGrad(() => {
    for (const parameter of attention.parameters()) parameter.normal_(0, 1);
  });
  return attention;
}

interface Shape extends Grid {
  readonly window: number;
  readonly rank: number;
  readonly globalTokens: number;
  readonly relative: boolean;
}

function longShort({ window, rank, globalTokens, relative }: Shape): LongShortSpatialAttention {
  const sizes = { windowSize: window, projectionRank: rank, globalTokens, relativeBias: relative };
  return started(new LongShortSpatialAttention({ ...common, ...sizes }));
}

function full({ rows, columns, globalTokens, relative }: Shape): FullSpatialAttention {
  const biasGrid = relative ? { rows, columns } : null;
  return started(new FullSpatialAttention({ ...common, globalTokens, biasGrid }));
}

/** The copied weights, and what the slow definition makes of the same input. */
function compared(
  attention: LongShortSpatialAttention | FullSpatialAttention,
  { rows, columns, globalTokens }: Shape,
  query: QueryChoice,
): { found: GridBlockWeights; slow: SlowWeights[] } {
  const grid = { rows, columns };
  return scope(() => {
    const x = randn([1, globalTokens + rows * columns, D], { dtype: 'float64' });
    let found: GridBlockWeights | undefined;
    if (attention instanceof FullSpatialAttention)
      attention.observer = (weights, seenGrid) => {
        found = fullWeights(weights, seenGrid, query, 1);
      };
    else
      attention.observer = (weights) => {
        found = longShortWeights(weights, query);
      };
    noGrad(() => attention.forward(x, grid));
    const slow = slowGridWeights(attention, x.squeeze(0).tolist() as number[][], grid, found!.query);
    attention.dispose();
    return { found: found!, slow };
  });
}

function checkHead(found: GridHeadWeights, slow: SlowWeights, T: number): void {
  expectClose(
    found.tokens ?? new Float32Array(T),
    Array.from({ length: T }, (_, i) => slow.tokens.get(i) ?? 0),
  );
  expectClose(found.slots, slow.slots);
  expectClose(found.globals, slow.globals);
  expect(found.projection).toHaveLength(slow.projection.length);
  found.projection.forEach((map, slot) => {
    expectClose(map, slow.projection[slot]!);
  });
  expect(found.ofGlobals).toHaveLength(slow.ofGlobals.length);
  found.ofGlobals.forEach(({ globals, tokens }, one) => {
    expectClose(globals, slow.ofGlobals[one]!.globals);
    expectClose(tokens, slow.ofGlobals[one]!.tokens);
    expect(sum(globals) + sum(tokens)).toBeCloseTo(1, 5);
  });
  expect(sum(found.tokens ?? []) + sum(found.slots) + sum(found.globals)).toBeCloseTo(1, 5);
  // What is not seen has no weight at all.
  found.tokens?.forEach((weight, token) => {
    if (!slow.tokens.has(token)) expect(weight).toBe(0);
  });
}

function expectClose(found: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(found.length).toBe(expected.length);
  for (let i = 0; i < found.length; i++) expect(found[i]).toBeCloseTo(expected[i]!, 5);
}

function sum(values: Iterable<number>): number {
  return [...values].reduce((a, b) => a + b, 0);
}

const shapes = fc
  .record({
    rows: fc.integer({ min: 1, max: 6 }),
    columns: fc.integer({ min: 1, max: 6 }),
    window: fc.integer({ min: 0, max: 4 }),
    rank: fc.integer({ min: 0, max: 3 }),
    globalTokens: fc.integer({ min: 0, max: 2 }),
    relative: fc.boolean(),
  })
  .filter(({ window, rank, globalTokens }) => window + rank + globalTokens > 0);

describe('weights of one token of a grid', () => {
  it('are those of the slow definition, for any grid, window, rank and number of global tokens', () => {
    fc.assert(
      fc.property(shapes, fc.nat(), fc.nat(), (shape, row, column) => {
        const query = { row: row % shape.rows, column: column % shape.columns };
        const { found, slow } = compared(longShort(shape), shape, query);
        expect(found.query).toEqual(query);
        found.heads.forEach((head, n) => {
          checkHead(head, slow[n]!, shape.rows * shape.columns);
        });
        expect(found.heads).toHaveLength(N);
      }),
      { numRuns: 60 },
    );
  });

  it('are those of the slow definition with full attention', () => {
    fc.assert(
      fc.property(shapes, fc.nat(), fc.nat(), (shape, row, column) => {
        const query = { row: row % shape.rows, column: column % shape.columns };
        const { found, slow } = compared(full(shape), shape, query);
        found.heads.forEach((head, n) => {
          checkHead(head, slow[n]!, shape.rows * shape.columns);
        });
        expect(found).toMatchObject({ attention: 'full', segment: null, query });
      }),
      { numRuns: 30 },
    );
  });

  it('come with the segment and the tokens around it, cut at the edges of the grid', () => {
    const shape = { rows: 8, columns: 5, window: 3, rank: 1, globalTokens: 1, relative: true };
    const at = (query: QueryChoice) => compared(longShort(shape), shape, query).found;
    expect(at({ row: 4, column: 1 })).toMatchObject({
      segment: { top: 3, left: 0, bottom: 6, right: 3 },
      seen: { top: 2, left: 0, bottom: 7, right: 4 },
    });
    expect(at({ row: 7, column: 4 })).toMatchObject({
      segment: { top: 6, left: 3, bottom: 8, right: 5 },
      seen: { top: 5, left: 2, bottom: 8, right: 5 },
    });
    expect(at('centre').query).toEqual({ row: 4, column: 2 });
    const without = { ...shape, window: 0 };
    const noWindow = compared(longShort(without), without, 'centre').found;
    expect(noWindow).toMatchObject({ segment: null, seen: null });
    expect(noWindow.heads[0]!.tokens).toBeNull();
  });

  it('are of the token that the global token takes most from, where that is asked for', () => {
    const shape = { rows: 5, columns: 7, window: 2, rank: 2, globalTokens: 1, relative: true };
    for (const attention of [longShort(shape), full(shape)]) {
      const { found, slow } = compared(attention, shape, 'global-token');
      const { row, column } = found.query;
      const totals = slow[0]!.ofGlobals[0]!.tokens.map((own, i) => own + slow[1]!.ofGlobals[0]!.tokens[i]!);
      expect(totals[row * 7 + column]).toBeCloseTo(Math.max(...totals), 5);
    }
  });

  it('divide a key that stands for several tokens evenly among them, also at the edges', () => {
    const grid = { rows: 3, columns: 5 };
    const [C, M] = [1, 6];
    scope(() => {
      const observed = randn([1, N, C + 15, C + M]).softmax(-1);
      const found = fullWeights(observed, grid, { row: 1, column: 4 }, 2);
      expect(found).toMatchObject({ keys: M, seen: { top: 0, left: 0, bottom: 3, right: 5 } });
      const rows = observed.select(0, 0).tolist() as number[][][];
      found.heads.forEach((head, n) => {
        for (const [row, { globals, tokens }] of [
          [rows[n]![C + 9]!, { globals: head.globals, tokens: head.tokens! }],
          [rows[n]![0]!, head.ofGlobals[0]!],
        ] as const) {
          expectClose(globals, row.slice(0, C));
          // Keys in two rows of three; the last row and the last column of the grid are single.
          const [a, b, c, d, e, f] = row.slice(C) as [number, number, number, number, number, number];
          const upper = [a / 4, a / 4, b / 4, b / 4, c / 2];
          expectClose(tokens, [...upper, ...upper, d / 2, d / 2, e / 2, e / 2, f]);
          expect(sum(globals) + sum(tokens)).toBeCloseTo(1, 5);
        }
      });
    });
  });

  it.each([
    { row: 8, column: 0 },
    { row: -1, column: 0 },
    { row: 0, column: 5 },
    { row: 0.5, column: 0 },
    { row: Number.NaN, column: 0 },
  ])('of a token that does not exist, %j, are refused', (query) => {
    const shape = { rows: 8, columns: 5, window: 3, rank: 1, globalTokens: 0, relative: true };
    expect(() => compared(longShort(shape), shape, query)).toThrow(
      `expected a token on the grid of 8 x 5, received row ${query.row}, column ${query.column}`,
    );
    expect(() => compared(longShort(shape), shape, 'global-token')).toThrow(
      'expected a block with a global token',
    );
    expect(() => compared(full(shape), shape, 'global-token')).toThrow(
      'expected a block with a global token',
    );
  });
});

describe('observing an image', () => {
  const config = { ...vilLsPreset('vil-ls-tiny', { classes: 5, imageSize: 64 }) };

  it('gives the weights of the block asked for, and the probabilities that the model gives', () => {
    manualSeed(4);
    const model = createImageClassifier(config);
    model.eval();
    scope(() => {
      const image = randn([1, 3, 64, 64]);
      const expected = noGrad(() => model.forward(image).softmax(-1).toFloat32Array());
      const blocks = model.attentions.map(({ length }) => length);
      expect(blocks).toEqual([1, 1, 9, 1]);
      for (const [stage, block, attention, side, heads] of [
        [0, 0, 'long-short', 16, 1],
        [1, 0, 'long-short', 8, 3],
        [2, 8, 'full', 4, 3],
        [3, 0, 'full', 2, 6],
      ] as const) {
        const { probabilities, weights } = observeImage(model, image, { stage, block, query: 'centre' });
        for (const [i, probability] of [...probabilities].entries())
          expect(probability).toBeCloseTo(expected[i] as number, 5); // observed weights are composed, and round otherwise
        expect(weights).toMatchObject({ attention, grid: { rows: side, columns: side } });
        expect(weights.heads).toHaveLength(heads);
        expect(weights.query).toEqual({ row: side / 2, column: side / 2 });
      }
    });
    model.dispose();
  });

  it('looks into CvT-LS and into the full attention of CvT as well', () => {
    manualSeed(6);
    for (const attention of ['long-short', 'full'] as const) {
      const { stages, ...rest } = visionPreset('cvt-ls-13', { classes: 5, imageSize: 64 }) as CvtLsConfig;
      const small = stages.map((stage) => ({ ...stage, layers: 1, attention }));
      const model = createImageClassifier({ ...rest, stages: small });
      model.eval();
      scope(() => {
        const image = randn([1, 3, 64, 64]);
        for (const [stage, side] of [16, 8, 4].entries()) {
          const { weights } = observeImage(model, image, { stage, block: 0, query: 'centre' });
          expect(weights).toMatchObject({ attention, grid: { rows: side, columns: side } });
          expect(weights.keys).toBe(attention === 'full' ? (side / 2) ** 2 : areaSize(weights.seen!));
          const isLast = stage === 2;
          for (const { tokens, slots, globals, ofGlobals } of weights.heads) {
            expect(sum(tokens!) + sum(slots) + sum(globals)).toBeCloseTo(1, 4);
            expect(globals).toHaveLength(isLast ? 1 : 0);
            for (const one of ofGlobals) expect(sum(one.tokens) + sum(one.globals)).toBeCloseTo(1, 4);
          }
        }
      });
      model.dispose();
    }
  });

  it('tells blocks of one stage apart', () => {
    manualSeed(5);
    const model = createImageClassifier(config);
    model.eval();
    scope(() => {
      const image = randn([1, 3, 64, 64]);
      const [first, last] = [0, 8].map(
        (block) => observeImage(model, image, { stage: 2, block, query: 'centre' }).weights.heads[0]!.tokens,
      );
      expect(first).not.toEqual(last);
    });
    model.dispose();
  });

  it('stops looking afterwards, and refuses what does not exist', () => {
    const model = createImageClassifier(config);
    model.eval();
    scope(() => {
      const image = randn([1, 3, 64, 64]);
      const at = (stage: number, block: number) => () =>
        observeImage(model, image, { stage, block, query: 'centre' });
      expect(at(4, 0)).toThrow(
        'expected a block of stages with 1, 1, 9, 1 blocks, received block 0 of stage 4',
      );
      expect(at(0, 1)).toThrow('received block 1 of stage 0');
      const wrong = { stage: 0, block: 0, query: { row: 16, column: 0 } };
      expect(() => observeImage(model, image, wrong)).toThrow('expected a token on the grid of 16 x 16');
      expect(() => observeImage(model, randn([1, 3, 32, 64]), { ...wrong, query: 'centre' })).toThrow(
        'expected images of shape',
      );
      expect(() => observeImage(model, randn([2, 3, 64, 64]), { ...wrong, query: 'centre' })).toThrow(
        'expected 1 image, received 2',
      );
    });
    for (const attention of model.attentions.flat()) expect(attention.observer).toBeNull();
    model.dispose();
  });
});
