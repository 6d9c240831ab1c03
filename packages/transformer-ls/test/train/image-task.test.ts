import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { full, memoryStats, noGrad, type Tensor } from '@transformer-ls/torch';
import { describe, expect, it } from 'vitest';
import type { Trainer } from '../../src/train/trainer.js';
import { restoreTrainer } from '../../src/train/training-state.js';
import { scratchFolder } from '../data/scratch-folder.js';
import {
  SIDE,
  StripeBatches,
  smallImageConfig,
  smallImageTrainer,
  type WithStatistics,
} from './small-image-run.js';

const noisy = { dropPath: 0.3, dropout: 0.1 };

describe('training a vision model', () => {
  it('learns from mixed targets, measures accuracy and top-5, keeps the best by accuracy', async () => {
    const trainer = await smallImageTrainer(smallImageConfig({ maxSteps: 120 }), `${scratchFolder()}/run`);
    const first = trainer.update();
    expect(first).toMatchObject({ tokens: 16, bpc: null });
    expect(first.loss).toBeGreaterThan(1.2); // ln 4 = 1.39
    await trainer.run();
    const record = await trainer.evaluate();
    expect(record.accuracy).toBeGreaterThan(0.9);
    expect(record.top5).toBe(1); // of four classes
    expect(trainer.counters.best!.accuracy).toBe(record.accuracy);
  });

  it('counts a mixed picture as right where it gets the class of the larger part', async () => {
    const config = smallImageConfig();
    const trainer = await smallImageTrainer(config, `${scratchFolder()}/run`);
    const batches = new StripeBatches(config.batchSize, true);
    const { labels } = batches.next();
    const model = trainer.options.task.model as WithStatistics;
    const only = 2;
    noGrad(() => {
      for (const [name, value] of model.namedParameters())
        if (name === 'inner.head.weight') value.zero_();
        else if (name === 'inner.head.bias')
          value
            .copy_(full([4], 0))
            .select(0, only)
            .fill_(9);
    });
    const wanted = labels.filter((label) => label === only).length / labels.length;
    expect(trainer.update().accuracy).toBeCloseTo(wanted, 9);
  });

  it('leaves the number of live tensors as it is', async () => {
    const config = smallImageConfig({ emaDecay: 0.9, gradientAccumulation: 2 });
    const trainer = await smallImageTrainer(config, `${scratchFolder()}/run`);
    for (let step = 0; step < 5; step++) trainer.update();
    await trainer.evaluate();
    const before = memoryStats().liveTensors;
    for (let step = 0; step < 50; step++) trainer.update();
    await trainer.evaluate();
    expect(memoryStats().liveTensors).toBe(before);
  });
});

describe('stopped and continued = never stopped, byte for byte', () => {
  it.each([
    ['AdamW, average of the weights', { emaDecay: 0.9 }],
    [
      'the published rule and schedule, accumulation',
      {
        gradientAccumulation: 2,
        optimizer: { name: 'adamw-decay-after', learningRate: 1e-2, weightDecay: 0.1 },
        schedule: { name: 'vision-cosine', warmupFraction: 0.2, initialLearningRateFraction: 0.002 },
      },
    ],
    ['bfloat16', { precision: 'bfloat16', emaDecay: 0.99 }],
  ])('%s', async (_, changes) => {
    const config = smallImageConfig({ maxSteps: 9, evaluateEverySteps: 3, ...changes }, noisy);
    const straight = await smallImageTrainer(config, `${scratchFolder()}/straight`);
    await straight.run();

    const folder = `${scratchFolder()}/stopped`;
    let asked = 0;
    const before = await smallImageTrainer(config, folder);
    Object.assign(before.options, { shouldStop: () => ++asked > 5 });
    expect(await before.run()).toBe('stopped');
    await before.options.folder.close();
    const after = await smallImageTrainer(config, folder);
    await restoreTrainer(after, after.options.folder.newest!);
    expect(after.counters.step).toBe(5);
    await after.run();

    const names = ['model', 'optimizer', 'random'];
    if ('emaDecay' in changes) names.push('trained-weights');
    for (const name of names) expect(bytesOf(after, name).equals(bytesOf(straight, name)), name).toBe(true);
    expect(after.counters.best).toEqual(straight.counters.best);
  });

  it('refuses other pictures', async () => {
    const folder = `${scratchFolder()}/run`;
    const config = smallImageConfig({ maxSteps: 1 });
    const before = await smallImageTrainer(config, folder);
    await before.run();
    await before.options.folder.close();
    const after = await smallImageTrainer(config, folder, { fingerprint: 'others' });
    await expect(restoreTrainer(after, after.options.folder.newest!)).rejects.toThrow(
      'the training pictures have changed: the run was started with SHA-256 stripes; found SHA-256 others',
    );
  });
});

describe('an average of the weights', () => {
  it('is what is evaluated and saved; the weights go on as without it', async () => {
    const plain = await smallImageTrainer(smallImageConfig({ maxSteps: 8 }), `${scratchFolder()}/plain`);
    const config = smallImageConfig({ maxSteps: 8, emaDecay: 0.9, evaluateEverySteps: 2 });
    const averaged = await smallImageTrainer(config, `${scratchFolder()}/averaged`);
    await plain.run();
    await averaged.run();
    const [own, kept] = [plain.options.task.model.stateDict(), averaged.options.task.model.stateDict()];
    for (const [name, value] of own) expect(value.equal(kept.get(name)!), name).toBe(true);
    const average = averaged.average!.stateDict();
    expect(average.get('inner.head.weight')!.equal(own.get('inner.head.weight')!)).toBe(false);
    expect(bytesOf(averaged, 'trained-weights').equals(bytesOf(averaged, 'model'))).toBe(false);
    expect(averaged.counters.best!.loss).not.toBe(plain.counters.best!.loss);
  });

  it('keeps min(decay, (1 + n) / (10 + n)) of itself at the n-th update, running statistics included', async () => {
    const trainer = await smallImageTrainer(smallImageConfig({ emaDecay: 0.24 }), `${scratchFolder()}/run`);
    const { model } = trainer.options.task;
    const names = ['inner.norm.weight', 'statistics.running_mean'];
    const values = (state: ReadonlyMap<string, Tensor>) =>
      names.map((name) => [...state.get(name)!.toFloat32Array()]);
    let expected = values(model.stateDict());
    for (const kept of [2 / 11, 3 / 12, 0.24, 0.24].map((rule) => Math.min(0.24, rule))) {
      trainer.update();
      const now = values(model.stateDict());
      expected = expected.map((old, i) => old.map((one, j) => kept * one + (1 - kept) * now[i]![j]!));
      for (const [i, found] of values(trainer.average!.stateDict()).entries())
        for (const [j, one] of found.entries()) expect(one, names[i]!).toBeCloseTo(expected[i]![j]!, 5);
    }
    const counted = trainer.average!.stateDict().get('statistics.num_batches_tracked')!;
    expect(counted.item()).toBe(4);
  });
});

describe('numbers that are not finite', () => {
  it('leave the running statistics as they were before the update', async () => {
    class Spoiled extends StripeBatches {
      count = 0;
      override next() {
        const batch = super.next();
        // The first of the two batches of the second update.
        if (this.count++ === 2) batch.pixels.fill(Number.NaN, 0, SIDE);
        return batch;
      }
    }
    const config = smallImageConfig({ gradientAccumulation: 2, emaDecay: 0.9 });
    const trainer = await smallImageTrainer(config, `${scratchFolder()}/run`, { batches: new Spoiled(16) });
    const { statistics } = trainer.options.task.model as WithStatistics;
    trainer.update();
    const before = statistics.running_mean.toFloat32Array();
    expect(trainer.update().loss).toBeNaN();
    expect(statistics.running_mean.toFloat32Array()).toEqual(before);
    expect(trainer.counters).toMatchObject({ step: 2, skipped: 1 });
    expect(trainer.update().loss).toBeLessThan(10);
    const averaged = trainer.average!.stateDict().get('statistics.running_mean')!;
    expect(averaged.isfinite().all().item()).toBe(1);
  });
});

/** A file of the newest checkpoint. */
function bytesOf({ options, counters }: Trainer, name: string): Buffer {
  const step = `step-${String(counters.step).padStart(8, '0')}`;
  return readFileSync(join(options.folder.path, 'checkpoints', step, `${name}.safetensors`));
}
