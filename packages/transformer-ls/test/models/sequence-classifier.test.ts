import { attentionNames, type ClassifierConfig } from '@transformer-ls/formats';
import {
  countMultiplyAccumulates,
  manualSeed,
  noGrad,
  recordOps,
  scope,
  type Tensor,
  tensor,
  zeros,
} from '@transformer-ls/torch';
import { describe, expect, it } from 'vitest';
import { SequenceClassifier } from '../../src/models/sequence-classifier/model.js';
import { classifierPreset } from '../../src/models/sequence-classifier/presets.js';
import { unreadRowsCost } from './unread-rows.js';

/** Shape, and which ids are there, of a small batch: lengths 24, 15 and 1. */
function batch(lengths = [24, 15, 1], width = 24) {
  const ids = Int32Array.from({ length: lengths.length * width }, (_, i) =>
    i % width < lengths[Math.floor(i / width)]! ? 1 + ((i * 7) % 11) : 0,
  );
  const tokens = tensor(ids, { shape: [lengths.length, width] });
  return { ids: tokens, mask: tokens.ne(0) };
}

function smallConfig(changes: Partial<ClassifierConfig>): ClassifierConfig {
  const base = classifierPreset('lra-listops');
  const attention = { ...base.attention, windowSize: 4, projectionRank: 4, blockSize: 4, landmarks: 4 };
  return { ...base, vocabularySize: 16, maxLength: 32, modelDim: 16, innerDim: 32, attention, ...changes };
}

function largestDifference(a: Tensor, b: Tensor): number {
  return a.sub(b).abs().max().item();
}

describe('the published sizes', () => {
  it.each([
    ['lra-listops', 249_418, 0.194],
    ['lra-listops-best', 241_618, 0.155],
    ['lra-text', 379_458, 0.387],
    ['lra-text-best', 371_398, 0.276],
    ['lra-retrieval', 404_034, 0.774],
    ['lra-retrieval-best', 461_754, 2.143],
  ])(
    '%s has %i parameters and costs %f G multiply-accumulates with the rows that nothing reads',
    (name, parameters, cost) => {
      const config = classifierPreset(name, 'reference');
      const model = new SequenceClassifier(config);
      expect(model.countParameters()).toBe(parameters);
      const multiplied = scope(() =>
        noGrad(() => {
          const one = { ids: zeros([1, config.maxLength], { dtype: 'int32' }).add(1), mask: null };
          const documents = config.inputs === 'two' ? [one, one] : [one];
          return countMultiplyAccumulates(recordOps(() => scope(() => void model.forward(...documents))).ops);
        }),
      );
      expect((multiplied + unreadRowsCost(config)) / 1e9).toBeCloseTo(cost, 3);
      model.dispose();
    },
  );
});

describe.each(['mean', 'first-token', 'class-token', 'class-token-last-layer'] as const)(
  'pooling %s',
  (pooling) => {
    it('computes of the last layer what is read, with the result and gradients of computing it all', () => {
      manualSeed(6);
      const model = new SequenceClassifier(smallConfig({ pooling })).to({ dtype: 'float64' });
      type Forward = (x: Tensor, mask: null, classToken: Tensor | null, firstOnly: boolean) => Tensor;
      const last = (Reflect.get(model.model, 'blocks') as { forward: Forward }[]).at(-1)!;
      scope(() => {
        const { ids } = batch([24, 20]);
        const run = () => {
          model.zeroGrad();
          const logits = model.forward({ ids, mask: null });
          logits.sum().backward();
          return [logits, ...model.parameters().map(({ grad }) => grad)].map(
            (one) => one?.detach().clone() ?? null,
          );
        };
        const least = run();
        const whole = last.forward.bind(last);
        last.forward = (x, mask, classToken, firstOnly) => {
          const all = whole(x, mask, classToken, false);
          return firstOnly ? all.narrow(1, 0, 1) : all;
        };
        run().forEach((value, i) => {
          expect(value === null).toBe(least[i] === null);
          if (value !== null) expect(largestDifference(value, least[i]!)).toBeLessThan(1e-12);
        });
      });
      model.dispose();
    });

    it('gives each row of a padded batch what it gives the row alone', () => {
      manualSeed(5);
      const model = new SequenceClassifier(smallConfig({ pooling })).to({ dtype: 'float64' });
      model.eval();
      scope(() =>
        noGrad(() => {
          const lengths = [24, 15, 1];
          const together = model.forward(batch(lengths));
          for (const [row, length] of lengths.entries()) {
            const ids = batch(lengths).ids.narrow(0, row, 1).narrow(1, 0, length);
            const alone = model.forward({ ids, mask: null });
            expect(largestDifference(together.narrow(0, row, 1), alone)).toBeLessThan(1e-12);
          }
        }),
      );
      model.dispose();
    });

    it('gives every weight of the model a finite gradient that is not zero', () => {
      manualSeed(6);
      const model = new SequenceClassifier(smallConfig({ pooling }));
      scope(() => model.forward(batch()).square().sum().backward());
      for (const [name, parameter] of model.namedParameters()) {
        // A softmax ignores a constant added to its scores, so some biases have no gradient.
        if (/bias$/.test(name) || parameter.grad === null) continue;
        const largest = parameter.grad.abs().max().item();
        expect(largest, name).toBeGreaterThan(0);
        expect(largest, name).toBeLessThan(Number.POSITIVE_INFINITY);
      }
      expect(model.parameters().filter(({ grad }) => grad === null)).toHaveLength(0);
      model.dispose();
    });
  },
);

describe.each(attentionNames)('a classifier with %s attention', (name) => {
  it('learns to tell two kinds of sequence apart', async () => {
    const { AdamW, crossEntropy } = await import('@transformer-ls/torch');
    manualSeed(7);
    const base = smallConfig({ pooling: 'mean', classes: 2 });
    const model = new SequenceClassifier({ ...base, attention: { ...base.attention, name } });
    const optimizer = new AdamW(model.parameters(), { learningRate: 1e-2 });
    // Class 1: a 9 somewhere in the first half; else none.
    const ids = Int32Array.from({ length: 32 * 24 }, (_, i) => {
      const [row, place] = [Math.floor(i / 24), i % 24];
      return row % 2 === 1 && place === (row * 5) % 12 ? 9 : 1 + ((i * 5 + row) % 7);
    });
    const labels = tensor(Int32Array.from({ length: 32 }, (_, row) => row % 2)).to('int64');
    const tokens = tensor(ids, { shape: [32, 24] });
    const step = () =>
      scope(() => {
        const loss = crossEntropy(model.forward({ ids: tokens, mask: null }), labels);
        loss.backward();
        optimizer.step();
        optimizer.zeroGrad();
        return loss.item();
      });
    const first = step();
    let last = first;
    for (let i = 0; i < 120; i++) last = step();
    expect(last).toBeLessThan(first / 2);
    model.dispose();
  });
});

it('computes keys and values again where it is told to, without changing a bit', () => {
  const model = new SequenceClassifier(smallConfig({ pooling: 'mean' }));
  scope(() => {
    const { ids, mask } = batch(Array(8).fill(24));
    const run = () => {
      model.zeroGrad();
      const { ops, result } = recordOps(() => model.forward({ ids, mask }));
      result.sum().backward();
      const layers = ops.filter(({ name }) => name === 'tls::bidirectional_layer');
      return {
        kept: layers.map(({ inputs }) => inputs.slice(12, 14)), // keys, values
        grads: model.parameters().map(({ grad }) => grad!.clone()),
      };
    };
    const [both, neither] = [
      [true, true],
      [false, false],
    ];
    const kept = run();
    model.recomputeKeys(true);
    const again = run();
    expect(kept.kept).toEqual([both, both]);
    expect(again.kept).toEqual([neither, neither]);
    again.grads.forEach((grad, i) => {
      expect(largestDifference(grad, kept.grads[i]!)).toBe(0);
    });
  });
  model.dispose();
});
