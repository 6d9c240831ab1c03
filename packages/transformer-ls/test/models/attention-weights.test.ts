import type { ClassifierConfig } from '@transformer-ls/formats';
import { manualSeed, noGrad, scope, tensor } from '@transformer-ls/torch';
import { describe, expect, it } from 'vitest';
import { isObservable } from '../../src/attention/observed-weights.js';
import { type HeadWeights, observeExample } from '../../src/models/sequence-classifier/attention-weights.js';
import { SequenceClassifier } from '../../src/models/sequence-classifier/model.js';
import { classifierPreset } from '../../src/models/sequence-classifier/presets.js';

const LENGTH = 11;

function model(changes: Partial<ClassifierConfig>): SequenceClassifier {
  manualSeed(3);
  const base = classifierPreset('lra-listops');
  const attention = { ...base.attention, windowSize: 4, projectionRank: 3, ...changes.attention };
  const sizes = { vocabularySize: 16, maxLength: 16, modelDim: 16, innerDim: 32 };
  const made = new SequenceClassifier({ ...base, ...sizes, ...changes, attention });
  made.eval();
  return made;
}

/** One document of `LENGTH` tokens in `width`. */
function document(width = LENGTH) {
  const ids = tensor(
    Int32Array.from({ length: width }, (_, i) => (i < LENGTH ? 1 + ((i * 7) % 11) : 0)),
    {
      shape: [1, width],
    },
  );
  return { ids, mask: width === LENGTH ? null : ids.ne(0) };
}

/** Each token's weights sum to 1, and none lies outside the document. */
function checkHead({ window, slots, projection }: HeadWeights, rows: number): void {
  for (let row = 0; row < rows; row++) {
    let total = 0;
    for (let j = 0; j < (slots?.columns ?? 0); j++) total += slots!.values[row * slots!.columns + j]!;
    for (let j = 0; j < (window?.columns ?? 0); j++) {
      const weight = window!.values[row * window!.columns + j]!;
      const key = window!.firstKey(row) + j;
      if (key < 0 || key >= rows) expect(weight).toBe(0);
      total += weight;
    }
    expect(total).toBeCloseTo(1, 5);
  }
  for (let slot = 0; slot < (projection?.rows ?? 0); slot++) {
    const { columns, values } = projection!;
    expect(columns).toBe(rows);
    expect(values.subarray(slot * columns, (slot + 1) * columns).reduce((a, b) => a + b)).toBeCloseTo(1, 5);
  }
}

describe('observing an example', () => {
  it.each([
    ['class-token-last-layer', 'consistent', LENGTH],
    ['class-token', 'consistent', LENGTH],
    ['first-token', 'consistent', LENGTH],
    ['mean', 'consistent', LENGTH],
    ['class-token-last-layer', 'reference', 16],
  ] as const)(
    'pooling %s in %s mode gives the weights of the document, %i tokens with padding',
    (pooling, mode, width) => {
      const made = model({ pooling, mode });
      scope(() => {
        const input = document(width);
        const { probabilities, documents } = observeExample(made, [input], [LENGTH], 1);
        const expected = noGrad(() => made.forward(input).softmax(-1)).toTypedArray();
        for (const [i, probability] of [...probabilities].entries())
          expect(probability).toBeCloseTo(expected[i] as number, 5); // observed weights are composed, and round otherwise
        expect(documents).toHaveLength(1);
        const { heads, firstSlotIsClassToken, startsWithClassToken } = documents[0]!;
        expect(heads).toHaveLength(2);
        expect({ firstSlotIsClassToken, startsWithClassToken }).toEqual({
          firstSlotIsClassToken: pooling !== 'mean',
          startsWithClassToken: false,
        });
        for (const head of heads) {
          checkHead(head, LENGTH);
          expect(head.slots!.columns).toBe(pooling === 'mean' ? 3 : 4);
          if (pooling === 'mean') expect(head.classToken).toBeNull();
          else expect(head.classToken!.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
          if (pooling !== 'mean') expect(head.classToken).toHaveLength(1 + LENGTH);
        }
      });
      made.dispose();
    },
  );

  it('tells layers apart, those that share their weights too', () => {
    for (const sharedLayers of [false, true]) {
      const made = model({ sharedLayers });
      scope(() => {
        const of = (layer: number) => observeExample(made, [document()], [LENGTH], layer).documents[0]!;
        const [first, last] = [of(0), of(1)];
        expect(first.heads[0]!.classToken).toBeNull();
        expect(last.heads[0]!.classToken).toHaveLength(1 + LENGTH);
        expect(first.heads[0]!.projection!.values).not.toEqual(last.heads[0]!.projection!.values);
      });
      made.dispose();
    }
  });

  it('gives both documents of a pair their own', () => {
    const made = model({ inputs: 'two' });
    scope(() => {
      const short = { ids: tensor(Int32Array.from([3, 4, 5]), { shape: [1, 3] }), mask: null };
      const { documents } = observeExample(made, [document(), short], [LENGTH, 3], 0);
      expect(documents.map(({ heads }) => heads[0]!.projection!.columns)).toEqual([LENGTH, 3]);
    });
    made.dispose();
  });

  it('counts a first token of full attention as row 0', () => {
    const base = classifierPreset('lra-listops').attention;
    const made = model({ pooling: 'first-token', attention: { ...base, name: 'full' } });
    scope(() => {
      const { documents } = observeExample(made, [document()], [LENGTH], 0);
      expect(documents[0]!.startsWithClassToken).toBe(true);
      expect(documents[0]!.heads[0]!.window!.rows).toBe(1 + LENGTH);
      checkHead(documents[0]!.heads[0]!, 1 + LENGTH);
    });
    made.dispose();
  });

  it('stops looking afterwards, also where the model refuses its input', () => {
    const made = model({});
    scope(() => {
      observeExample(made, [document()], [LENGTH], 0);
      expect(() => observeExample(made, [document(17)], [LENGTH], 0)).toThrow('expected at most 16 tokens');
    });
    for (const attention of made.model.attentions)
      expect(isObservable(attention) && attention.observer).toBe(null);
    made.dispose();
  });
});
