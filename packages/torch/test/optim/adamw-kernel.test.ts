import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  arange,
  empty,
  getNumThreads,
  manualSeed,
  noGrad,
  operator,
  operatorSchema,
  rand,
  randn,
  setNumThreads,
  type Tensor,
  zeros,
} from '../../src/index.js';
import { type AdamWNumbers, type AdamWUpdate, foreachStep, fusedStep } from '../../src/optim/adamw-step.js';

const NUMBERS: AdamWNumbers = {
  learningRate: 0.01,
  beta1: 0.9,
  beta2: 0.99,
  epsilon: 1e-6,
  weightDecay: 0.1,
  step: 4,
  gradientScale: 0.5,
};

function makeUpdate(shape: readonly number[], dtype: 'float32' | 'float64'): AdamWUpdate {
  return {
    parameter: randn(shape, { dtype }),
    gradient: randn(shape, { dtype }),
    firstMoment: randn(shape, { dtype }),
    secondMoment: rand(shape, { dtype }),
  };
}

function copyOf(update: AdamWUpdate): AdamWUpdate {
  return {
    parameter: update.parameter.clone(),
    gradient: update.gradient,
    firstMoment: update.firstMoment.clone(),
    secondMoment: update.secondMoment.clone(),
  };
}

function expectClose(a: AdamWUpdate, b: AdamWUpdate, tolerance: number): void {
  for (const key of ['parameter', 'firstMoment', 'secondMoment'] as const)
    expect(a[key].allclose(b[key], tolerance, tolerance), key).toBe(true);
}

describe('native = foreach to rounding', () => {
  it.each([
    ['float32', 1e-5],
    ['float64', 1e-13],
  ] as const)('%s, any shape', (dtype, tolerance) => {
    manualSeed(0);
    fc.assert(
      fc.property(fc.array(fc.nat(70), { maxLength: 3 }), (shape) => {
        const native = makeUpdate(shape, dtype);
        const composed = copyOf(native);
        fusedStep([native], NUMBERS);
        foreachStep([composed], NUMBERS);
        expectClose(native, composed, tolerance);
      }),
      { numRuns: 60 },
    );
  });

  it('several tensors, large enough for several threads, of both dtypes', () => {
    const native = [
      makeUpdate([300, 700], 'float32'),
      makeUpdate([100_001], 'float64'),
      makeUpdate([], 'float32'),
    ];
    const composed = native.map(copyOf);
    fusedStep(native, NUMBERS);
    foreachStep(composed, NUMBERS);
    native.forEach((update, i) => {
      expectClose(update, composed[i]!, 1e-5);
    });
  });

  it('a gradient that is not contiguous', () => {
    const native = { ...makeUpdate([40, 30], 'float32'), gradient: randn([30, 40]).transpose(0, 1) };
    const composed = copyOf(native);
    fusedStep([native], NUMBERS);
    foreachStep([composed], NUMBERS);
    expectClose(native, composed, 1e-5);
  });
});

it('gives the same bits on one thread and on two', () => {
  const threads = getNumThreads();
  const one = makeUpdate([200_003], 'float32');
  const two = copyOf(one);
  try {
    setNumThreads(1);
    fusedStep([one], NUMBERS);
    setNumThreads(2);
    fusedStep([two], NUMBERS);
  } finally {
    setNumThreads(threads);
  }
  expect(one.parameter.equal(two.parameter)).toBe(true);
});

it('is found by name like any operator of PyTorch, with its schema', () => {
  expect(operatorSchema('tls::adamw_')).toMatch(
    /^tls::adamw_\(Tensor\(a!\)\[\] parameters, Tensor\[\] gradients/,
  );
});

it('autograd notices that a saved tensor was changed', () => {
  const update = makeUpdate([3], 'float32');
  const factor = randn([3], { requiresGrad: true });
  const product = factor.mul(update.parameter).sum();
  fusedStep([update], NUMBERS);
  expect(() => product.backward()).toThrow(/modified by an inplace operation/);
});

describe('refuses in one line and changes nothing', () => {
  type Call = (...values: unknown[]) => void;
  const adamw = operator<Call>('tls::adamw_');
  const rates = [0.01, 0.9, 0.99, 1e-6, 0.1, 1, 1];
  const like = (tensor: Tensor) => [[zeros([2])], [zeros([2])], [zeros([2])], [tensor]];

  it.each<[string, unknown[], string]>([
    [
      'a gradient too few',
      [[zeros([2])], [], [zeros([2])], [zeros([2])], ...rates],
      'received 1 parameters, 0 gradients',
    ],
    ['another shape', [...like(zeros([3])), ...rates], 'second moment 0 has shape [3], its parameter [2]'],
    ['another dtype', [...like(zeros([2], { dtype: 'float64' })), ...rates], 'second moment 0 has dtype'],
    [
      'integers',
      [[arange(0, 2)], [arange(0, 2)], [arange(0, 2)], [arange(0, 2)], ...rates],
      'expected float32 or float64',
    ],
    [
      'not contiguous',
      [...like(zeros([4]).slice(0, 0, 4, 2)), ...rates],
      'second moment 0 must be contiguous',
    ],
    ['expanded', [...like(zeros([1]).expand([2])), ...rates], 'second moment 0 must be contiguous'],
    ['step 0', [...like(zeros([2])), 0.01, 0.9, 0.99, 1e-6, 0.1, 0, 1], 'steps count from 1, received 0'],
    [
      'a beta of 1',
      [...like(zeros([2])), 0.01, 1, 0.99, 1e-6, 0.1, 1, 1],
      'expected betas in [0, 1), received 1 and',
    ],
    [
      'a rate of NaN',
      [...like(zeros([2])), Number.NaN, 0.9, 0.99, 1e-6, 0.1, 1, 1],
      'expected finite numbers',
    ],
    [
      'epsilon below 0',
      [...like(zeros([2])), 0.01, 0.9, 0.99, -1, 0.1, 1, 1],
      'expected epsilon of at least 0',
    ],
    ['no tensors', [[], [], [], [], ...rates], 'There were no tensor arguments'],
    ['not lists', [zeros([2]), [], [], [], ...rates], 'expected an array of Tensors'],
    ['null in a list', [[null], [null], [null], [null], ...rates], 'tls::adamw_'],
  ])('%s', (_, values, message) => {
    const written = values.flat().filter((value) => value !== null && typeof value === 'object') as Tensor[];
    const before = written.map((value) => value.tolist());
    expect(() => noGrad(() => adamw(...values))).toThrow(message);
    expect(written.map((value) => value.tolist())).toEqual(before);
  });

  it('a parameter that requires grad outside noGrad', () => {
    const parameter = zeros([2], { requiresGrad: true });
    expect(() => adamw([parameter], [zeros([2])], [zeros([2])], [zeros([2])], ...rates)).toThrow(
      'parameter 0 requires grad; change it inside noGrad',
    );
  });

  it('a freed tensor', () => {
    const freed = empty([2]);
    freed.dispose();
    expect(() => adamw([zeros([2])], [freed], [zeros([2])], [zeros([2])], ...rates)).toThrow(/freed/);
  });
});
