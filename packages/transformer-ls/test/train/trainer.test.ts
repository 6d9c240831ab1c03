import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { full, memoryStats, noGrad } from '@transformer-ls/torch';
import { describe, expect, it } from 'vitest';
import { readNewestCheckpoint } from '../../src/run/checkpoint.js';
import type { TrainingTask } from '../../src/train/task.js';
import { restoreTrainer } from '../../src/train/training-state.js';
import { smallConfig, smallTask, smallTrainer } from './small-run.js';

it('learns a repeating text almost by heart', async () => {
  const { trainer, records } = await smallTrainer(
    smallConfig({ maxSteps: 300, optimizer: { name: 'adamw', learningRate: 1e-2 } }),
  );
  expect(await trainer.run()).toBe('complete');
  const losses = records.filter((record) => record.type === 'train').map(({ loss }) => loss);
  expect(losses).toHaveLength(300);
  expect(losses[0]).toBeGreaterThan(5);
  expect(losses.at(-1)).toBeLessThan(0.3);
});

it('1,000 steps leave the number of live tensors and the native memory flat', async () => {
  const { trainer } = await smallTrainer(smallConfig({ maxSteps: 1100 }));
  for (let step = 0; step < 100; step++) trainer.update();
  const before = memoryStats();
  for (let step = 0; step < 1000; step++) trainer.update();
  const after = memoryStats();
  expect(after.liveTensors).toBe(before.liveTensors);
  expect(Math.abs(after.allocatedBytes - before.allocatedBytes)).toBeLessThan(64 * 1024);
});

it('accumulated micro-batches give the update of their mean', async () => {
  const weights = async (gradientAccumulation: number): Promise<number[]> => {
    const config = smallConfig({
      gradientAccumulation,
      clipNorm: null,
      optimizer: { name: 'adamw', learningRate: 1e-3 },
    });
    const { trainer } = await smallTrainer(config);
    const { loss, tokens } = trainer.update();
    expect(tokens).toBe(32 * gradientAccumulation);
    return [loss, trainer.options.task.model.parameters()[0]!.sum().item()];
  };
  const [one, two] = [await weights(1), await weights(2)];
  // The second micro-batch is other text: alike, not equal. A sum instead of a mean would double the loss.
  expect(two[0]).not.toBe(one[0]);
  expect(two[0]! / one[0]!).toBeCloseTo(1, 1);
});

describe('the end of a run', () => {
  it.each([
    ['steps', { maxSteps: 5 }, 5],
    ['tokens', { maxSteps: null, maxTokens: 100 }, 4],
  ])('by %s: evaluates, keeps the best, saves', async (_, budget, steps) => {
    const { trainer, folder, records } = await smallTrainer(smallConfig(budget));
    expect(await trainer.run()).toBe('complete');
    expect(trainer.counters.step).toBe(steps);
    expect(records.at(-1)).toMatchObject({ type: 'evaluation', step: steps, best: true });
    for (const place of ['checkpoints', 'best'])
      expect((await readNewestCheckpoint(join(folder.path, place))).newest?.step).toBe(steps);
  });

  it('by time', async () => {
    const { trainer } = await smallTrainer(smallConfig({ maxSteps: null, maxSeconds: 0.5 }));
    expect(await trainer.run()).toBe('complete');
    expect(trainer.counters.seconds).toBeGreaterThanOrEqual(0.5);
  });

  it('by request: saves at once', async () => {
    let asked = 0;
    const { trainer, folder, records } = await smallTrainer(smallConfig(), { shouldStop: () => ++asked > 3 });
    expect(await trainer.run()).toBe('stopped');
    expect(records.map(({ type }) => type)).toEqual(['train', 'train', 'train']);
    expect((await readNewestCheckpoint(join(folder.path, 'checkpoints'))).newest?.step).toBe(3);
    expect(existsSync(join(folder.path, 'best'))).toBe(false);
  });

  it('evaluations and checkpoints come when they are due', async () => {
    const { trainer, folder, records } = await smallTrainer(
      smallConfig({ maxSteps: 7, evaluateEverySteps: 2, checkpointEverySteps: 3 }),
    );
    await trainer.run();
    const evaluated = records.filter(({ type }) => type === 'evaluation').map(({ step }) => step);
    expect(evaluated).toEqual([2, 4, 6, 7]);
    expect((await readNewestCheckpoint(join(folder.path, 'checkpoints'))).newest?.step).toBe(7);
  });
});

describe('numbers that are not finite', () => {
  /** A task that multiplies the loss of one of its micro-batches by `factor`. */
  const spoiled = (task: TrainingTask, at: number, factor: number): TrainingTask => {
    const next = task.nextMicroBatch.bind(task);
    let count = 0;
    task.nextMicroBatch = () => {
      const micro = next();
      count += 1;
      return count === at ? { ...micro, loss: micro.loss.mul(factor) } : micro;
    };
    return task;
  };

  it('an update is skipped, counted and reported; the weights stay', async () => {
    const config = smallConfig({ maxSteps: 4 });
    const { trainer, records } = await smallTrainer(config, {
      task: spoiled(smallTask(config), 2, Number.NaN),
    });
    trainer.update();
    const weight = trainer.options.task.model.parameters()[0]!;
    const before = weight.toFloat32Array();
    expect(trainer.update().loss).toBeNaN();
    expect(weight.toFloat32Array()).toEqual(before);
    expect(trainer.counters).toMatchObject({ step: 2, skipped: 1, skippedInARow: 1 });
    expect(records.at(-1)).toMatchObject({ type: 'event', event: 'skipped', step: 2 });
    expect(trainer.update().loss).not.toBeNaN();
    expect(weight.toFloat32Array()).not.toEqual(before);
    expect(trainer.counters).toMatchObject({ step: 3, skipped: 1, skippedInARow: 0 });
  });

  it('an infinite gradient norm skips too', async () => {
    const config = smallConfig({ maxSteps: 4 });
    const { trainer } = await smallTrainer(config, { task: spoiled(smallTask(config), 1, 1e38) });
    trainer.update();
    expect(trainer.counters.skipped).toBe(1);
  });

  it('too many in a row end the run, saying where and what', async () => {
    const { trainer } = await smallTrainer(smallConfig({ stopAfterNonFinite: 3 }));
    const norm = trainer.options.task.model.namedParameters().get('norm.weight')!;
    noGrad(() => norm.copy_(full([16], Number.POSITIVE_INFINITY)));
    await expect(trainer.run()).rejects.toThrow(
      /^3 updates in a row were not finite, the last at step 3: loss NaN, gradient norm NaN, before epoch 0, segment 3 of 124; not finite: parameters norm.weight$/,
    );
  });
});

it.each([
  ['adamw', { optimizer: { name: 'adamw', learningRate: 3e-3, weightDecay: 0.1 } }, { dropout: 0.1 }],
  [
    'adam, reference mode',
    { optimizer: { name: 'adam', learningRate: 3e-3, weightDecay: 0.1 } },
    { mode: 'reference', embeddingDropout: 0.1 },
  ],
  [
    'accumulation, checkpointing, bfloat16',
    { gradientAccumulation: 2, activationCheckpointing: true, precision: 'bfloat16' },
    { dropout: 0.1 },
  ],
])('stopped and continued = never stopped, byte for byte: %s', async (_, changes, model) => {
  const config = smallConfig({ maxSteps: 9, ...changes }, model);
  const straight = await smallTrainer(config);
  await straight.trainer.run();
  const first = await smallTrainer(config, { shouldStop: () => first.trainer.counters.step === 4 });
  expect(await first.trainer.run()).toBe('stopped');
  const second = await smallTrainer(config);
  const { newest } = await readNewestCheckpoint(join(first.folder.path, 'checkpoints'));
  await restoreTrainer(second.trainer, newest!);
  await second.trainer.run();
  for (const name of ['model', 'optimizer', 'memory', 'random']) {
    const file = ({ folder }: typeof first) =>
      readFileSync(join(folder.path, `checkpoints/step-00000009/${name}.safetensors`));
    expect(Buffer.compare(file(straight), file(second)), name).toBe(0);
  }
});

it('a checkpoint of another model or optimiser is refused in one line', async () => {
  const first = await smallTrainer(smallConfig());
  first.trainer.update();
  await first.trainer.save();
  const { newest } = await readNewestCheckpoint(join(first.folder.path, 'checkpoints'));
  const wider = await smallTrainer(smallConfig({}, { innerDim: 64 }));
  await expect(restoreTrainer(wider.trainer, newest!)).rejects.toThrow(
    'layers.0.ff.fc1.weight (expected [64,16], received [32,16])',
  );
  const other = await smallTrainer(smallConfig({ optimizer: { name: 'adam', learningRate: 1e-3 } }));
  await expect(restoreTrainer(other.trainer, newest!)).rejects.toThrow(
    'expected the state of Adam, received that of "AdamW"',
  );
});
