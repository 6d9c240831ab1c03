// Batches at the edge of what there is: rows of nothing but padding, one token, pictures of one colour. Results and gradients stay finite.
import {
  attentionNames,
  type ClassifierConfig,
  cvtLsSchema,
  languageModelSchema,
  parseConfig,
  vilLsSchema,
} from '@transformer-ls/formats';
import {
  crossEntropy,
  full,
  type Module,
  manualSeed,
  noGrad,
  scope,
  type Tensor,
  tensor,
  zeros,
} from '@transformer-ls/torch';
import { describe, expect, it } from 'vitest';
import { LanguageModel } from '../../src/models/language-model/model.js';
import { SequenceClassifier } from '../../src/models/sequence-classifier/model.js';
import { classifierPreset } from '../../src/models/sequence-classifier/presets.js';
import { createImageClassifier } from '../../src/models/vision/image-classifier.js';

const allFinite = (value: Tensor) => value.isfinite().all().item() === 1;

function expectFiniteGradients(model: Module): void {
  for (const [name, { grad }] of model.namedParameters())
    if (grad !== null) expect(allFinite(grad as Tensor), name).toBe(true);
}

describe.each(attentionNames)('a classifier with %s attention', (name) => {
  const config = (): ClassifierConfig => {
    const base = classifierPreset('lra-text');
    const attention = {
      ...base.attention,
      name,
      windowSize: 4,
      projectionRank: 4,
      blockSize: 4,
      landmarks: 4,
    };
    const pooling = name === 'long-short' ? base.pooling : 'mean';
    return { ...base, vocabularySize: 16, maxLength: 32, modelDim: 16, innerDim: 32, attention, pooling };
  };
  const WIDTH = 24;
  const batch = (lengths: readonly number[]) => {
    const ids = Int32Array.from({ length: lengths.length * WIDTH }, (_, i) =>
      i % WIDTH < lengths[Math.floor(i / WIDTH)]! ? 1 + ((i % WIDTH) % 11) : 0,
    );
    const tokens = tensor(ids, { shape: [lengths.length, WIDTH] });
    return { ids: tokens, mask: tokens.ne(0) };
  };

  it('gives finite logits and gradients for rows of nothing but padding, and leaves the others alone', () => {
    manualSeed(1);
    const model = new SequenceClassifier(config()).eval();
    scope(() => {
      const logits = model.forward(batch([0, 5, 0]));
      expect(allFinite(logits)).toBe(true);
      logits.square().sum().backward();
      expectFiniteGradients(model);
      const alone = noGrad(() => model.forward(batch([5])));
      expect(logits.narrow(0, 1, 1).sub(alone).abs().max().item()).toBeLessThan(1e-4);
    });
    model.dispose();
  });

  it('gives finite logits and gradients for a batch of nothing but padding', () => {
    manualSeed(2);
    const model = new SequenceClassifier(config()).eval();
    scope(() => {
      const logits = model.forward(batch([0, 0]));
      expect(allFinite(logits)).toBe(true);
      logits.square().sum().backward();
      expectFiniteGradients(model);
    });
    model.dispose();
  });

  it('gives finite logits for a single token', () => {
    manualSeed(3);
    const model = new SequenceClassifier(config()).eval();
    scope(() => {
      const ids = tensor(Int32Array.of(7), { shape: [1, 1] });
      expect(allFinite(noGrad(() => model.forward({ ids, mask: null })))).toBe(true);
    });
    model.dispose();
  });
});

describe('a language model', () => {
  const model = () =>
    new LanguageModel(
      parseConfig(languageModelSchema, {
        kind: 'language-model',
        vocabularySize: 11,
        layers: 2,
        modelDim: 8,
        heads: 2,
        innerDim: 16,
        windowSize: 6,
        chunkSize: 4,
        projectionRank: 1,
        memoryLength: 16,
      }),
    );

  it('gives finite logits and gradients for one token with an empty memory', () => {
    manualSeed(1);
    const small = model();
    scope(() => {
      const { logits } = small.forward(zeros([1, 1], { dtype: 'int64' }));
      expect(allFinite(logits)).toBe(true);
      logits.square().sum().backward();
      expectFiniteGradients(small);
    });
    small.dispose();
  });

  it('gets no gradient but zeros from a segment of which nothing is to be predicted', () => {
    manualSeed(2);
    const small = model();
    scope(() => {
      const { logits } = small.forward(zeros([2, 9], { dtype: 'int64' }));
      const targets = full([18], -100, { dtype: 'int64' });
      crossEntropy(logits.reshape([-1, 11]), targets, { reduction: 'sum' }).backward();
      expectFiniteGradients(small);
      for (const { grad } of small.parameters())
        if (grad !== null) expect((grad as Tensor).abs().max().item()).toBe(0);
    });
    small.dispose();
  });
});

describe.each(['vil-ls', 'cvt-ls'] as const)('a vision model, %s', (kind) => {
  const stage =
    kind === 'vil-ls'
      ? { layers: 1, modelDim: 8, heads: 2, patchSize: 4 }
      : { layers: 1, modelDim: 8, heads: 2, embeddingKernel: 7, embeddingStride: 4 };
  const sizes = { imageHeight: 16, imageWidth: 16, classes: 3, stages: [stage] };
  const config =
    kind === 'vil-ls'
      ? parseConfig(vilLsSchema, { kind, ...sizes })
      : parseConfig(cvtLsSchema, { kind, ...sizes });

  it.each([0, 1, -1e4, 1e4])(
    'gives finite logits and gradients for pictures that are %f everywhere',
    (value) => {
      manualSeed(1);
      const model = createImageClassifier(config);
      scope(() => {
        const logits = model.forward(full([2, 3, 16, 16], value));
        expect(allFinite(logits)).toBe(true);
        logits.square().sum().backward();
        expectFiniteGradients(model);
      });
      model.dispose();
    },
  );
});
