import { cat, manualSeed, noGrad, randn, scope, type Tensor, tensor } from '@transformer-ls/torch';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gradcheck } from '../../../torch/test/gradcheck.js';
import {
  CausalAttention,
  type CausalMemory,
  type ConsistentAttentionConfig,
} from '../../src/attention/causal.js';
import { descendingDistances, sinusoidFrequencies, sinusoids } from '../../src/attention/positions.js';
import { slowCausalAttention } from './slow-causal.js';

const configs = fc
  .record({
    heads: fc.constantFrom(1, 2, 3),
    headDim: fc.constantFrom(2, 4),
    windowSize: fc.integer({ min: 1, max: 20 }),
    chunkSize: fc.integer({ min: 1, max: 9 }),
    projectionRank: fc.integer({ min: 0, max: 3 }),
    memoryChunks: fc.integer({ min: 0, max: 6 }),
    projectionBiases: fc.boolean(),
  })
  .map(
    ({ heads, headDim, memoryChunks, ...rest }): ConsistentAttentionConfig => ({
      ...rest,
      heads,
      modelDim: heads * headDim,
      memoryLength: memoryChunks * rest.chunkSize,
    }),
  );

function attentionFor(config: ConsistentAttentionConfig): CausalAttention {
  const attention = new CausalAttention(config).to({ dtype: 'float64' });
  // Weights of the usual start are so small that a wrong mask would hardly show.
  noGrad(() => {
    for (const parameter of attention.parameters()) parameter.normal_(0, 1);
  });
  return attention;
}

function positionsFor(attention: CausalAttention) {
  const { windowSize, memoryLength, chunkSize, projectionRank, modelDim } = attention.config;
  const embed = (count: number) =>
    sinusoids(descendingDistances(count, null), sinusoidFrequencies(modelDim).to('float64'));
  return attention.positionKeys(
    embed(windowSize),
    embed(Math.max(1, (memoryLength / chunkSize) * projectionRank)),
  );
}

/** Runs x cut at the given lengths, the memory carried along. */
function inSegments(attention: CausalAttention, x: Tensor, lengths: readonly number[]): Tensor {
  const positions = positionsFor(attention);
  let memory: CausalMemory = attention.emptyMemory(x.size(0));
  let start = 0;
  const outputs = lengths.map((length) => {
    const step = attention.forward(x.narrow(1, start, length), memory, positions);
    start += length;
    memory = step.memory;
    return step.output;
  });
  return cat(outputs, 1);
}

function largestDifference(a: Tensor, b: Tensor): number {
  return a.sub(b).abs().max().item();
}

const cuts = fc.array(fc.integer({ min: 1, max: 25 }), { minLength: 1, maxLength: 6 });

describe('consistent causal attention', () => {
  it('equals the definition, query by query, however it is cut', () => {
    fc.assert(
      fc.property(configs, cuts, fc.integer(), (config, lengths, seed) => {
        scope(() => {
          manualSeed(Math.abs(seed));
          const attention = attentionFor(config);
          const T = lengths.reduce((sum, length) => sum + length, 0);
          const x = randn([1, T, config.modelDim], { dtype: 'float64' });
          const expected = tensor(slowCausalAttention(attention, x), { dtype: 'float64' }).unsqueeze(0);
          expect(largestDifference(inSegments(attention, x, lengths), expected)).toBeLessThan(1e-9);
          attention.dispose();
        });
      }),
      { numRuns: 60 },
    );
  });

  it('gives each row of a batch what it gives the row alone', () => {
    fc.assert(
      fc.property(configs, cuts, (config, lengths) => {
        scope(() => {
          const attention = attentionFor(config);
          const T = lengths.reduce((sum, length) => sum + length, 0);
          const x = randn([3, T, config.modelDim], { dtype: 'float64' });
          const together = inSegments(attention, x, lengths);
          for (let row = 0; row < 3; row++) {
            const alone = inSegments(attention, x.narrow(0, row, 1), lengths);
            expect(largestDifference(together.narrow(0, row, 1), alone)).toBeLessThan(1e-10);
          }
          attention.dispose();
        });
      }),
      { numRuns: 20 },
    );
  });

  it('lets no token change an output before it, and lets it change its own', () => {
    fc.assert(
      fc.property(configs, cuts, fc.nat(), (config, lengths, at) => {
        scope(() => {
          const attention = attentionFor(config);
          const T = lengths.reduce((sum, length) => sum + length, 0);
          const t = at % T;
          const x = randn([1, T, config.modelDim], { dtype: 'float64' });
          const changed = x.clone();
          changed.select(1, t).add_(1);
          const [before, after] = [
            inSegments(attention, x, lengths),
            inSegments(attention, changed, lengths),
          ];
          if (t > 0) expect(before.narrow(1, 0, t).equal(after.narrow(1, 0, t))).toBe(true);
          expect(largestDifference(before.select(1, t), after.select(1, t))).toBeGreaterThan(0);
          attention.dispose();
        });
      }),
      { numRuns: 30 },
    );
  });

  it('has no gradient from an output to a later token, and has one to every token in its reach', () => {
    scope(() => {
      const config = {
        modelDim: 8,
        heads: 2,
        windowSize: 5,
        chunkSize: 4,
        projectionRank: 2,
        projectionBiases: false,
        memoryLength: 8,
      };
      const attention = attentionFor(config);
      const [T, t] = [30, 21]; // chunk 5; window 17…21; chunks 3 and 4 = tokens 12…19
      const x = randn([1, T, 8], { dtype: 'float64', requiresGrad: true });
      inSegments(attention, x, [7, 10, 13]).select(1, t).sum().backward();
      const reached = (x.grad as Tensor).abs().sum(-1).squeeze(0).tolist() as number[];
      const touched = reached.map((value, index) => (value > 0 ? index : -1)).filter((index) => index >= 0);
      expect(touched).toEqual([12, 13, 14, 15, 16, 17, 18, 19, 20, 21]);
      attention.dispose();
    });
  });

  it('has right gradients for inputs and every parameter, across segments', () => {
    scope(() => {
      const config = {
        modelDim: 4,
        heads: 2,
        windowSize: 3,
        chunkSize: 2,
        projectionRank: 2,
        projectionBiases: true,
        memoryLength: 4,
      };
      const attention = attentionFor(config);
      const x = randn([2, 9, 4], { dtype: 'float64', requiresGrad: true });
      gradcheck(() => inSegments(attention, x, [4, 5]), [x, ...attention.parameters()]);
      attention.dispose();
    });
  });

  it('remembers W-1 tokens, the open chunk, and one vector per slot and chunk', () => {
    scope(() => {
      const config = {
        modelDim: 8,
        heads: 2,
        windowSize: 6,
        chunkSize: 4,
        projectionRank: 2,
        projectionBiases: false,
        memoryLength: 12,
      };
      const attention = attentionFor(config);
      const { memory } = attention.forward(
        randn([1, 31, 8], { dtype: 'float64' }),
        attention.emptyMemory(1),
        positionsFor(attention),
      );
      expect(memory.windowKeys.shape).toEqual([1, 5, 8]);
      expect(memory.openKeys.shape).toEqual([1, 3, 8]);
      expect(memory.openLogits.shape).toEqual([1, 3, 4]);
      expect(memory.chunkValues.shape).toEqual([1, 6, 8]); // 3 of the 7 complete chunks, 2 slots each
      attention.dispose();
    });
  });
});
