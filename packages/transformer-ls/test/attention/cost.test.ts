// Multiply-accumulates of real forward passes, counted by the rule of spec section 7: matrix products and convolutions only.
import { type AttentionName, attentionNames, type ClassifierConfig } from '@transformer-ls/formats';
import { countMultiplyAccumulates, noGrad, recordOps, scope, zeros } from '@transformer-ls/torch';
import { describe, expect, it } from 'vitest';
import { createSequenceAttention } from '../../src/attention/create.js';
import { SequenceClassifier } from '../../src/models/sequence-classifier/model.js';
import { classifierPreset } from '../../src/models/sequence-classifier/presets.js';

/** The published model for Text, with another attention. */
function textConfig(
  attention: Partial<ClassifierConfig['attention']>,
  changes: Partial<ClassifierConfig> = {},
): ClassifierConfig {
  const base = classifierPreset('lra-text', 'reference');
  return { ...base, pooling: 'mean', attention: { ...base.attention, ...attention }, ...changes };
}

function counted(forward: () => unknown): number {
  return scope(() =>
    noGrad(() => countMultiplyAccumulates(recordOps(() => scope(() => void forward())).ops)),
  );
}

/** Of one sequence through the whole model. */
function costOfModel(config: ClassifierConfig): number {
  const model = new SequenceClassifier(config);
  const ids = zeros([1, config.maxLength], { dtype: 'int32' }).add(1);
  const cost = counted(() => model.forward({ ids, mask: null }));
  model.dispose();
  return cost;
}

/** Of one sequence of the greatest length through one attention, its projections included. */
function costOfAttention(name: AttentionName, length: number): number {
  const config = textConfig({ name }, { mode: 'consistent', maxLength: length });
  const attention = createSequenceAttention(config);
  const cost = counted(() => attention.forward(zeros([1, length, config.modelDim]), null));
  attention.dispose();
  return cost;
}

describe('a model for Text', () => {
  const { maxLength: L, modelDim: D, innerDim: I, layers, classes, heads: N } = textConfig({});
  /** Projections, feed-forward parts and head: what models with any attention have. */
  const rest = layers * L * (4 * D * D + 2 * D * I) + D * I + I * classes;
  /** Newton steps of the pseudo-inverse, and products of each. */
  const [steps, products] = [6, 4];

  it.each<[Partial<ClassifierConfig['attention']>, string, number]>([
    [{ name: 'full' }, '2 L² D', 2 * L * L * D],
    ...[32, 256].map((R): [Partial<ClassifierConfig['attention']>, string, number] => [
      { name: 'linformer', projectionRank: R },
      '4 L R D',
      4 * L * R * D,
    ]),
    ...[32, 64].map((m): [Partial<ClassifierConfig['attention']>, string, number] => [
      { name: 'nystromformer', landmarks: m },
      '4 L m D + 2 m² D + 24 N m³',
      4 * L * m * D + 2 * m * m * D + steps * products * N * m ** 3,
    ]),
    // Window and compressed keys, scores and sums: W + 2E = 16 and R = 32; compressing keys and values; its logits.
    [
      { name: 'long-short', windowSize: 8, projectionRank: 32 },
      '2 L (W + 2E + R) D + 2 L R D + L D N R',
      2 * L * (16 + 32) * D + 2 * L * 32 * D + L * D * N * 32,
    ],
    [{ name: 'local', windowSize: 8 }, '2 L W D', 2 * L * 8 * D],
  ])('with %j costs %s a layer beside the rest', (attention, _, expected) => {
    expect(costOfModel(textConfig(attention))).toBe(rest + layers * expected);
  });
});

describe.each(attentionNames)('the cost of %s attention', (name) => {
  const lengths = [512, 1024, 2048, 4096];
  const costs = lengths.map((length) => costOfAttention(name, length));
  const { modelDim: D } = textConfig({});

  if (name === 'full')
    it('is that of the projections and grows quadratically', () => {
      for (const [i, L] of lengths.entries()) expect(costs[i]).toBe(4 * L * D * D + 2 * L * L * D);
    });
  else if (name === 'reformer')
    // Its hash compares each token with L/blockSize directions: at the lengths of the benchmark less than a logarithm.
    it('grows more slowly than L log L', () => {
      for (let i = 1; i < costs.length; i++) {
        const [L, growth] = [lengths[i]!, costs[i]! / costs[i - 1]!];
        expect(growth).toBeGreaterThan(1.99);
        expect(growth).toBeLessThan((2 * Math.log(L)) / Math.log(L / 2));
      }
    });
  else
    it('is a constant and a share of each token', () => {
      const slope = (costs[1]! - costs[0]!) / (lengths[1]! - lengths[0]!);
      for (let i = 2; i < costs.length; i++)
        expect(costs[i]).toBe(costs[0]! + slope * (lengths[i]! - lengths[0]!));
      expect(slope).toBeGreaterThan(3 * D * D);
    });
});
