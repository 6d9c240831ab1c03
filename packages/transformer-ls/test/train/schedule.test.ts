import { expect, it } from 'vitest';
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
