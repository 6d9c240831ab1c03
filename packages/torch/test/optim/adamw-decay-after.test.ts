import { describe, expect, it } from 'vitest';
import { Adam, AdamWDecayAfter, manualSeed, randn, type Tensor, tensor } from '../../src/index.js';

const OPTIONS = { learningRate: 0.03, beta1: 0.8, beta2: 0.95, epsilon: 1e-3, weightDecay: 0.2 };

/** Spec 4.6, one number at a time; the published code in float64. */
class SlowParameter {
  private first = 0;
  private second = 0;

  constructor(public value: number) {}

  step(gradient: number, t: number): void {
    const { learningRate, beta1, beta2, epsilon, weightDecay } = OPTIONS;
    this.first = beta1 * this.first + (1 - beta1) * gradient;
    this.second = beta2 * this.second + (1 - beta2) * gradient * gradient;
    const size = (learningRate * Math.sqrt(1 - beta2 ** t)) / (1 - beta1 ** t);
    this.value -= (size * this.first) / (Math.sqrt(this.second) + epsilon);
    this.value -= learningRate * weightDecay * this.value;
  }
}

function numbersOf(value: Tensor): number[] {
  return Array.from(value.toTypedArray() as Float64Array);
}

describe.each([true, false])('native operator %s', (fused) => {
  it.each([
    ['float64', 12],
    ['float32', 5],
  ] as const)('step by step the numbers of the published rule, %s', (dtype, digits) => {
    manualSeed(1);
    const gradients = Array.from({ length: 6 }, () => randn([7], { dtype }));
    const parameter = tensor([1, -2, 0.5, 3, 0, 1e-3, -7], { dtype, requiresGrad: true });
    const slow = numbersOf(parameter).map((value) => new SlowParameter(value));
    const optimizer = new AdamWDecayAfter([parameter], { ...OPTIONS, fused });
    for (const [step, gradient] of gradients.entries()) {
      parameter.grad = gradient;
      optimizer.step();
      for (const [i, one] of slow.entries()) one.step(numbersOf(gradient)[i]!, step + 1);
      for (const [i, value] of numbersOf(parameter).entries())
        expect(value, `[${i}] after step ${step + 1}`).toBeCloseTo(slow[i]!.value, digits);
    }
  });
});

it('is not the Adam that shrinks first: the two part from the first step', () => {
  const [after, before] = [tensor([1], { requiresGrad: true }), tensor([1], { requiresGrad: true })];
  for (const parameter of [after, before]) parameter.grad = tensor([1]);
  new AdamWDecayAfter([after], OPTIONS).step();
  new Adam([before], OPTIONS).step();
  expect(Math.abs(after.item() - before.item())).toBeGreaterThan(1e-5);
});

it('continues from its saved state, and refuses that of another rule', () => {
  const make = (parameter: Tensor) => new AdamWDecayAfter(new Map([['w', parameter]]), OPTIONS);
  const straight = tensor([1, 2], { requiresGrad: true });
  const optimizer = make(straight);
  const step = (parameter: Tensor, rule: AdamWDecayAfter) => {
    parameter.grad = tensor([0.3, -0.1]);
    rule.step();
  };
  step(straight, optimizer);
  const copy = tensor(straight.toTypedArray(), { requiresGrad: true });
  const continued = make(copy);
  continued.loadStateDict(optimizer.stateDict());
  step(straight, optimizer);
  step(copy, continued);
  expect(copy.equal(straight)).toBe(true);
  const other = new Adam(new Map([['w', tensor([1, 2], { requiresGrad: true })]]), OPTIONS);
  expect(() => other.loadStateDict(optimizer.stateDict())).toThrow(
    'expected the state of Adam, received that of "AdamWDecayAfter"',
  );
});
