import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { BatchNorm2d, manualSeed, noGrad, randn, scope, type Tensor, tensor } from '../../src/index.js';
import { gradcheck } from '../gradcheck.js';

type Values = Record<string, number[]>;

interface Step {
  shape: number[];
  input: number[];
  cotangent: number[];
  output: number[];
  gradients: Values;
  state: Values;
}

/** PyTorch's own numbers, as `make_batch_norm.py` wrote them. */
const golden = JSON.parse(readFileSync(new URL('../fixtures/batch-norm.json', import.meta.url), 'utf8')) as {
  epsilon: number;
  momentum: number;
  start: Values;
  training: Step[];
  evaluation: Step;
};

const float64 = (values: number[], shape: readonly number[]) =>
  tensor(Float64Array.from(values), { shape: [...shape] });

function expectClose(found: Tensor, expected: readonly number[]): void {
  const values = [...found.to('float64').toTypedArray()].map(Number);
  expect(values).toHaveLength(expected.length);
  values.forEach((value, i) => {
    expect(value).toBeCloseTo(expected[i]!, 10);
  });
}

describe('BatchNorm2d', () => {
  it('gives the outputs, gradients and running statistics that PyTorch gives', () => {
    const { epsilon, momentum, start, training, evaluation } = golden;
    const layer = new BatchNorm2d({ channels: 3, epsilon, momentum }).to({ dtype: 'float64' });
    expect([...layer.stateDict().keys()]).toEqual(Object.keys(start));
    scope(() => {
      noGrad(() => {
        layer.weight.copy_(float64(start.weight!, [3]));
        layer.bias.copy_(float64(start.bias!, [3]));
      });
      for (const step of training) follow(step);
      layer.eval();
      follow(evaluation);
    });
    layer.dispose();

    function follow({ shape, input, cotangent, output, gradients, state }: Step): void {
      layer.zeroGrad();
      const x = float64(input, shape);
      x.requiresGrad = true;
      const y = layer.forward(x);
      y.backward(float64(cotangent, shape));
      expectClose(y, output);
      expectClose(x.grad!, gradients.input!);
      expectClose(layer.weight.grad!, gradients.weight!);
      expectClose(layer.bias.grad!, gradients.bias!);
      for (const [name, value] of layer.stateDict()) expectClose(value, state[name]!);
    }
  });

  it('normalises with the biased variance of the batch and keeps the unbiased one', () => {
    scope(() => {
      const layer = new BatchNorm2d({ channels: 1, epsilon: 3, momentum: 0.5 });
      // Mean 2, biased variance 1, unbiased 2: (x - 2) / sqrt(1 + 3).
      const x = tensor([[[[1, 3]]]]);
      expect(layer.forward(x).flatten().tolist()).toEqual([-0.5, 0.5]);
      expect(layer.running_mean.tolist()).toEqual([1]); // halfway from 0 to 2
      expect(layer.running_var.tolist()).toEqual([1.5]); // halfway from 1 to 2
      expect(layer.num_batches_tracked.item()).toBe(1);
      // (x - 1) / sqrt(1.5 + 3)
      expect(layer.eval().forward(x).flatten().select(0, 1).item()).toBeCloseTo(2 / Math.sqrt(4.5), 6);
      layer.dispose();
    });
  });

  it('leaves the running statistics alone in evaluation, and images do not see their batch', () => {
    scope(() => {
      manualSeed(1);
      const layer = new BatchNorm2d({ channels: 2 });
      layer.forward(randn([4, 2, 3, 3]));
      layer.eval();
      const [mean, variance] = [layer.running_mean.tolist(), layer.running_var.tolist()];
      const x = randn([3, 2, 2, 5]);
      const together = layer.forward(x).narrow(0, 1, 1);
      expect(together.equal(layer.forward(x.narrow(0, 1, 1)))).toBe(true);
      expect([layer.running_mean.tolist(), layer.running_var.tolist()]).toEqual([mean, variance]);
      expect(layer.num_batches_tracked.item()).toBe(1);
      layer.dispose();
    });
  });

  it('has its statistics in the state dict and not among the parameters', () => {
    scope(() => {
      const [layer, other] = [new BatchNorm2d({ channels: 2 }), new BatchNorm2d({ channels: 2 })];
      expect([...layer.namedParameters().keys()]).toEqual(['weight', 'bias']);
      expect([...layer.namedBuffers().keys()]).toEqual([
        'running_mean',
        'running_var',
        'num_batches_tracked',
      ]);
      layer.forward(randn([2, 2, 3, 3]));
      other.loadStateDict(layer.stateDict());
      expect(other.num_batches_tracked.item()).toBe(1);
      const x = randn([1, 2, 2, 2]);
      expect(other.eval().forward(x).equal(layer.eval().forward(x))).toBe(true);
      expect(layer.to({ dtype: 'float64' }).num_batches_tracked.dtype).toBe('int64');
      expect(layer.running_var.dtype).toBe('float64');
      layer.dispose();
      other.dispose();
    });
  });

  it('has right gradients in training and in evaluation', () => {
    manualSeed(2);
    const layer = new BatchNorm2d({ channels: 2 }).to({ dtype: 'float64' });
    const x = randn([2, 2, 1, 2], { dtype: 'float64', requiresGrad: true });
    const weighed = () => layer.forward(x).tanh();
    gradcheck(weighed, [x, ...layer.parameters()]);
    layer.eval();
    gradcheck(weighed, [x, ...layer.parameters()]);
    layer.dispose();
  });

  it('has right gradients for a batch of one whose channels lie last in memory', () => {
    scope(() => {
      manualSeed(3);
      const layer = new BatchNorm2d({ channels: 4, epsilon: 0 }).eval();
      noGrad(() => layer.running_var.copy_(tensor([1, 4, 16, 64], { dtype: 'float32' })));
      const x = randn([1, 4, 2, 3], { requiresGrad: true });
      const gradient = randn([1, 6, 4]).transpose(1, 2).reshape([1, 4, 2, 3]);
      layer.forward(x).backward(gradient);
      const expected = gradient.div(layer.running_var.sqrt().view([1, 4, 1, 1]));
      expect(x.grad!.sub(expected).abs().max().item()).toBeLessThan(1e-6);
      layer.dispose();
    });
  });

  it('computes smaller number types in that of its weights', () => {
    scope(() => {
      const layer = new BatchNorm2d({ channels: 2 });
      expect(layer.forward(randn([2, 2, 2, 2]).to('bfloat16')).dtype).toBe('float32');
      layer.dispose();
    });
  });

  it.each([
    [
      () => new BatchNorm2d({ channels: 0 }),
      'BatchNorm2d: expected channels to be a whole number of at least 1, received 0',
    ],
    [
      () => new BatchNorm2d({ channels: 1, epsilon: -1 }),
      'BatchNorm2d: expected epsilon of at least 0, received -1',
    ],
    [
      () => new BatchNorm2d({ channels: 1, momentum: 0 }),
      'BatchNorm2d: expected momentum above 0 and at most 1, received 0',
    ],
    [
      () => new BatchNorm2d({ channels: 2 }).forward(randn([1, 3, 2, 2])),
      'BatchNorm2d: expected shape (batch, 2, height, width), received (1, 3, 2, 2)',
    ],
    [
      () => new BatchNorm2d({ channels: 2 }).forward(randn([2, 2])),
      'BatchNorm2d: expected shape (batch, 2, height, width), received (2, 2)',
    ],
    [
      () => new BatchNorm2d({ channels: 2 }).forward(randn([1, 2, 1, 1])),
      'BatchNorm2d: expected at least 2 values per channel in training, received 1 in shape (1, 2, 1, 1)',
    ],
  ])('gives one line for wrong options and inputs (%#)', (make, message) => {
    expect(make).toThrow(message);
  });
});
