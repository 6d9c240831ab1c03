// Scopes, keep, dispose, and use after free. The rules are those of docs/memory.md.
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  cat,
  dispose,
  FreedTensorError,
  gradients,
  keep,
  memoryStats,
  ones,
  recordOps,
  scope,
  type Tensor,
  tensor,
  where,
  zeros,
} from '../src/index.js';

const live = () => memoryStats().liveTensors;
let before = 0;
beforeEach(() => {
  before = live();
});
afterEach(() => expect(live(), 'tensors left over').toBe(before));

test('a scope frees what was made inside it', () => {
  scope(() => {
    const x = ones([2]).add(1).mul(2);
    expect([live() - before, x.tolist()]).toEqual([3, [4, 4]]);
  });
});

test('what is returned lives on, alone or inside arrays, maps, sets and plain objects', () => {
  const alone = scope(() => ones([1]).add(1));
  const inside = scope(() => ({
    list: [ones([1]), [ones([1])]],
    map: new Map([['w', ones([1])]]),
    set: new Set([ones([1])]),
    bare: Object.assign(Object.create(null), { b: ones([1]) }) as { b: Tensor },
    other: 'text',
  }));
  expect(live() - before).toBe(6);
  expect(inside.bare.b.item() + alone.item()).toBe(3);
  dispose([alone, inside]);
});

test('a circular result is looked through once', () => {
  interface Ring {
    value: Tensor;
    self?: Ring;
  }
  const ring = scope(() => {
    const made: Ring = { value: ones([1]) };
    made.self = made;
    return made;
  });
  expect(ring.value.item()).toBe(1);
  dispose(ring);
});

test('instances of classes are not looked into: they say what they own by keep', () => {
  class Holder {
    constructor(readonly value: Tensor) {}
  }
  expect(scope(() => new Holder(ones([1]))).value.isDisposed).toBe(true);
  const kept = scope(() => new Holder(keep(ones([1]))));
  expect(kept.value.isDisposed).toBe(false);
  kept.value.dispose();
});

test('scopes nest: what leaves an inner one belongs to the outer', () => {
  let inner: Tensor | undefined;
  scope(() => {
    inner = scope(() => ones([1]).add(1));
    expect([live() - before, inner.isDisposed]).toEqual([1, false]);
    scope(() => scope(() => scope(() => inner!.add(1)))).item();
  });
  expect(inner!.isDisposed).toBe(true);
});

test('returning a tensor of an outer scope does not move it', () => {
  scope(() => {
    const outer = ones([1]);
    expect(scope(() => outer)).toBe(outer);
    expect(outer.isDisposed).toBe(false);
  });
});

test('keep takes a tensor out of all scopes', () => {
  const kept = scope(() => scope(() => keep([ones([1]), new Map([[1, ones([2])]])] as const)));
  expect(live() - before).toBe(2);
  dispose(kept);
});

test('an exception inside frees everything and passes on', () => {
  const mine = new RangeError('mine');
  expect(() =>
    scope(() => {
      ones([1]);
      scope(() => {
        ones([1]);
        throw mine;
      });
    }),
  ).toThrow(mine);
  expect(live()).toBe(before);
});

test('an error of an operator leaves nothing behind', () => {
  scope(() => {
    const x = ones([2, 3]);
    const count = live();
    expect(() => x.matmul(x)).toThrow();
    expect(live()).toBe(count);
  });
});

test('a promise is refused and nothing stays', async () => {
  expect(() => scope(async () => ones([1]))).toThrow(
    new TypeError('scope: expected a function that finishes at once, received one that returns a promise'),
  );
  await Promise.resolve();
});

test('dispose twice is once; dispose looks into structures', () => {
  const x = ones([1]);
  x.dispose();
  x.dispose();
  const list = { a: [ones([1]), x], b: null, c: undefined, d: 'text' };
  dispose(list);
  dispose(list);
  expect(x.isDisposed).toBe(true);
});

test('using frees at the end of the block', () => {
  const x = ones([1]);
  expect(x[Symbol.dispose]).toBeTypeOf('function');
  x[Symbol.dispose]();
  expect(x.isDisposed).toBe(true);
});

test('dispose inside a scope, then the end of the scope', () => {
  scope(() => {
    const x = ones([1]);
    x.dispose();
    const y = ones([2]); // is given the same slot
    expect(y.tolist()).toEqual([1, 1]);
  });
});

test('views and the autograd graph keep the memory they need', () => {
  scope(() => {
    const x = ones([4]);
    const view = x.slice(0, 1, 3);
    x.dispose();
    expect(view.tolist()).toEqual([1, 1]);
    const weight = tensor([2, 3], { requiresGrad: true });
    const square = weight.mul(2);
    const loss = square.square().sum();
    square.dispose();
    loss.backward();
    expect(weight.grad!.tolist()).toEqual([16, 24]);
  });
});

const freed = () => {
  const x = ones([2, 2]);
  x.dispose();
  return x;
};

const uses: Record<string, () => unknown> = {
  shape: () => freed().shape,
  size: () => freed().size(0),
  ndim: () => freed().ndim,
  numel: () => freed().numel,
  dtype: () => freed().dtype,
  device: () => freed().device,
  strides: () => freed().strides,
  isContiguous: () => freed().isContiguous,
  byteLength: () => freed().byteLength,
  requiresGrad: () => freed().requiresGrad,
  'requiresGrad =': () => {
    freed().requiresGrad = true;
  },
  isLeaf: () => freed().isLeaf,
  grad: () => freed().grad,
  'grad =': () => {
    freed().grad = null;
  },
  'grad = freed': () => {
    ones([2, 2]).grad = freed();
  },
  backward: () => freed().backward(),
  'backward(freed)': () => ones([1], { requiresGrad: true }).mul(2).backward(freed()),
  item: () => freed().item(),
  toTypedArray: () => freed().toTypedArray(),
  toFloat32Array: () => freed().toFloat32Array(),
  share: () => freed().share(),
  tolist: () => freed().tolist(),
  get: () => freed().get(0),
  add: () => freed().add(1),
  'add(freed)': () => ones([2, 2]).add(freed()),
  add_: () => freed().add_(1),
  cat: () => cat([ones([2]), freed()]),
  where: () => where(freed(), ones([1]), ones([1])),
  split: () => freed().split(1),
  to: () => freed().to('float64'),
  gradients: () => gradients([freed()], [freed()]),
};

test.each(Object.entries(uses))('use after free: %s', (_, use) => {
  scope(() => {
    expect(use).toThrow(FreedTensorError);
    expect(use).toThrow(/freed/);
  });
});

test('a shape that was looked at before does not outlive the tensor', () => {
  const x = ones([2, 2]);
  expect(x.shape).toEqual([2, 2]);
  x.dispose();
  expect(() => x.shape).toThrow(FreedTensorError);
});

test('printing a freed tensor says so instead of failing', () => {
  expect([String(freed()), freed().isDisposed]).toEqual(['a freed tensor', true]);
});

test('the message names operator and argument', () => {
  scope(() => {
    expect(() => ones([2]).mul(freed())).toThrow(
      'aten::mul.Tensor: argument 2 (other): a tensor that was freed before; called with (float32[2], a freed tensor)',
    );
  });
});

test('recordOps inside scopes keeps no tensor alive', () => {
  const recorded = scope(() => recordOps(() => zeros([2]).add(1).sum().item()));
  expect([recorded.result, recorded.ops.length]).toEqual([2, 3]);
});
