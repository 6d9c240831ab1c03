import { describe, expect, it } from 'vitest';
import { constantWithWarmup, cosineWithWarmup, oneCycle } from '../../src/index.js';
import { optimFixture } from '../fixtures/optim.js';

/** Equal but for the last bits of a double. */
function expectNear(received: number | undefined, expected: number): void {
  expect(Math.abs(received! - expected)).toBeLessThanOrEqual(1e-12 * Math.abs(expected) + 1e-18);
}

it('constantWithWarmup rises by equal steps and stays', () => {
  const schedule = constantWithWarmup({ learningRate: 0.8, warmupSteps: 4 });
  expect([0, 1, 2, 3, 4, 1000].map((step) => schedule(step).learningRate)).toEqual([
    0.2, 0.4, 0.6000000000000001, 0.8, 0.8, 0.8,
  ]);
  expect(constantWithWarmup({ learningRate: 0.8, warmupSteps: 0 })(0)).toEqual({ learningRate: 0.8 });
});

it('cosineWithWarmup rises, falls along half a cosine and stays at its minimum', () => {
  const schedule = cosineWithWarmup({
    learningRate: 1,
    warmupSteps: 2,
    totalSteps: 10,
    minimumLearningRate: 0.2,
  });
  const rates = [0, 1, 2, 4, 6, 8, 10, 50].map((step) => schedule(step).learningRate);
  const quarter = 0.4 * Math.SQRT1_2;
  [0.5, 1, 1, 0.6 + quarter, 0.6, 0.6 - quarter, 0.2, 0.2].forEach((expected, i) => {
    expectNear(rates[i], expected);
  });
});

describe("oneCycle, PyTorch's numbers", () => {
  it.each(optimFixture.oneCycle)('$totalSteps steps, $warmupFraction of them up, $anneal', (one) => {
    const schedule = oneCycle({
      maxLearningRate: 0.01,
      totalSteps: one.totalSteps,
      warmupFraction: one.warmupFraction,
      anneal: one.anneal === 'cos' ? 'cosine' : 'linear',
      initialDivisor: 10,
      finalDivisor: 100,
    });
    expect(one.rows).toHaveLength(one.totalSteps);
    for (const [step, [learningRate, beta1]] of one.rows.entries()) {
      expectNear(schedule(step).learningRate, learningRate);
      expectNear(schedule(step).beta1, beta1);
    }
  });

  it('the schedule of the Text task (spec section 7)', () => {
    const schedule = oneCycle({
      maxLearningRate: 1e-4,
      totalSteps: 20_000,
      warmupFraction: 8000 / 20_000,
      anneal: 'linear',
    });
    for (const [step, [learningRate, beta1]] of Object.entries(optimFixture.textCycle)) {
      expectNear(schedule(Number(step)).learningRate, learningRate);
      expectNear(schedule(Number(step)).beta1, beta1);
    }
    expectNear(schedule(0).learningRate, 4e-6);
    expectNear(schedule(7999).beta1, 0.85);
    expectNear(schedule(19_999).learningRate, 4e-10);
  });
});

it('oneCycle with one step of warm-up starts at the top', () => {
  const schedule = oneCycle({ maxLearningRate: 1, totalSteps: 10, warmupFraction: 0.1 });
  expect(schedule(0)).toEqual({ learningRate: 1, beta1: 0.85 });
});

it.each([
  [
    () => constantWithWarmup({ learningRate: 1, warmupSteps: -1 }),
    'constantWithWarmup: expected warmupSteps to be a whole number of at least 0, received -1',
  ],
  [
    () => cosineWithWarmup({ learningRate: 1, warmupSteps: 5, totalSteps: 5 }),
    'cosineWithWarmup: expected totalSteps to be a whole number of at least 6, received 5',
  ],
  [
    () => oneCycle({ maxLearningRate: 1, totalSteps: 1 }),
    'oneCycle: expected totalSteps to be a whole number of at least 2, received 1',
  ],
  [
    () => oneCycle({ maxLearningRate: 1, totalSteps: 5, warmupFraction: 2 }),
    'oneCycle: expected warmupFraction between 0 and 1, received 2',
  ],
  [
    () => oneCycle({ maxLearningRate: 1, totalSteps: 5, anneal: 'cos' as 'cosine' }),
    'oneCycle: expected anneal cosine or linear, received "cos"',
  ],
  [() => oneCycle({ maxLearningRate: 1, totalSteps: 5 })(5), 'oneCycle: step 5 of a schedule of 5 steps'],
])('wrong options give one line (%#)', (make, message) => {
  expect(make).toThrow(message);
});
