import { type LanguageModelConfig, languageModelSchema, parseConfig } from '@transformer-ls/formats';
import { cat, manualSeed, noGrad, randint, scope, type Tensor } from '@transformer-ls/torch';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { placeStep } from '../../src/attention/causal-step.js';
import { LanguageModel } from '../../src/models/language-model/model.js';
import { emptyStepState, runStep, type StepState } from '../../src/models/language-model/step.js';

interface Sizes {
  readonly heads: number;
  readonly windowSize: number;
  readonly chunkSize: number;
  readonly projectionRank: number;
  readonly memoryChunks: number;
  readonly windowPositionClamp: number | null;
  readonly chunkPositionClamp: number | null;
}

function configOf({ memoryChunks, ...sizes }: Sizes): LanguageModelConfig {
  return parseConfig(languageModelSchema, {
    kind: 'language-model',
    vocabularySize: 11,
    layers: 2,
    modelDim: 4 * sizes.heads,
    innerDim: 6,
    memoryLength: memoryChunks * sizes.chunkSize,
    ...sizes,
  });
}

/** In float64, with weights larger than at the start, so that a wrong mask shows. */
function modelOf(config: LanguageModelConfig): LanguageModel {
  const model = new LanguageModel(config).to({ dtype: 'float64' });
  noGrad(() => {
    for (const parameter of model.parameters()) parameter.normal_(0, 1);
  });
  model.eval();
  return model;
}

/** Logits (B, T, V) of all tokens, step after step; a step is one token (0), or so many chunks where a chunk begins. */
function inSteps(model: LanguageModel, ids: Tensor, steps: readonly number[]): Tensor {
  const [B, T] = ids.shape as [number, number];
  const c = model.config.chunkSize;
  let state: StepState = emptyStepState(model, B);
  const logits: Tensor[] = [];
  for (let [at, i] = [0, 0]; at < T; i++) {
    const chunks = steps[i % steps.length]!;
    const tokens = chunks > 0 && at % c === 0 && at + chunks * c <= T ? chunks * c : 1;
    const result = runStep(model, ids.narrow(1, at, tokens), state);
    logits.push(result.logits);
    state = result.state;
    at += tokens;
    expect(state.position.item()).toBe(at);
  }
  return cat(logits, 1);
}

function expectOnePass(
  config: LanguageModelConfig,
  tokens: number,
  steps: readonly number[],
  batch = 1,
): void {
  scope(() =>
    noGrad(() => {
      const model = modelOf(config);
      const ids = randint(0, config.vocabularySize, [batch, tokens]);
      const expected = model.forward(ids).logits;
      const difference = inSteps(model, ids, steps).sub(expected).abs().max().item() as number;
      expect(difference / (expected.abs().max().item() as number)).toBeLessThan(1e-10);
      model.dispose();
    }),
  );
}

const clamp = fc.option(fc.integer({ min: 1, max: 8 }));
const configs = fc
  .record({
    heads: fc.constantFrom(1, 2),
    windowSize: fc.integer({ min: 1, max: 9 }),
    chunkSize: fc.integer({ min: 1, max: 5 }),
    projectionRank: fc.integer({ min: 0, max: 3 }),
    memoryChunks: fc.integer({ min: 0, max: 5 }),
    windowPositionClamp: clamp,
    chunkPositionClamp: clamp,
  })
  .map(configOf);

const plain: Sizes = {
  heads: 2,
  windowSize: 6,
  chunkSize: 4,
  projectionRank: 2,
  memoryChunks: 3,
  windowPositionClamp: null,
  chunkPositionClamp: null,
};

describe('a language model in steps', () => {
  it('gives what one pass gives, however the steps are mixed', () => {
    const steps = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(
        configs,
        fc.integer({ min: 1, max: 40 }),
        steps,
        fc.integer({ min: 1, max: 3 }),
        fc.nat(),
        (config, tokens, cut, batch, seed) => {
          manualSeed(seed);
          expectOnePass(config, tokens, cut, batch);
        },
      ),
      { numRuns: 60 },
    );
  });

  it.each<[string, Partial<Sizes>]>([
    ['with all it has', {}],
    ['without chunks: rank 0', { projectionRank: 0 }],
    ['without memory', { memoryChunks: 0 }],
    ['that sees one token', { windowSize: 1 }],
    ['whose chunks are one token', { chunkSize: 1, memoryChunks: 7 }],
    ['whose window is shorter than a chunk', { windowSize: 2, chunkSize: 5 }],
    ['whose memory is longer than the stream', { memoryChunks: 20 }],
    ['with distances that are told apart no further', { windowPositionClamp: 2, chunkPositionClamp: 2 }],
  ])('%s: token by token, block by block, and first blocks, then tokens', (_, changes) => {
    manualSeed(1);
    const config = configOf({ ...plain, ...changes });
    expectOnePass(config, 36, [0]);
    expectOnePass(config, 40, [1]);
    expectOnePass(config, 40, [2]);
    expectOnePass(config, 38, [3, 3, 0]);
  });

  it('has a state of the same size at every step', () => {
    scope(() =>
      noGrad(() => {
        const model = modelOf(configOf(plain));
        let state = emptyStepState(model, 2);
        const shapes = (of: StepState) =>
          of.layers.map((layer) => Object.entries(layer).map(([name, { shape }]) => [name, ...shape]));
        const before = shapes(state);
        for (const tokens of [1, 1, 1, 1, 8, 1]) {
          state = runStep(model, randint(0, 11, [2, tokens]), state).state;
          expect(shapes(state)).toEqual(before);
        }
        model.dispose();
      }),
    );
  });

  it('says of each token what it looked at: shares that sum to 1, of nothing that is not there', () => {
    scope(() =>
      noGrad(() => {
        const config = configOf(plain);
        const model = modelOf(config);
        const { windowSize: W, chunkSize: c, projectionRank: R } = config;
        const slots = 3 * R;
        let state = emptyStepState(model, 2);
        for (let at = 0; at < 25; at++) {
          const result = runStep(model, randint(0, 11, [2, 1]), state);
          state = result.state;
          expect(result.weights).toHaveLength(2);
          for (const { window, chunks } of result.weights) {
            expect(window.shape).toEqual([2, 2, 1, W]);
            expect(chunks!.shape).toEqual([2, 2, 1, slots]);
            const sums = window.sum(-1).add(chunks!.sum(-1));
            expect(sums.sub(1).abs().max().item()).toBeLessThan(1e-12);
            const seen = Math.min(W, at + 1);
            expect(
              window
                .narrow(3, 0, W - seen)
                .sum()
                .item(),
            ).toBe(0);
            const there = Math.min(3, Math.floor(at / c)) * R;
            expect(
              chunks!
                .narrow(3, 0, slots - there)
                .sum()
                .item(),
            ).toBe(0);
            expect(
              window
                .narrow(3, W - seen, seen)
                .gt(0)
                .all()
                .item(),
            ).toBe(1);
          }
        }
        expect(runStep(model, randint(0, 11, [2, c]), emptyStepState(model, 2)).weights).toEqual([]);
        model.dispose();
      }),
    );
  });

  it('gives each row of a batch what it gives the row alone', () => {
    scope(() =>
      noGrad(() => {
        const model = modelOf(configOf(plain));
        const ids = randint(0, 11, [3, 21]);
        const together = inSteps(model, ids, [1, 0]);
        for (let row = 0; row < 3; row++) {
          const alone = inSteps(model, ids.narrow(0, row, 1), [1, 0]);
          expect(together.narrow(0, row, 1).sub(alone).abs().max().item()).toBeLessThan(1e-11);
        }
        model.dispose();
      }),
    );
  });
});

describe('placeStep', () => {
  it('refuses a step that is neither one token nor whole chunks', () => {
    const config = configOf(plain);
    scope(() => {
      const state = randint(0, 1, [1]);
      expect(() => placeStep(config, 6, state)).toThrow(
        'expected steps of 1 token or of a multiple of 4, received 6',
      );
    });
  });
});
