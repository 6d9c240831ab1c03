// The leak test: a small perceptron trained for 1,000 steps holds no more tensors, and the process no more memory, at
// the end than after warming up.
import { expect, test } from 'vitest';
import {
  crossEntropy,
  linear,
  manualSeed,
  memoryStats,
  noGrad,
  randint,
  randn,
  scope,
  type Tensor,
} from '../src/index.js';

const WIDTH = 64;
const CLASSES = 10;
const BATCH = 32;

function makeParameters(): Tensor[] {
  const sizes = [[WIDTH, WIDTH], [WIDTH], [WIDTH, WIDTH], [WIDTH], [CLASSES, WIDTH], [CLASSES]];
  return sizes.map((shape) => {
    const parameter = randn(shape).mul_(0.1);
    parameter.requiresGrad = true;
    return parameter;
  });
}

function loss([w1, b1, w2, b2, w3, b3]: readonly Tensor[], x: Tensor, target: Tensor): Tensor {
  const hidden = linear(linear(x, w1!, b1).gelu(), w2!, b2).relu();
  return crossEntropy(linear(hidden, w3!, b3), target);
}

function step(parameters: readonly Tensor[]): number {
  return scope(() => {
    const found = loss(parameters, randn([BATCH, WIDTH]), randint(0, CLASSES, [BATCH]));
    found.backward();
    noGrad(() => {
      for (const parameter of parameters) {
        parameter.sub_(parameter.grad!, 0.01);
        parameter.grad = null;
      }
    });
    return found.item();
  });
}

test('1,000 training steps leave live tensors, allocated bytes and resident memory flat', () => {
  manualSeed(0);
  const parameters = makeParameters();
  for (let i = 0; i < 200; i++) step(parameters);
  const before = memoryStats();
  for (let i = 0; i < 1000; i++) step(parameters);
  const after = memoryStats();
  expect(after.liveTensors).toBe(before.liveTensors);
  expect(after.liveTensors).toBe(parameters.length);
  expect(after.allocatedBytes).toBe(before.allocatedBytes);
  const grownMiB = (after.residentBytes - before.residentBytes) / 2 ** 20;
  expect(grownMiB).toBeLessThan(12); // V8's own heap may still move; a leak of one hidden layer a step would be 8 MiB
});
