// What every mechanism behind the common interface promises: padding counts for nothing, gradients are right, cost is as said.
import {
  type AttentionName,
  attentionNames,
  type ClassifierConfig,
  classifierSchema,
  parseConfig,
} from '@transformer-ls/formats';
import {
  countMultiplyAccumulates,
  manualSeed,
  noGrad,
  randn,
  recordOps,
  scope,
  type Tensor,
  tensor,
} from '@transformer-ls/torch';
import { describe, expect, it } from 'vitest';
import { gradcheck } from '../../../torch/test/gradcheck.js';
import { createSequenceAttention } from '../../src/attention/create.js';
import type { SequenceAttention } from '../../src/attention/sequence-attention.js';

function configFor(name: AttentionName, sizes: { modelDim: number; maxLength: number }): ClassifierConfig {
  return parseConfig(classifierSchema, {
    kind: 'sequence-classifier',
    classes: 2,
    vocabularySize: 8,
    layers: 1,
    heads: 2,
    innerDim: 8,
    pooling: 'mean',
    attention: {
      name,
      windowSize: 4,
      projectionRank: 3,
      landmarks: 4,
      randomFeatures: 8,
      blockSize: 4,
      globalTokens: 2,
      randomBlocks: 1,
    },
    ...sizes,
  });
}

function attentionFor(
  name: AttentionName,
  sizes: { modelDim: number; maxLength: number },
): SequenceAttention {
  manualSeed(3);
  const attention = createSequenceAttention(configFor(name, sizes)).to({ dtype: 'float64' });
  noGrad(() => {
    for (const parameter of attention.parameters()) parameter.normal_(0, 0.5);
  });
  return attention;
}

const normal = (...shape: number[]) => randn(shape, { dtype: 'float64' });

describe.each(attentionNames)('%s attention', (name) => {
  it('gives each row of a padded batch what it gives the row alone', () => {
    const attention = attentionFor(name, { modelDim: 8, maxLength: 32 });
    scope(() =>
      noGrad(() => {
        const x = normal(3, 21, 8);
        const lengths = [21, 13, 3];
        const mask = tensor(lengths.map((length) => Array.from({ length: 21 }, (_, t) => t < length)));
        const together = attention.forward(x, mask);
        for (const [row, length] of lengths.entries()) {
          const alone = attention.forward(x.narrow(0, row, 1).narrow(1, 0, length), null);
          const found = together.narrow(0, row, 1).narrow(1, 0, length);
          expect(largestDifference(found, alone), `${length} tokens`).toBeLessThan(1e-9);
        }
      }),
    );
    attention.dispose();
  });

  it('does not depend on what stands at padding, and keeps gradients finite in a row of padding only', () => {
    const attention = attentionFor(name, { modelDim: 8, maxLength: 32 });
    scope(() => {
      const x = normal(2, 10, 8);
      const mask = tensor([Array.from({ length: 10 }, (_, t) => t < 6), Array(10).fill(false)]);
      const changed = x.maskedFill(mask.logicalNot().unsqueeze(-1), 7);
      changed.requiresGrad = true;
      const [before, after] = [attention.forward(x, mask), attention.forward(changed, mask)];
      const real = (y: Tensor) => y.narrow(0, 0, 1).narrow(1, 0, 6);
      expect(largestDifference(real(before), real(after))).toBeLessThan(1e-9);
      after.square().sum().backward();
      for (const gradient of [changed.grad, ...attention.parameters().map(({ grad }) => grad)])
        if (gradient !== null) expect(gradient.isfinite().all().item()).toBe(1);
    });
    attention.dispose();
  });

  it('has right gradients for the input and every parameter', () => {
    const attention = attentionFor(name, { modelDim: 4, maxLength: 16 });
    scope(() => {
      const x = normal(1, 9, 4);
      x.requiresGrad = true;
      const mask = tensor([Array.from({ length: 9 }, (_, t) => t < 7)]);
      const used = attention.parameters().filter((parameter) => parameter.numel > 0);
      gradcheck(() => attention.forward(x, mask).narrow(1, 0, 7), [x, ...used]);
    });
    attention.dispose();
  });

  it(
    name === 'full'
      ? 'costs four times as much at twice the length'
      : 'costs twice as much at twice the length',
    () => {
      const attention = attentionFor(name, { modelDim: 8, maxLength: 1024 });
      const cost = (length: number) =>
        scope(() =>
          noGrad(() => {
            const x = normal(1, length, 8);
            return countMultiplyAccumulates(
              recordOps(() => scope(() => void attention.forward(x, null))).ops,
            );
          }),
        );
      const [once, twice] = [cost(512), cost(1024)];
      if (name === 'full') expect(twice / once).toBeGreaterThan(3.5);
      else expect(twice / once).toBeLessThan(2.01);
      attention.dispose();
    },
  );
});

function largestDifference(a: Tensor, b: Tensor): number {
  return a.sub(b).abs().max().item();
}
