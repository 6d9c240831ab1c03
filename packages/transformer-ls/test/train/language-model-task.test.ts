import { getRngState, memoryStats, noGrad, scope, type Tensor, tensor } from '@transformer-ls/torch';
import { describe, expect, it } from 'vitest';
import { syntheticCorpus } from '../../src/data/synthetic.js';
import { TokenStream } from '../../src/data/token-stream.js';
import { byteVocabulary } from '../../src/data/vocabulary.js';
import type { LanguageModelTask } from '../../src/train/language-model-task.js';
import { smallConfig, smallTask } from './small-run.js';

const lossOf = (task: LanguageModelTask): number => scope(() => task.nextMicroBatch().loss.item());

const gradientsOf = (task: LanguageModelTask): Map<string, Float32Array> => {
  scope(() => {
    const { loss, backward } = task.nextMicroBatch();
    backward(loss);
  });
  const gradient = (parameter: Tensor) => scope(() => parameter.grad!.toFloat32Array());
  return new Map([...task.model.namedParameters()].map(([name, value]) => [name, gradient(value)]));
};

const bytesOf = (tensors: ReadonlyMap<string, Tensor>) =>
  [...tensors].map(([name, value]) => [
    name,
    value.shape.join(),
    Buffer.from(value.toFloat32Array().buffer).toString('hex'),
  ]);

it('memory goes from segment to segment: the losses are those of one long pass over the lanes', () => {
  const config = smallConfig();
  const task = smallTask(config);
  const stepwise = [lossOf(task), lossOf(task), lossOf(task)];
  const corpus = syntheticCorpus('pattern', 'train', { bytes: 4000, seed: 0, distance: 20 });
  const long = new TokenStream({
    corpus,
    vocabulary: byteVocabulary,
    batchSize: 2,
    segmentLength: 48,
  }).next();
  const whole = scope(() => {
    const { logits } = noGrad(() => task.model.forward(tensor(long.inputs, { shape: [2, 48] })));
    const rows = logits
      .logSoftmax(-1)
      .reshape([96, 256])
      .gather(1, tensor(long.targets, { dtype: 'int64', shape: [96, 1] }));
    return rows.neg().mean().item();
  });
  expect(stepwise.reduce((sum, loss) => sum + loss) / 3).toBeCloseTo(whole, 4);
});

it('reference mode: the last target of a block is not scored, the sum is divided by all positions (spec 3.7)', () => {
  const config = smallConfig({}, { mode: 'reference' });
  const task = smallTask(config);
  const corpus = syntheticCorpus('pattern', 'train', { bytes: 4000, seed: 0, distance: 20 });
  const batch = new TokenStream({
    corpus,
    vocabulary: byteVocabulary,
    batchSize: 2,
    segmentLength: 16,
  }).next();
  const expected = scope(() => {
    const { logits } = noGrad(() => task.model.forward(tensor(batch.inputs, { shape: [2, 16] })));
    const targets = tensor(batch.targets, { dtype: 'int64', shape: [2, 16, 1] });
    return logits.logSoftmax(-1).gather(2, targets).narrow(1, 0, 15).sum().item() / -32;
  });
  expect(lossOf(task)).toBeCloseTo(expected, 5);
});

describe.each(['consistent', 'reference'])('%s mode', (mode) => {
  it('evaluation leaves memory, data position and random numbers as they are, and gives the same twice', async () => {
    const task = smallTask(smallConfig({}, { mode, dropout: 0.1 }));
    lossOf(task);
    const before = [bytesOf(task.state().tensors), task.state().state, getRngState()];
    const live = memoryStats().liveTensors;
    const first = await task.evaluate();
    expect(await task.evaluate()).toEqual(first);
    expect([bytesOf(task.state().tensors), task.state().state, getRngState()]).toEqual(before);
    expect(memoryStats().liveTensors).toBe(live);
    expect(first.tokens).toBe(mode === 'reference' ? 60 : 64);
    expect(task.model.training).toBe(true);
  });

  it('activation checkpointing gives the same gradients, with dropout too', () => {
    const [plain, checkpointed] = [false, true].map((activationCheckpointing) => {
      const task = smallTask(
        smallConfig({ activationCheckpointing }, { mode, dropout: 0.2, embeddingDropout: 0.1 }),
      );
      lossOf(task);
      return gradientsOf(task);
    });
    for (const [name, values] of plain!) {
      const others = checkpointed!.get(name)!;
      const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      values.forEach((value, index) => {
        expect(Math.abs(value - others[index]!)).toBeLessThan(1e-5 * largest + 1e-9);
      });
    }
  });

  it.each([35, 40, 1000])('validates on a part of %i tokens', async (bytes) => {
    const task = smallTask(smallConfig({}, { mode }), bytes);
    expect((await task.evaluate()).loss).toBeGreaterThan(0);
  });
});

it('a new epoch begins without memory, or with it where that is asked for', () => {
  const losses = (resetMemoryAtEpoch: boolean): number[] => {
    const task = smallTask(smallConfig({ resetMemoryAtEpoch }), 90);
    return [lossOf(task), lossOf(task), lossOf(task)];
  };
  const [reset, kept] = [losses(true), losses(false)];
  expect(reset[2]).toBe(reset[0]);
  expect(kept[2]).not.toBe(kept[0]);
});

it('goes on from its state, to the bit', () => {
  const task = smallTask(smallConfig());
  lossOf(task);
  const { tensors, state } = task.state();
  const restored = smallTask(smallConfig());
  scope(() => restored.restore({ tensors, state }));
  expect([lossOf(restored), lossOf(restored)]).toEqual([lossOf(task), lossOf(task)]);
});

it('refuses a state that belongs to other data', () => {
  const { state, tensors } = smallTask(smallConfig()).state();
  expect(() => smallTask(smallConfig(), 5000).restore({ tensors, state })).toThrow(
    'the training data have changed: the run was started with synthetic-pattern, 4000 bytes, SHA-256 unknown; found synthetic-pattern, 5000 bytes, SHA-256 unknown',
  );
  expect(() => smallTask(smallConfig()).restore({ tensors, state: { ...state, segment: 1e9 } })).toThrow(
    'cannot restore data position',
  );
});
