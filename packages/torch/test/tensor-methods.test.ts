// Every method of Tensor once, against values worked out by hand. What it proves: the right operator is called, with
// its arguments in the right order. Whether libtorch computes well is libtorch's business.
import { expect, test } from 'vitest';
import { arange, manualSeed, ones, scope, Tensor, tensor, zeros } from '../src/index.js';

/** Plain data of whatever a method gave. */
function plain(value: unknown): unknown {
  if (value instanceof Tensor) return plain(value.tolist());
  if (Array.isArray(value)) return value.map(plain);
  if (ArrayBuffer.isView(value)) return Array.from(value as Float32Array);
  return typeof value === 'bigint' ? Number(value) : value;
}

function expectClose(actual: unknown, expected: unknown, path: string): void {
  if (Array.isArray(expected)) {
    expect(Array.isArray(actual) && actual.length, `${path}: length`).toBe(expected.length);
    for (const [i, item] of expected.entries()) expectClose((actual as unknown[])[i], item, `${path}[${i}]`);
  } else if (typeof expected === 'number' && Number.isFinite(expected)) {
    expect(actual, path).toBeTypeOf('number');
    expect(Math.abs((actual as number) - expected), `${path}: ${actual}, expected ${expected}`).toBeLessThan(
      1e-5,
    );
  } else expect(actual, path).toEqual(expected);
}

const m = () => tensor([[1, -2], [3, 4]]); // biome-ignore format: rows as a matrix
const v = () => tensor([1, 2, 4]);
const ids = (...values: number[]) => tensor(values, { dtype: 'int64' });
const bools = (...values: boolean[]) => tensor(values);
const half = Math.SQRT1_2;

type Case = readonly [run: () => unknown, expected: unknown];
const cases: Record<string, readonly Case[]> = {
  // properties
  shape: [
    [() => zeros([2, 0, 3]).shape, [2, 0, 3]],
    [() => tensor(5).shape, []],
  ],
  size: [
    [() => zeros([2, 3]).size(-1), 3],
    [() => zeros([2, 3]).size(0), 2],
  ],
  ndim: [[() => zeros([2, 3]).ndim, 2]],
  numel: [
    [() => zeros([2, 3]).numel, 6],
    [() => tensor(1).numel, 1],
  ],
  dtype: [[() => ids(1).dtype, 'int64']],
  device: [[() => v().device, 'cpu']],
  strides: [[() => zeros([2, 3]).transpose(0, 1).strides, [1, 3]]],
  isContiguous: [[() => zeros([2, 3]).transpose(0, 1).isContiguous, false]],
  byteLength: [[() => ids(1, 2).byteLength, 16]],
  requiresGrad: [
    [() => v().requiresGrad, false],
    [() => tensor([1], { requiresGrad: true }).requiresGrad, true],
  ],
  isLeaf: [[() => tensor([1], { requiresGrad: true }).neg().isLeaf, false]],
  grad: [[() => v().grad, null]],
  backward: [
    [
      () => {
        const x = tensor([2, 3], { requiresGrad: true });
        x.square().sum().backward();
        return x.grad;
      },
      [4, 6],
    ],
  ],
  item: [
    [() => tensor(2.5).item(), 2.5],
    [() => tensor([[7]], { dtype: 'int64' }).item(), 7],
  ],
  toTypedArray: [
    [() => zeros([2, 2]).add(1).transpose(0, 1).toTypedArray(), [1, 1, 1, 1]],
    [() => m().transpose(0, 1).toTypedArray(), [1, 3, -2, 4]],
  ],
  toFloat32Array: [
    [() => ids(1, 2).toFloat32Array(), [1, 2]],
    [() => v().to('bfloat16').toFloat32Array(), [1, 2, 4]],
  ],
  share: [[() => v().share(), [1, 2, 4]]],
  tolist: [
    [
      () => m().tolist(),
      [
        [1, -2],
        [3, 4],
      ],
    ],
    [() => tensor([[true], [false]]).tolist(), [[true], [false]]],
    [() => zeros([2, 0]).tolist(), [[], []]],
    [() => tensor(3).tolist(), 3],
  ],
  get: [[() => m().get(1), [3, 4]]],
  // Object's own toString hides the type of the entries from the compiler.
  toString: [[() => m().toString(), 'float32[2,2]']] satisfies readonly Case[],
  // arithmetic
  add: [
    [() => v().add(v()), [2, 4, 8]],
    [() => v().add(1, 2), [3, 4, 6]],
    [() => v().add(v(), -1), [0, 0, 0]],
  ],
  sub: [
    [() => v().sub(tensor([1, 1, 1])), [0, 1, 3]],
    [() => v().sub(1, 2), [-1, 0, 2]],
  ],
  mul: [
    [() => v().mul(v()), [1, 4, 16]],
    [() => v().mul(0.5), [0.5, 1, 2]],
  ],
  div: [
    [() => v().div(v()), [1, 1, 1]],
    [() => ids(1, 3).div(2), [0.5, 1.5]],
  ],
  pow: [
    [() => v().pow(2), [1, 4, 16]],
    [() => v().pow(tensor([0, 1, 0.5])), [1, 2, 2]],
  ],
  remainder: [
    [() => tensor([-3, 5]).remainder(2), [1, 1]],
    [() => tensor([-3, 5]).remainder(tensor([2, 3])), [1, 2]],
  ],
  floorDivide: [
    [() => ids(-3, 5).floorDivide(2), [-2, 2]],
    [() => ids(-3, 5).floorDivide(ids(2, 3)), [-2, 1]],
  ],
  add_: [
    [() => v().add_(1), [2, 3, 5]],
    [() => v().add_(v(), 2), [3, 6, 12]],
  ],
  sub_: [
    [() => v().sub_(1), [0, 1, 3]],
    [() => v().sub_(v(), 2), [-1, -2, -4]],
  ],
  mul_: [
    [() => v().mul_(2), [2, 4, 8]],
    [() => v().mul_(v()), [1, 4, 16]],
  ],
  div_: [
    [() => v().div_(2), [0.5, 1, 2]],
    [() => v().div_(v()), [1, 1, 1]],
  ],
  maximum: [[() => v().maximum(tensor([3, 0, 3])), [3, 2, 4]]],
  minimum: [[() => v().minimum(tensor([3, 0, 3])), [1, 0, 3]]],
  clamp: [
    [() => v().clamp(2), [2, 2, 4]],
    [() => v().clamp(null, 2), [1, 2, 2]],
    [() => v().clamp(2, 3), [2, 2, 3]],
  ],
  lerp: [[() => v().lerp(tensor([3, 2, 0]), 0.5), [2, 2, 2]]],
  // elementwise
  neg: [[() => v().neg(), [-1, -2, -4]]],
  abs: [
    [
      () => m().abs(),
      [
        [1, 2],
        [3, 4],
      ],
    ],
  ],
  exp: [[() => tensor([0, 1]).exp(), [1, Math.E]]],
  log: [[() => tensor([1, Math.E]).log(), [0, 1]]],
  log2: [[() => v().log2(), [0, 1, 2]]],
  sqrt: [[() => v().sqrt(), [1, Math.SQRT2, 2]]],
  rsqrt: [[() => v().rsqrt(), [1, half, 0.5]]],
  reciprocal: [[() => v().reciprocal(), [1, 0.5, 0.25]]],
  square: [
    [
      () => m().square(),
      [
        [1, 4],
        [9, 16],
      ],
    ],
  ],
  sin: [[() => tensor([0, Math.PI / 2]).sin(), [0, 1]]],
  cos: [[() => tensor([0, Math.PI]).cos(), [1, -1]]],
  tanh: [[() => tensor([0, 1]).tanh(), [0, Math.tanh(1)]]],
  sigmoid: [[() => tensor([0, 2]).sigmoid(), [0.5, 1 / (1 + Math.exp(-2))]]],
  relu: [
    [
      () => m().relu(),
      [
        [1, 0],
        [3, 4],
      ],
    ],
  ],
  silu: [[() => tensor([0, 2]).silu(), [0, 2 / (1 + Math.exp(-2))]]],
  erf: [[() => tensor([0, 1]).erf(), [0, 0.84270079]]],
  floor: [[() => tensor([1.5, -1.5]).floor(), [1, -2]]],
  ceil: [[() => tensor([1.5, -1.5]).ceil(), [2, -1]]],
  round: [[() => tensor([1.5, 2.5, -0.4]).round(), [2, 2, 0]]],
  sign: [[() => tensor([-3, 0, 2]).sign(), [-1, 0, 1]]],
  isnan: [[() => tensor([1, Number.NaN]).isnan(), [false, true]]],
  isfinite: [[() => tensor([1, Number.NaN, Number.POSITIVE_INFINITY]).isfinite(), [true, false, false]]],
  logicalNot: [[() => bools(true, false).logicalNot(), [false, true]]],
  gelu: [
    [() => tensor([1]).gelu(), [0.84134475]],
    [() => tensor([1]).gelu('tanh'), [0.84119199]],
  ],
  // comparison
  eq: [
    [() => v().eq(2), [false, true, false]],
    [() => v().eq(v()), [true, true, true]],
  ],
  ne: [
    [() => v().ne(2), [true, false, true]],
    [() => v().ne(v()), [false, false, false]],
  ],
  lt: [
    [() => v().lt(2), [true, false, false]],
    [() => v().lt(tensor([2, 2, 2])), [true, false, false]],
  ],
  le: [
    [() => v().le(2), [true, true, false]],
    [() => v().le(tensor([2, 2, 2])), [true, true, false]],
  ],
  gt: [
    [() => v().gt(2), [false, false, true]],
    [() => v().gt(tensor([2, 2, 2])), [false, false, true]],
  ],
  ge: [
    [() => v().ge(2), [false, true, true]],
    [() => v().ge(tensor([2, 2, 2])), [false, true, true]],
  ],
  logicalAnd: [[() => bools(true, true).logicalAnd(bools(true, false)), [true, false]]],
  logicalOr: [[() => bools(true, false).logicalOr(bools(false, false)), [true, false]]],
  maskedFill: [
    [() => v().maskedFill(bools(true, false, false), 9), [9, 2, 4]],
    [() => v().maskedFill(bools(true, false, false), tensor(8)), [8, 2, 4]],
  ],
  where: [[() => v().where(bools(true, false, true), tensor([7, 8, 9])), [1, 8, 4]]],
  maskedSelect: [[() => v().maskedSelect(bools(true, false, true)), [1, 4]]],
  equal: [
    [() => v().equal(v()), true],
    [() => v().equal(tensor([1, 2, 5])), false],
  ],
  allclose: [
    [() => v().allclose(v().add(1e-9)), true],
    [() => v().allclose(v().add(1)), false],
    [() => v().allclose(v().add(0.5), 0, 1), true],
  ],
  // linear algebra
  matmul: [[() => m().matmul(tensor([1, 2])), [-3, 11]]],
  mm: [
    [
      () => m().mm(m()),
      [
        [-5, -10],
        [15, 10],
      ],
    ],
  ],
  bmm: [
    [
      () => m().unsqueeze(0).bmm(m().unsqueeze(0)),
      [
        [
          [-5, -10],
          [15, 10],
        ],
      ],
    ],
  ],
  addmm: [
    [
      () => ones([2, 2]).addmm(m(), m(), 2, 10),
      [
        [-48, -98],
        [152, 102],
      ],
    ],
  ],
  // reductions
  sum: [
    [() => m().sum(), 6],
    [() => m().sum(0), [4, 2]],
    [() => m().sum([0, 1], true), [[6]]],
    [() => m().sum(null, true), [[6]]],
  ],
  mean: [
    [() => m().mean(), 1.5],
    [() => m().mean(-1), [-0.5, 3.5]],
    [() => m().mean(null, true), [[1.5]]],
  ],
  variance: [
    [() => v().variance(), 7 / 3],
    [() => v().variance(0, 0), 14 / 9],
    [() => v().variance(0, 0, true), [14 / 9]],
  ],
  std: [
    [() => v().std(), Math.sqrt(7 / 3)],
    [() => v().std(null, 0), Math.sqrt(14 / 9)],
  ],
  norm: [
    [() => tensor([3, 4]).norm(), 5],
    [
      () =>
        tensor([
          [3, 4],
          [6, 8],
        ]).norm(1, true),
      [[5], [10]],
    ],
  ],
  max: [[() => m().max(), 4]],
  amax: [
    [() => m().amax(0), [3, 4]],
    [() => m().amax([0, 1], true), [[4]]],
  ],
  argmax: [
    [() => m().argmax(), 3],
    [() => m().argmax(1, true), [[0], [1]]],
  ],
  min: [[() => m().min(), -2]],
  amin: [[() => m().amin(-1), [-2, 3]]],
  argmin: [
    [() => m().argmin(), 1],
    [() => m().argmin(0), [0, 0]],
  ],
  all: [[() => bools(true, false).all(), false]],
  any: [[() => bools(true, false).any(), true]],
  cumsum: [[() => v().cumsum(0), [1, 3, 7]]],
  logsumexp: [[() => tensor([0, 0]).logsumexp(0), Math.LN2]],
  softmax: [
    [() => tensor([0, Math.log(3)]).softmax(0), [0.25, 0.75]],
    [() => tensor([0, 0]).softmax(0, 'float64').dtype, 'float64'],
  ],
  logSoftmax: [[() => tensor([0, Math.log(3)]).logSoftmax(0), [Math.log(0.25), Math.log(0.75)]]],
  topk: [
    [
      () => v().topk(2),
      [
        [4, 2],
        [2, 1],
      ],
    ],
    [() => v().topk(1, 0, false), [[1], [0]]],
  ],
  sort: [
    [
      () => tensor([2, 3, 1]).sort(),
      [
        [1, 2, 3],
        [2, 0, 1],
      ],
    ],
    [
      () => tensor([2, 3, 1]).sort(0, true),
      [
        [3, 2, 1],
        [1, 0, 2],
      ],
    ],
  ],
  // shape
  reshape: [
    [
      () => arange(0, 6).reshape([2, -1]),
      [
        [0, 1, 2],
        [3, 4, 5],
      ],
    ],
  ],
  view: [
    [
      () => arange(0, 4).view([2, 2]),
      [
        [0, 1],
        [2, 3],
      ],
    ],
  ],
  flatten: [
    [() => m().flatten(), [1, -2, 3, 4]],
    [() => zeros([2, 3, 4]).flatten(1).shape, [2, 12]],
  ],
  unflatten: [[() => zeros([2, 6]).unflatten(-1, [2, 3]).shape, [2, 2, 3]]],
  transpose: [
    [
      () => m().transpose(0, 1),
      [
        [1, 3],
        [-2, 4],
      ],
    ],
  ],
  permute: [[() => zeros([2, 3, 4]).permute([2, 0, 1]).shape, [4, 2, 3]]],
  unsqueeze: [[() => v().unsqueeze(-1), [[1], [2], [4]]]],
  squeeze: [
    [() => zeros([1, 2, 1]).squeeze().shape, [2]],
    [() => zeros([1, 2, 1]).squeeze(0).shape, [2, 1]],
  ],
  expand: [
    [
      () => tensor([[1], [2]]).expand([-1, 2]),
      [
        [1, 1],
        [2, 2],
      ],
    ],
  ],
  repeat: [[() => v().repeat([2]), [1, 2, 4, 1, 2, 4]]],
  slice: [
    [() => arange(0, 6).slice(0, 1, 5, 2), [1, 3]],
    [() => arange(0, 6).slice(0, -2), [4, 5]],
    [() => arange(0, 6).slice(0, null, 2), [0, 1]],
  ],
  narrow: [[() => v().narrow(0, 1, 2), [2, 4]]],
  select: [[() => m().select(1, -1), [-2, 4]]],
  split: [
    [() => arange(0, 5).split(2), [[0, 1], [2, 3], [4]]],
    [() => arange(0, 5).split([1, 4]), [[0], [1, 2, 3, 4]]],
  ],
  chunk: [
    [
      () => arange(0, 5).chunk(2),
      [
        [0, 1, 2],
        [3, 4],
      ],
    ],
  ],
  unbind: [
    [
      () => m().unbind(1),
      [
        [1, 3],
        [-2, 4],
      ],
    ],
  ],
  flip: [[() => v().flip([0]), [4, 2, 1]]],
  roll: [[() => v().roll([1], [0]), [4, 1, 2]]],
  pad: [
    [() => v().pad([1, 2], 7), [7, 1, 2, 4, 7, 7]],
    [() => v().pad([-1, 0]), [2, 4]],
  ],
  triu: [
    [
      () => m().triu(1),
      [
        [0, -2],
        [0, 0],
      ],
    ],
  ],
  tril: [
    [
      () => m().tril(),
      [
        [1, 0],
        [3, 4],
      ],
    ],
  ],
  unfold: [
    [
      () => arange(0, 5).unfold(0, 3, 2),
      [
        [0, 1, 2],
        [2, 3, 4],
      ],
    ],
  ],
  // indexing
  indexSelect: [
    [
      () => m().indexSelect(0, ids(1, 1)),
      [
        [3, 4],
        [3, 4],
      ],
    ],
  ],
  gather: [[() => m().gather(1, tensor([[1], [0]], { dtype: 'int64' })), [[-2], [3]]]],
  scatter: [
    [() => zeros([3]).scatter(0, ids(2, 0), tensor([5, 6])), [6, 0, 5]],
    [() => zeros([3]).scatter(0, ids(1), 9), [0, 9, 0]],
  ],
  indexAdd: [[() => v().indexAdd(0, ids(0, 0), tensor([10, 20])), [31, 2, 4]]],
  nonzero: [
    [
      () =>
        tensor([
          [0, 1],
          [1, 0],
        ]).nonzero(),
      [
        [0, 1],
        [1, 0],
      ],
    ],
  ],
  // copies
  clone: [
    [
      () => {
        const x = v();
        const y = x.clone();
        x.add_(1);
        return y;
      },
      [1, 2, 4],
    ],
  ],
  contiguous: [[() => m().transpose(0, 1).contiguous().strides, [2, 1]]],
  detach: [[() => tensor([1], { requiresGrad: true }).detach().requiresGrad, false]],
  to: [
    [() => tensor([1.7]).to('int32'), [1]],
    [() => v().to({ dtype: 'float64', device: 'cpu' }).dtype, 'float64'],
    [() => v().to({ device: 'meta' }).device, 'meta'],
  ],
  copy_: [
    [
      () => zeros([2, 2]).copy_(tensor([1, 2])),
      [
        [1, 2],
        [1, 2],
      ],
    ],
  ],
  fill_: [[() => v().fill_(3), [3, 3, 3]]],
  zero_: [[() => v().zero_(), [0, 0, 0]]],
  normal_: [
    [
      () => {
        manualSeed(1);
        return zeros([4096]).normal_(5, 2).mean().item() > 4.8;
      },
      true,
    ],
  ],
  uniform_: [
    [
      () => {
        manualSeed(1);
        const x = zeros([4096]).uniform_(3, 4);
        return [x.min().item() >= 3, x.max().item() < 4, x.max().item() > 3.9];
      },
      [true, true, true],
    ],
  ],
  multinomial: [
    [
      () =>
        tensor([
          [0, 1, 0],
          [1, 0, 0],
        ]).multinomial(1),
      [[1], [0]],
    ],
    [() => tensor([0, 1]).multinomial(3, true), [1, 1, 1]],
  ],
};

test.each(Object.entries(cases))('%s', (name, list) => {
  for (const [run, expected] of list) scope(() => expectClose(plain(run()), expected, name));
});

test('the table leaves out no method', () => {
  const methods = Object.getOwnPropertyNames(Tensor.prototype).filter((name) => name !== 'constructor');
  expect(methods.filter((name) => !(name in cases))).toEqual([]);
});

test('methods in place give the tensor itself back', () => {
  scope(() => {
    const x = v();
    expect(x.add_(1).sub_(1).mul_(2).div_(2).copy_(v()).fill_(1).zero_().normal_().uniform_()).toBe(x);
  });
});

test('a reshape in place is seen by shape', () => {
  scope(() => {
    const x = zeros([2, 3]);
    expect(x.shape).toEqual([2, 3]);
    expect(x.transpose(0, 1).shape).toEqual([3, 2]);
  });
});

test('views share memory with their source; copies do not', () => {
  scope(() => {
    const x = zeros([2, 2]);
    x.select(0, 0).fill_(5);
    x.clone().fill_(9);
    expect(x.tolist()).toEqual([
      [5, 5],
      [0, 0],
    ]);
  });
});
