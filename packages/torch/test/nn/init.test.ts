import { describe, expect, it } from 'vitest';
import { Embedding, empty, init, LayerNorm, Linear, manualSeed, type Tensor } from '../../src/index.js';
import { optimFixture } from '../fixtures/optim.js';

function moments(value: Tensor) {
  const elements = value.toTypedArray() as Float32Array;
  let sum = 0;
  for (const element of elements) sum += element;
  const mean = sum / elements.length;
  let squares = 0;
  for (const element of elements) squares += (element - mean) ** 2;
  return {
    mean,
    std: Math.sqrt(squares / elements.length),
    min: value.min().item(),
    max: value.max().item(),
  };
}

it('equal seeds give the weights that PyTorch gives', () => {
  manualSeed(7);
  const linear = new Linear({ inFeatures: 5, outFeatures: 3 });
  const made = {
    weight: linear.weight,
    bias: linear.bias!,
    embedding: new Embedding({ count: 6, dim: 4 }).weight,
    xavier: init.xavierUniform_(empty([4, 6]), 0.5),
    kaiming: init.kaimingUniform_(empty([4, 3, 2]), 1),
  };
  for (const [name, value] of Object.entries(made)) {
    const expected = optimFixture.seeded[name]!;
    // The normal numbers come out of vectorised logarithms that differ in the last bit between versions.
    value.toFloat32Array().forEach((element, i) => {
      expect(element).toBeCloseTo(expected[i]!, 6);
    });
  }
});

describe('moments of 200,000 draws', () => {
  const count = 200_000;
  const shape = [count / 400, 400];

  it('normal_', () => {
    manualSeed(1);
    const { mean, std } = moments(init.normal_(empty(shape), 1, 0.02));
    expect(mean).toBeCloseTo(1, 3);
    expect(std).toBeCloseTo(0.02, 3);
  });

  it('uniform_', () => {
    manualSeed(1);
    const { mean, std, min, max } = moments(init.uniform_(empty(shape), -1, 3));
    expect(mean).toBeCloseTo(1, 1);
    expect(std).toBeCloseTo(4 / Math.sqrt(12), 1);
    expect(min).toBeGreaterThanOrEqual(-1);
    expect(max).toBeLessThan(3);
  });

  it('truncNormal_ cuts at values, not at multiples of std', () => {
    manualSeed(1);
    const narrow = moments(init.truncNormal_(empty(shape), 0, 1, -1, 1));
    // The variance of a standard normal number cut at ±1 is 1 - 2 φ(1) / (Φ(1) - Φ(-1)).
    expect(narrow.std).toBeCloseTo(Math.sqrt(1 - (2 * 0.24197072) / 0.68268949), 2);
    expect(narrow.mean).toBeCloseTo(0, 1);
    expect([narrow.min >= -1, narrow.max <= 1]).toEqual([true, true]);
    const wide = moments(init.truncNormal_(empty(shape), 0, 0.02));
    expect(wide.std).toBeCloseTo(0.02, 3);
    expect(wide.max).toBeGreaterThan(0.07);
  });

  it('xavierUniform_ and kaimingUniform_ reach their bounds', () => {
    manualSeed(1);
    const xavier = moments(init.xavierUniform_(empty(shape)));
    expect(xavier.max).toBeCloseTo(Math.sqrt(6 / (500 + 400)), 3);
    const kaiming = moments(init.kaimingUniform_(empty(shape)));
    expect(kaiming.min).toBeCloseTo(-Math.sqrt(6 / 400), 3);
  });
});

it('constants, and the starting values of the layers', () => {
  expect(init.zeros_(empty([2])).tolist()).toEqual([0, 0]);
  expect(init.ones_(empty([2])).tolist()).toEqual([1, 1]);
  expect(init.constant_(empty([2]), 0.5).tolist()).toEqual([0.5, 0.5]);
  const norm = new LayerNorm({ dim: 2 });
  expect([norm.weight.tolist(), norm.bias.tolist()]).toEqual([
    [1, 1],
    [0, 0],
  ]);
  const linear = moments(new Linear({ inFeatures: 100, outFeatures: 1000 }).weight);
  expect(linear.max).toBeCloseTo(0.1, 3);
});

it('fills trained leaves without recording it', () => {
  const { weight } = new Linear({ inFeatures: 2, outFeatures: 2 });
  expect(init.zeros_(weight)).toBe(weight);
  expect([weight.isLeaf, weight.requiresGrad]).toEqual([true, true]);
});

it('wrong inputs give one line', () => {
  expect(() => init.xavierUniform_(empty([3]))).toThrow(
    'xavierUniform_: expected at least 2 dimensions, received shape [3]',
  );
  expect(() => init.kaimingUniform_(empty([]))).toThrow('kaimingUniform_: expected at least 2 dimensions');
  expect(() => init.truncNormal_(empty([3]), 0, 1, 2, -2)).toThrow(
    'truncNormal_: expected low < high, received 2 and -2',
  );
});
