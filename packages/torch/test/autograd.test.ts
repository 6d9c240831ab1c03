import { expect, test } from 'vitest';
import {
  ArgumentError,
  autocast,
  enableGrad,
  gradients,
  isGradEnabled,
  linear,
  noGrad,
  ones,
  scope,
  type Tensor,
  TorchError,
  tensor,
  zeros,
} from '../src/index.js';

const leaf = (values: number[]) => tensor(values, { dtype: 'float64', requiresGrad: true });

test('backward adds up, and setting grad starts anew', () => {
  scope(() => {
    const x = leaf([1, 2]);
    expect(x.grad).toBeNull();
    x.square().sum().backward();
    x.square().sum().backward();
    expect(x.grad!.tolist()).toEqual([4, 8]);
    x.grad = null;
    expect(x.grad).toBeNull();
    x.grad = tensor([10, 20], { dtype: 'float64' });
    x.mul(3).sum().backward();
    expect(x.grad!.tolist()).toEqual([13, 23]);
  });
});

test('a gradient must fit its tensor', () => {
  scope(() => {
    const x = leaf([1, 2]);
    for (const wrong of [zeros([3], { dtype: 'float64' }), zeros([2])])
      expect(() => {
        x.grad = wrong;
      }).toThrow("grad: a gradient must have its tensor's shape, dtype and device");
  });
});

test('backward with a seed, and the outputs that need one', () => {
  scope(() => {
    const x = leaf([1, 2]);
    x.square().backward(tensor([1, 10], { dtype: 'float64' }));
    expect(x.grad!.tolist()).toEqual([2, 40]);
    expect(() => x.square().backward()).toThrow(
      /backward: grad can be implicitly created only for scalar outputs/,
    );
    expect(() => ones([1]).backward()).toThrow(TorchError);
  });
});

test('a graph is freed by its first backward unless kept', () => {
  scope(() => {
    const x = leaf([3]);
    const kept = x.square().sum();
    kept.backward(null, { retainGraph: true });
    kept.backward();
    expect(x.grad!.tolist()).toEqual([12]);
    expect(() => kept.backward()).toThrow(/second time/);
  });
});

test('second order', () => {
  scope(() => {
    const x = leaf([2, 3]);
    const [first] = gradients([x.pow(3).sum()], [x], { createGraph: true });
    expect(first!.tolist()).toEqual([12, 27]);
    const [second] = gradients([first!.sum()], [x]);
    expect(second!.tolist()).toEqual([12, 18]);
    expect(x.grad).toBeNull();
  });
});

test('gradients of what the outputs do not depend on', () => {
  scope(() => {
    const [x, y] = [leaf([1]), leaf([1])];
    expect(() => gradients([x.sum()], [x, y])).toThrow(TorchError);
    const found = gradients([x.sum()], [x, y], { allowUnused: true });
    expect(found.map((gradient) => gradient?.tolist() ?? null)).toEqual([[1], null]);
    expect(() => gradients([x.sum()], [x], { gradOutputs: [] })).toThrow(ArgumentError);
  });
});

test('noGrad and enableGrad nest and end with an exception', () => {
  scope(() => {
    const x = leaf([1]);
    const seen: boolean[] = [];
    noGrad(() => {
      seen.push(isGradEnabled());
      enableGrad(() => seen.push(isGradEnabled(), x.neg().requiresGrad));
      seen.push(isGradEnabled(), x.neg().requiresGrad);
    });
    expect(seen).toEqual([false, true, true, false, false]);
    expect(() =>
      noGrad(() => {
        throw new RangeError('mine');
      }),
    ).toThrow(RangeError);
    expect(isGradEnabled()).toBe(true);
  });
});

test('noGrad, enableGrad and autocast refuse a function that is not done when it returns', () => {
  expect(() => noGrad(async () => 1)).toThrow(/noGrad: .*promise/);
  expect(() => enableGrad(async () => 1)).toThrow(/enableGrad: .*promise/);
  expect(() => autocast('cpu', 'bfloat16', async () => 1)).toThrow(/autocast: .*promise/);
  expect(isGradEnabled()).toBe(true);
});

test('views, in-place changes and detach', () => {
  scope(() => {
    const x = leaf([1, 2, 3]);
    const y = x.mul(2);
    y.slice(0, 0, 1).mul_(5);
    y.sum().backward();
    expect(x.grad!.tolist()).toEqual([10, 2, 2]);
    expect(() => x.add_(1)).toThrow(/leaf Variable that requires grad/);
    noGrad(() => x.add_(1));
    expect(x.tolist()).toEqual([2, 3, 4]);
    expect(x.detach().requiresGrad).toBe(false);
  });
});

test('requiresGrad: only floating dtypes, and a result can leave the graph only by detach', () => {
  scope(() => {
    expect(() => {
      tensor([1], { dtype: 'int64' }).requiresGrad = true;
    }).toThrow(/requiresGrad: .*floating point/);
    const x = leaf([1]);
    x.requiresGrad = false;
    expect(x.requiresGrad).toBe(false);
  });
});

test('autocast: products in the smaller dtype inside, the setting restored after', () => {
  scope(() => {
    const [x, w] = [ones([2, 4]), ones([3, 4])];
    const dtypes = () => linear(x, w).dtype;
    expect(autocast('cpu', 'bfloat16', dtypes)).toBe('bfloat16');
    expect(dtypes()).toBe('float32');
    expect(() =>
      autocast('cpu', 'bfloat16', () => {
        throw new RangeError('mine');
      }),
    ).toThrow(RangeError);
    expect(dtypes()).toBe('float32');
  });
});

test('gradient of a chain against differences', () => {
  scope(() => {
    const f = (t: Tensor) => t.sin().mul(t.exp()).add(t.square().add(1).log()).sum();
    const x = leaf([0.3, -0.7, 1.1]);
    f(x).backward();
    const step = 1e-6;
    const found = x.grad!.toTypedArray();
    for (let i = 0; i < 3; i++) {
      const shifted = (h: number) => {
        const values = [0.3, -0.7, 1.1];
        values[i]! += h;
        return f(tensor(values, { dtype: 'float64' })).item();
      };
      expect(found[i]).toBeCloseTo((shifted(step) - shifted(-step)) / (2 * step), 7);
    }
  });
});
