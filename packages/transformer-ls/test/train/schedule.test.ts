import { describe, expect, it } from 'vitest';
import { progressOf, scheduledSettings } from '../../src/train/schedule.js';
import { smallConfig } from './small-run.js';

const limits = (changes: object) => ({ maxSteps: null, maxTokens: null, maxSeconds: null, ...changes });
const rate = (schedule: object, budgets: object, used: object): number =>
  scheduledSettings(
    smallConfig({ schedule, ...limits(budgets), optimizer: { name: 'adamw', learningRate: 2 } }),
    { steps: 0, tokens: 0, seconds: 0, ...used },
  ).learningRate;

it('progress is the largest used part of the budgets', () => {
  const used = { steps: 5, tokens: 30, seconds: 40 };
  expect(progressOf(used, { maxSteps: 10, maxTokens: 100, maxSeconds: null })).toBe(0.5);
  expect(progressOf(used, { maxSteps: 10, maxTokens: 100, maxSeconds: 50 })).toBe(0.8);
  expect(progressOf(used, { maxSteps: 5, maxTokens: null, maxSeconds: null })).toBe(1);
});

it('constant: step s of the warm-up gets (s + 1) / warmupSteps of the peak (spec 3.8)', () => {
  const schedule = { name: 'constant', warmupSteps: 4 };
  const rates = [0, 1, 3, 4, 99].map((steps) => rate(schedule, { maxSteps: 100 }, { steps }));
  expect(rates).toEqual([0.5, 1, 2, 2, 2]);
});

it.each([
  ['steps', { maxSteps: 1000 }, (part: number) => ({ steps: part * 1000 })],
  ['tokens', { maxTokens: 1000 }, (part: number) => ({ steps: 50, tokens: part * 1000 })],
  ['seconds', { maxSeconds: 900 }, (part: number) => ({ steps: 50, seconds: part * 900 })],
])('cosine falls with the progress in %s to the last fraction', (_, budgets, usedAt) => {
  const schedule = { name: 'cosine', warmupSteps: 10, finalLearningRateFraction: 0.1 };
  expect(rate(schedule, budgets, usedAt(0.5))).toBeCloseTo(1.1, 9);
  expect(rate(schedule, budgets, usedAt(1))).toBeCloseTo(0.2, 9);
  expect(rate(schedule, budgets, usedAt(1.5))).toBeCloseTo(0.2, 9);
});

it('one-cycle: the numbers of the LRA Text run (spec 7)', () => {
  const config = smallConfig({
    maxSteps: 20_000,
    optimizer: { name: 'adamw', learningRate: 1e-4 },
    schedule: { name: 'one-cycle', warmupSteps: 8000, finalLearningRateFraction: 4e-6 },
  });
  const at = (steps: number) => scheduledSettings(config, { steps, tokens: 0, seconds: 0 });
  expect(at(0).learningRate).toBeCloseTo(4e-6, 12);
  expect(at(0).beta1).toBeCloseTo(0.95, 9);
  expect(at(7999).learningRate).toBeCloseTo(1e-4, 12);
  expect(at(7999).beta1).toBeCloseTo(0.85, 9);
  expect(at(19_999).learningRate).toBeCloseTo(4e-10, 15);
  expect(at(19_999).beta1).toBeCloseTo(0.95, 9);
});

describe('vision-cosine', () => {
  // Spec 4.6 for 300 epochs of 1,251 updates, 5 of them warm-up.
  const [peak, steps, warmup, least] = [8e-4, 300 * 1251, 5 * 1251, 1e-6];
  const published = (step: number) =>
    step < warmup
      ? peak * (0.002 * (1 - step / warmup) + step / warmup)
      : least + ((peak - least) * (1 + Math.cos((Math.PI * step) / steps))) / 2;
  const config = smallConfig({
    ...limits({ maxSteps: steps }),
    optimizer: { name: 'adamw-decay-after', learningRate: peak },
    schedule: {
      name: 'vision-cosine',
      warmupFraction: 5 / 300,
      initialLearningRateFraction: 0.002,
      finalLearningRateFraction: least / peak,
    },
  });

  it.each([0, 1, 1251, warmup - 1, warmup, warmup + 1, 100_000, steps / 2, steps - 1, steps])(
    'step %i: the published rate',
    (step) => {
      const { learningRate } = scheduledSettings(config, { steps: step, tokens: 0, seconds: 0 });
      expect(learningRate).toBeCloseTo(published(step), 12);
    },
  );

  it('falls a little where the warm-up ends: the cosine has run since the first step', () => {
    const at = (step: number) =>
      scheduledSettings(config, { steps: step, tokens: 0, seconds: 0 }).learningRate;
    expect(at(warmup)).toBeLessThan(peak);
    expect(at(warmup - 1)).toBeGreaterThan(at(warmup));
  });

  it('has its warm-up as a part of a run, whatever limits the run', () => {
    const seconds = { ...config, maxSteps: null, maxSeconds: 600 };
    const at = (used: number) =>
      scheduledSettings(seconds, { steps: 7, tokens: 0, seconds: used }).learningRate;
    expect(at(5)).toBeCloseTo(peak * (0.002 + 0.998 / 2), 12);
    expect(at(600)).toBeCloseTo(least, 12);
  });

  it.each([
    [
      { name: 'vision-cosine', warmupSteps: 3 },
      'warmupSteps: expected 0 for the schedule vision-cosine, received 3',
    ],
    [
      { name: 'cosine', warmupFraction: 0.1 },
      'warmupFraction: expected 0 for the schedule cosine, received 0.1',
    ],
  ])('%j is refused', (schedule, message) => {
    expect(() => smallConfig({ schedule })).toThrow(message);
  });
});
