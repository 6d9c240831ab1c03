import { languageModelSchema, parseConfig } from '@transformer-ls/formats';
import {
  cat,
  countMultiplyAccumulates,
  crossEntropy,
  dispose,
  manualSeed,
  memoryStats,
  noGrad,
  randint,
  recordOps,
  scope,
  type Tensor,
} from '@transformer-ls/torch';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  carryMemory,
  disposeMemory,
  type Memory,
  memoryFromTensors,
  memoryTensors,
} from '../../src/models/language-model/memory.js';
import { LanguageModel } from '../../src/models/language-model/model.js';
import { ReferenceLanguageModel } from '../../src/models/language-model/reference-model.js';

const VOCABULARY = 11;

const base = {
  kind: 'language-model',
  vocabularySize: VOCABULARY,
  layers: 2,
  modelDim: 8,
  heads: 2,
  innerDim: 16,
  windowSize: 6,
  chunkSize: 4,
  projectionRank: 1,
  memoryLength: 16,
};

/** With weights so large that every part of the model shows in the result. */
function modelWith(changes: object): LanguageModel {
  const model = new LanguageModel(parseConfig(languageModelSchema, { ...base, ...changes })).to({
    dtype: 'float64',
  });
  noGrad(() => {
    for (const parameter of model.parameters()) if (parameter.ndim > 1) parameter.normal_(0, 0.5);
  });
  return model.eval();
}

function inSegments(model: LanguageModel, ids: Tensor, lengths: readonly number[]): Tensor {
  let memory = model.emptyMemory(ids.size(0));
  let start = 0;
  const outputs = lengths.map((length) => {
    const step = model.forward(ids.narrow(1, start, length), memory);
    start += length;
    memory = step.memory;
    return step.logits;
  });
  return cat(outputs, 1);
}

function largestDifference(a: Tensor, b: Tensor): number {
  return a.sub(b).abs().max().item();
}

const configs = fc.record({
  windowSize: fc.integer({ min: 1, max: 12 }),
  chunkSize: fc.constantFrom(1, 3, 4),
  projectionRank: fc.constantFrom(0, 1, 2),
  memoryLength: fc.constantFrom(0, 12, 24),
  layers: fc.constantFrom(1, 3),
});

describe('the consistent language model', () => {
  it('gives one pass, any cutting, and token by token the same logits', () => {
    const cuts = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 2, maxLength: 5 });
    fc.assert(
      fc.property(configs, cuts, (config, lengths) => {
        scope(() => {
          const model = modelWith(config);
          const T = lengths.reduce((sum, length) => sum + length, 0);
          const ids = randint(0, VOCABULARY, [2, T]);
          noGrad(() => {
            const whole = model.forward(ids).logits;
            expect(largestDifference(inSegments(model, ids, lengths), whole)).toBeLessThan(1e-10);
            expect(largestDifference(inSegments(model, ids, Array(T).fill(1)), whole)).toBeLessThan(1e-10);
          });
          model.dispose();
        });
      }),
      { numRuns: 15 },
    );
  });

  it('depends on what it remembers', () => {
    scope(() => {
      const model = modelWith({});
      const ids = randint(0, VOCABULARY, [1, 40]);
      const remembered = inSegments(model, ids, [24, 16]).narrow(1, 24, 16);
      const forgotten = model.forward(ids.narrow(1, 24, 16)).logits;
      expect(largestDifference(remembered, forgotten)).toBeGreaterThan(1e-3);
      model.dispose();
    });
  });

  it('gives shorter rows of a padded batch the logits, loss and gradients that they get alone', () => {
    scope(() => {
      manualSeed(3);
      const model = modelWith({});
      const lengths = [23, 9, 16];
      const ids = randint(0, VOCABULARY, [3, 24]);
      const targets = ids.slice(1, 1).clone();
      lengths.forEach((length, row) => {
        if (length < 23)
          targets
            .select(0, row)
            .narrow(0, length, 23 - length)
            .fill_(-100);
      });
      const loss = (logits: Tensor, wanted: Tensor) =>
        crossEntropy(logits.reshape([-1, VOCABULARY]), wanted.reshape([-1]), { reduction: 'sum' });
      const together = model.forward(ids.narrow(1, 0, 23)).logits;
      loss(together, targets).backward();
      const padded = model.parameters().map((parameter) => (parameter.grad as Tensor).clone());
      model.zeroGrad();
      lengths.forEach((length, row) => {
        const alone = model.forward(ids.narrow(0, row, 1).narrow(1, 0, length)).logits;
        expect(largestDifference(alone, together.narrow(0, row, 1).narrow(1, 0, length))).toBeLessThan(1e-12);
        loss(alone, targets.narrow(0, row, 1).narrow(1, 0, length)).backward();
      });
      for (const [i, parameter] of model.parameters().entries())
        expect(largestDifference(parameter.grad as Tensor, padded[i]!)).toBeLessThan(1e-9);
      model.dispose();
    });
  });

  it('has every parameter in its gradient', () => {
    scope(() => {
      const model = modelWith({ projectionBiases: true }).train();
      model
        .forward(randint(0, VOCABULARY, [2, 20]))
        .logits.square()
        .sum()
        .backward();
      const without = [...model.namedParameters()].filter(([, parameter]) => parameter.grad === null);
      expect(without.map(([name]) => name)).toEqual([]);
      model.dispose();
    });
  });

  it('leaves no tensor behind over many steps', () => {
    const model = modelWith({});
    let memory: Memory = carryMemory(scope(() => model.emptyMemory(1)));
    const step = () => {
      const next = scope(() => {
        const ids = randint(0, VOCABULARY, [1, 7]);
        const result = model.forward(ids, memory as ReturnType<LanguageModel['emptyMemory']>);
        result.logits.sum().backward();
        model.zeroGrad();
        return carryMemory(result.memory);
      });
      disposeMemory(memory);
      memory = next;
    };
    for (let i = 0; i < 10; i++) step();
    const before = memoryStats();
    for (let i = 0; i < 100; i++) step();
    const after = memoryStats();
    expect(after.liveTensors).toBe(before.liveTensors);
    expect(after.allocatedBytes).toBeLessThan(before.allocatedBytes + 10_000);
    disposeMemory(memory);
    model.dispose();
  });

  it('counts one multiply-accumulate per weight and token, and per score and head component', () => {
    scope(() => {
      const model = modelWith({ layers: 1, memoryLength: 0, projectionRank: 0 });
      const [D, inner, W, T] = [8, 16, 6, 12];
      const { ops } = recordOps(() => model.forward(randint(0, VOCABULARY, [1, T])));
      const weights = T * (4 * D * D + 2 * D * inner + D * VOCABULARY) + W * D * D; // and the window's positions
      const pairs = (W * (W + 1)) / 2 + (T - W) * W; // of a query and a key that it sees
      const scores = 3 * pairs * D; // by content, by distance, and the values
      expect(countMultiplyAccumulates(ops)).toBe(weights + scores);
      model.dispose();
    });
  });
});

describe('memory as tensors', () => {
  it('survives the way through named tensors', () => {
    scope(() => {
      const model = modelWith({});
      const ids = randint(0, VOCABULARY, [2, 30]);
      const { memory } = model.forward(ids.narrow(1, 0, 21));
      const restored = memoryFromTensors(memoryTensors(memory)) as typeof memory;
      const next = ids.narrow(1, 21, 9);
      expect(model.forward(next, restored).logits.equal(model.forward(next, memory).logits)).toBe(true);
      model.dispose();
    });
  });

  it.each([
    [['nonsense'], /expected a name such as layers\.0\.windowKeys, received nonsense/],
    [['layers.1.hidden'], /layer 0 of 2 is missing/],
  ])('refuses %j', (names, message) => {
    const tensors = new Map(names.map((name) => [name, randint(0, 2, [1])]));
    expect(() => memoryFromTensors(tensors)).toThrow(message);
    dispose(tensors);
  });
});

describe('the reference language model', () => {
  const reference = { ...base, mode: 'reference', windowSize: 8, memoryLength: 16 };
  const model = () => new ReferenceLanguageModel(parseConfig(languageModelSchema, reference)).eval();

  it('starts as published: LayerNorm weights around 1 with standard deviation 0.02, tied embeddings', () => {
    const started = new ReferenceLanguageModel(
      parseConfig(languageModelSchema, { ...reference, modelDim: 512, heads: 8, layers: 1 }),
    );
    const weight = started.layers.at(0)!.norm1.weight;
    expect(Math.abs(scope(() => weight.mean().item()) - 1)).toBeLessThan(0.005);
    expect(scope(() => weight.std().item())).toBeGreaterThan(0.017);
    expect(started.out_emb.weight).toBe(started.in_emb.weight);
    started.dispose();
  });

  it('refuses a length that divides by the chunk but not by the window', () => {
    const published = model();
    expect(() => scope(() => published.forward(randint(0, VOCABULARY, [1, 12])))).toThrow(
      'expected a segment length that is a multiple of the window size 8, received 12',
    );
    published.dispose();
  });

  it('depends on the cutting, as published', () => {
    scope(() => {
      const published = model();
      const ids = randint(0, VOCABULARY, [1, 16]);
      const whole = published.forward(ids).logits.narrow(1, 8, 8);
      const first = published.forward(ids.narrow(1, 0, 8));
      const second = published.forward(ids.narrow(1, 8, 8), first.memory).logits;
      expect(largestDifference(whole, second)).toBeGreaterThan(1e-6);
      published.dispose();
    });
  });
});
