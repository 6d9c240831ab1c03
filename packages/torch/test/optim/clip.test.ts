import { expect, it } from 'vitest';
import { clipGradNorm, memoryStats, type Tensor, tensor, zeros } from '../../src/index.js';
import { optimFixture } from '../fixtures/optim.js';

function withGradients(): Map<string, Tensor> {
  const { start, shapes, gradients } = optimFixture;
  return new Map(
    Object.entries(start).map(([name, values]) => {
      const options = { shape: shapes[name]!, dtype: 'float64' as const };
      const parameter = tensor(values, { ...options, requiresGrad: true });
      parameter.grad = tensor(gradients[0]![name]!, options);
      return [name, parameter];
    }),
  );
}

it.each(optimFixture.clip)('clips to $maxNorm as PyTorch does', ({ maxNorm, norm, gradients }) => {
  const parameters = withGradients();
  const before = memoryStats().liveTensors;
  expect(clipGradNorm(parameters.values(), maxNorm)).toBeCloseTo(norm, 12);
  expect(memoryStats().liveTensors).toBe(before);
  for (const [name, parameter] of parameters)
    for (const [i, value] of Array.from(parameter.grad!.toTypedArray(), Number).entries())
      expect(value).toBeCloseTo(gradients[name]![i]!, 12);
});

it('passes over parameters without gradient', () => {
  expect(clipGradNorm([zeros([2], { requiresGrad: true })], 1)).toBe(0);
  expect(clipGradNorm([], 1)).toBe(0);
});

it('gives back a norm that is not finite', () => {
  const parameter = zeros([2], { requiresGrad: true });
  parameter.grad = tensor([Number.POSITIVE_INFINITY, 1]);
  expect(clipGradNorm([parameter], 1)).toBe(Number.POSITIVE_INFINITY);
  parameter.grad = tensor([Number.NaN, 1]);
  expect(clipGradNorm([parameter], 1)).toBeNaN();
});

it('refuses a negative limit', () => {
  expect(() => clipGradNorm([], -1)).toThrow('clipGradNorm: expected maxNorm of at least 0, received -1');
});
