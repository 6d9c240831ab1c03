import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  ArgumentError,
  arange,
  type DType,
  dtypes,
  empty,
  emptyLike,
  eye,
  full,
  linspace,
  ones,
  onesLike,
  rand,
  randint,
  randn,
  randperm,
  scope,
  type TypedArray,
  tensor,
  zeros,
  zerosLike,
} from '../src/index.js';

const arrays: Record<DType, TypedArray> = {
  uint8: new Uint8Array([0, 1, 255]),
  int8: new Int8Array([-128, 0, 127]),
  int16: new Int16Array([-32768, 0, 32767]),
  int32: new Int32Array([-(2 ** 31), 0, 2 ** 31 - 1]),
  int64: new BigInt64Array([-(2n ** 63n), 0n, 2n ** 63n - 1n]),
  float16: new Uint16Array([0x3c00, 0xc000, 0x7c00]), // 1, -2, infinity
  bfloat16: new Uint16Array([0x3f80, 0xc000, 0x7f80]),
  float32: new Float32Array([1.5, Number.NaN, -0]),
  float64: new Float64Array([Math.PI, Number.NEGATIVE_INFINITY, 5e-324]),
  bool: new Uint8Array([1, 0, 1]),
};

test.each(dtypes)('a typed array of %s comes back bit by bit', (dtype) => {
  scope(() => {
    const array = arrays[dtype];
    const made = tensor(array, { dtype });
    expect([made.dtype, made.shape]).toEqual([dtype, [3]]);
    expect(made.toTypedArray()).toEqual(array);
    expect(made.toTypedArray().constructor).toBe(array.constructor);
  });
});

test.each(dtypes)('%s: empty and 0-dimensional tensors', (dtype) => {
  scope(() => {
    const none = tensor(arrays[dtype].slice(0, 0) as TypedArray, { dtype, shape: [2, 0] });
    expect([none.shape, none.numel, none.toTypedArray().length, none.tolist()]).toEqual([
      [2, 0],
      0,
      0,
      [[], []],
    ]);
    const one = tensor(arrays[dtype].slice(0, 1) as TypedArray, { dtype, shape: [] });
    expect([one.shape, one.numel, one.toTypedArray()]).toEqual([[], 1, arrays[dtype].slice(0, 1)]);
    expect(zeros([], { dtype }).item()).toBe(0);
  });
});

test('the dtype of an array that names none', () => {
  scope(() => {
    expect(tensor(new Float32Array(1)).dtype).toBe('float32');
    expect(tensor(new BigInt64Array(1)).dtype).toBe('int64');
    expect(tensor(new Uint8Array(1)).dtype).toBe('uint8');
    expect(() => tensor(new Uint16Array(1))).toThrow('Uint16Array stands for no dtype by itself: name one');
  });
});

test('arrays of another kind are converted', () => {
  scope(() => {
    expect(tensor(new Float32Array([1.5, -2]), { dtype: 'float16' }).toTypedArray()).toEqual(
      new Uint16Array([0x3e00, 0xc000]),
    );
    expect(tensor(new Float64Array([1.5, -2]), { dtype: 'bfloat16' }).toTypedArray()).toEqual(
      new Uint16Array([0x3fc0, 0xc000]),
    );
    expect(tensor(new Int32Array([3, 4]), { dtype: 'int64' }).tolist()).toEqual([3n, 4n]);
    expect(tensor(new Uint8Array([0, 7]), { dtype: 'float32', shape: [2, 1] }).tolist()).toEqual([[0], [7]]);
  });
});

test('nested arrays', () => {
  scope(() => {
    expect(
      tensor([
        [1, 2],
        [3, 4],
      ]).shape,
    ).toEqual([2, 2]);
    expect(tensor([[], []]).shape).toEqual([2, 0]);
    expect(tensor([]).shape).toEqual([0]);
    expect(tensor(7).shape).toEqual([]);
    expect(tensor([true, false]).dtype).toBe('bool');
    expect(tensor([1n, 2n], { dtype: 'int64' }).tolist()).toEqual([1n, 2n]);
    expect(tensor([1, 2], { dtype: 'float16' }).tolist()).toEqual([1, 2]);
    expect(tensor([1, 2, 3, 4], { shape: [2, 2] }).tolist()).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(tensor([2n ** 53n + 1n], { dtype: 'int64' }).tolist()).toEqual([2n ** 53n + 1n]);
    expect(tensor([1], { requiresGrad: true }).requiresGrad).toBe(true);
  });
});

test('bad data is refused with what was expected and what came', () => {
  scope(() => {
    expect(() => tensor([[1, 2], [3]])).toThrow(
      'tensor: expected nested arrays of shape [2,2], received a ragged one',
    );
    expect(() => tensor([1, [2]])).toThrow('ragged');
    expect(() => tensor(['1'] as unknown as number[])).toThrow('tensor: expected numbers, received "1"');
    expect(() => tensor(undefined as unknown as number)).toThrow(
      'tensor: expected numbers, received undefined',
    );
    expect(() => tensor([1.5], { dtype: 'int64' })).toThrow('tensor: 1.5 is no int64');
    expect(() => tensor([300], { dtype: 'uint8' })).toThrow('tensor: 300 is no uint8');
    expect(() => tensor([2n ** 63n], { dtype: 'int64' })).toThrow(ArgumentError);
    expect(() => tensor([Number.NaN], { dtype: 'int32' })).toThrow('tensor: NaN is no int32');
    expect(() => tensor([1], { dtype: 'float31' as DType })).toThrow('expected a dtype (uint8, int8,');
    expect(() => tensor([1], { dtype: 'float31' as DType })).toThrow(
      'received "float31"; did you mean float32?',
    );
  });
});

test.each([
  [[3], 'shape and dtype need 12 bytes, received 16'],
  [[-1], 'sizes must not be negative, received -1'],
  [[Number.NaN], 'expected an integer, received nan'],
  [[1.5], 'expected an integer, received 1.5'],
  [[2 ** 40, 2 ** 40], 'the shape holds more elements than memory can address'],
  [[Number.MAX_SAFE_INTEGER], 'the shape holds more elements than memory can address'],
  [[Number.POSITIVE_INFINITY], 'expected an integer, received inf'],
  [['2'], 'expected an integer, received a string'],
  ['2', 'tensor: expected an array of sizes, received "2"'],
])('a typed array of 4 numbers and the shape %j', (shape, message) => {
  const make = () => tensor(new Float32Array(4), { shape: shape as number[] });
  expect(make).toThrow(ArgumentError);
  expect(make).toThrow(message);
});

test('factories', () => {
  scope(() => {
    expect(zeros([2]).tolist()).toEqual([0, 0]);
    expect(ones([2], { dtype: 'int64' }).tolist()).toEqual([1n, 1n]);
    expect(full([2], 2.5).tolist()).toEqual([2.5, 2.5]);
    expect(empty([2, 3]).shape).toEqual([2, 3]);
    expect(arange(0, 5, 2).tolist()).toEqual([0n, 2n, 4n]);
    expect(arange(0, 1, 0.25, { dtype: 'float64' }).tolist()).toEqual([0, 0.25, 0.5, 0.75]);
    expect(linspace(0, 1, 3).tolist()).toEqual([0, 0.5, 1]);
    expect(eye(2).tolist()).toEqual([
      [1, 0],
      [0, 1],
    ]);
    expect(randint(3, 5, [100]).min().item()).toBe(3);
    expect(randint(3, 5, [100]).max().item()).toBe(4);
    expect((randperm(4).toTypedArray() as BigInt64Array).toSorted()).toEqual(
      new BigInt64Array([0n, 1n, 2n, 3n]),
    );
    expect([rand([9]).shape, randn([9]).shape]).toEqual([[9], [9]]);
    const like = zeros([2, 3], { dtype: 'float64' });
    expect([zerosLike(like), onesLike(like), emptyLike(like)].map(String)).toEqual(
      Array(3).fill('float64[2,3]'),
    );
    expect(zeros([2], { requiresGrad: true }).requiresGrad).toBe(true);
    expect(zeros([2], { device: 'meta' }).device).toBe('meta');
  });
});

test('property: any float32 array of any shape survives the round trip', () => {
  const sizes = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 });
  fc.assert(
    fc.property(sizes, fc.infiniteStream(fc.float()), (shape, numbers) => {
      const count = shape.reduce((a, b) => a * b, 1);
      const array = new Float32Array(numbers.take(count));
      scope(() => {
        const made = tensor(array, { shape });
        expect(made.shape).toEqual(shape);
        expect(made.toTypedArray()).toEqual(array);
      });
    }),
  );
});

test('share: writes are visible both ways', () => {
  scope(() => {
    const x = zeros([2, 2]);
    const shared = x.share() as Float32Array;
    shared[3] = 7;
    expect(x.tolist()).toEqual([
      [0, 0],
      [0, 7],
    ]);
    x.fill_(2);
    expect(shared).toEqual(new Float32Array([2, 2, 2, 2]));
    expect(x.select(0, 1).share().length).toBe(2);
  });
});

test('share: the memory outlives the tensor', () => {
  const x = ones([1 << 16]);
  const shared = x.share();
  x.dispose();
  const other = zeros([1 << 16]); // would be given the same memory had it been freed
  expect(shared[12345]).toBe(1);
  other.dispose();
});

test('share: twice over the same memory', () => {
  const x = zeros([4]);
  const [a, b] = [x.share(), x.share()];
  a[0] = 3;
  expect(b[0]).toBe(3);
  x.dispose();
});

test('share: only a dense, non-empty CPU tensor', () => {
  scope(() => {
    expect(() => zeros([2, 3]).transpose(0, 1).share()).toThrow(
      'share: only a contiguous CPU tensor can share its memory',
    );
    expect(() => zeros([0]).share()).toThrow('share: an empty tensor has no memory to share');
    expect(() => zeros([2], { device: 'meta' }).share()).toThrow(ArgumentError);
    expect(zeros([2], { dtype: 'bfloat16' }).share()).toBeInstanceOf(Uint16Array);
  });
});
