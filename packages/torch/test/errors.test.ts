// What an error says: operator, shapes and dtypes that came in, and a stack that names the caller's file.
import { expect, test } from 'vitest';
import {
  ArgumentError,
  arange,
  call,
  cat,
  type DType,
  ones,
  operator,
  operatorNames,
  operatorSchema,
  scope,
  setNumThreads,
  TorchError,
  tensor,
  zeros,
} from '../src/index.js';

function errorOf(run: () => unknown): TorchError {
  try {
    scope(run);
  } catch (error) {
    if (error instanceof TorchError) return error;
    throw error;
  }
  throw new Error('expected an error');
}

test('an operator that refuses: its name, the shapes and dtypes, the stack', () => {
  const error = errorOf(() => ones([2, 3]).matmul(zeros([2, 3], { dtype: 'float32' })));
  expect(error.name).toBe('TorchError');
  expect(error.operator).toBe('aten::matmul');
  expect(error.message).toMatch(/^aten::matmul: .*2x3.*; called with \(float32\[2,3\], float32\[2,3\]\)$/s);
  expect(error.stack).toContain('errors.test.ts');
});

test.each([
  [
    () => ones([2]).add('1' as unknown as number),
    ArgumentError,
    'aten::add.Scalar: argument 2 (other): expected a number, bigint or boolean, received a string; called with (float32[2], "1")',
  ],
  [
    () => ones([2]).add(2n ** 64n),
    ArgumentError,
    'aten::add.Scalar: argument 2 (other): expected an integer of at most 64 bits',
  ],
  [
    () => ones([2]).view([Number.NaN]),
    ArgumentError,
    'aten::view: argument 2 (size): expected an integer, received nan; called with (float32[2], [NaN])',
  ],
  [() => ones([2]).to('float33' as DType), ArgumentError, 'received "float33"; did you mean float32?'],
  [() => ones([2]).to('half' as DType), ArgumentError, 'did you mean float16?'],
  [() => zeros([2], { device: 'nonsense' }), ArgumentError, 'aten::zeros: argument 4 (device):'],
  [() => zeros([2], { device: 'cuda:99' }), TorchError, 'aten::zeros:'],
  [
    () => cat([ones([1]), 3 as never]),
    ArgumentError,
    'aten::cat: argument 1 (tensors): expected a Tensor, received 3',
  ],
  [
    () => operator('aten::relu')(undefined as never),
    ArgumentError,
    'aten::relu: argument 1 (self): is required',
  ],
  [
    () => call('aten::relu', ones([1]), 2),
    ArgumentError,
    'aten::relu: at most 1 arguments, received 2; called with (float32[1], 2)',
  ],
  [() => call('aten::relu', null), ArgumentError, 'aten::relu: argument 1 (self): must not be null'],
  [
    () => call('aten::add', ones([1]), 2),
    ArgumentError,
    'no operator named aten::add; its overloads are aten::add.',
  ],
  [() => call('aten::nonsense'), ArgumentError, 'no operator named aten::nonsense'],
  [() => call('aten::re\0lu', ones([1])), ArgumentError, 'no operator named'],
  [() => call(5 as unknown as string), ArgumentError, "expected an operator's name, received 5"],
  [() => operatorSchema('x'), ArgumentError, 'no operator named x'],
  [() => setNumThreads(0), ArgumentError, /setNumThreads: expected 1 to \d+ threads, received 0/],
  [() => setNumThreads(1e6), ArgumentError, /setNumThreads: expected 1 to \d+ threads, received 1000000/],
  [
    () => zeros([2], { device: 'meta' }).tolist(),
    ArgumentError,
    'toTypedArray: a tensor on the device meta holds no data',
  ],
  [() => zeros([2], { device: 'meta' }).item(), TorchError, 'item: '],
  [() => zeros([2 ** 40]), TorchError, "can't allocate memory"],
  [
    () => arange(0, 2).item(),
    ArgumentError,
    'item: expected a tensor of one element, received 2; called with (int64[2])',
  ],
])('%#: the message of a wrong call', (run, kind, message) => {
  const error = errorOf(run);
  expect(error).toBeInstanceOf(kind);
  expect(error.message).toMatch(message);
  expect(error.message.split('\n').length, 'lines').toBeLessThanOrEqual(3);
  expect(error.stack).toContain('errors.test.ts');
});

// x86 would end the process with SIGFPE.
test.each(['int32', 'int64'] as const)('the smallest %s divided by -1 is refused', (dtype) => {
  scope(() => {
    const smallest = tensor([dtype === 'int32' ? -(2 ** 31) : -(2n ** 63n)], { dtype });
    const minusOne = tensor([-1], { dtype });
    for (const divisor of [minusOne, -1]) {
      expect(() => smallest.floorDivide(divisor)).toThrow('cannot be divided by -1');
      expect(() => smallest.remainder(divisor)).toThrow(ArgumentError);
    }
    expect(() => operator('aten::div.Tensor_mode')(smallest, minusOne, 'trunc')).toThrow(ArgumentError);
    expect(() => operator('aten::fmod_.Tensor')(smallest, minusOne)).toThrow(ArgumentError);
    const wrapping = dtype === 'int32' ? 2n ** 63n - 1n : -1n; // -1 once it has been cut to 32 bits
    expect(() => smallest.floorDivide(wrapping)).toThrow(ArgumentError);
    expect(tensor([6], { dtype }).floorDivide(minusOne).item()).toBe(-6);
    expect(smallest.floorDivide(1).item()).toBe(smallest.item());
    expect(smallest.to('float64').floorDivide(-1).item()).toBe(-smallest.item());
  });
});

test('codes of enumerations that do not exist are refused', () => {
  const empty = operator('aten::empty.memory_format');
  expect(() => empty([1], 'float32', undefined, 'cpu', null, 4)).toThrow(
    'expected a memory format code from 0 to 3, received 4',
  );
  expect(() => empty([1], 'float32', 99, 'cpu')).toThrow(/expected a layout code from 0 to \d+, received 99/);
});

test('values that cannot be described do not hide the error', () => {
  const circular: unknown[] = [];
  circular.push(circular);
  const throwing = {
    get constructor() {
      throw new Error('mine');
    },
  };
  for (const value of [circular, throwing, Object.create(null), Symbol('s')])
    expect(errorOf(() => ones([2]).add(value as number))).toBeInstanceOf(ArgumentError);
});

test('an exception thrown by the caller passes unchanged', () => {
  const mine = new RangeError('mine');
  const sizes = Object.defineProperty([1], 0, {
    get() {
      throw mine;
    },
  });
  expect(() => scope(() => ones([1]).view(sizes))).toThrow(mine);
});

test('operators by name: schema and list', () => {
  expect(operatorSchema('aten::relu')).toBe('aten::relu(Tensor self) -> Tensor');
  const names = operatorNames();
  expect(names.length).toBeGreaterThan(1500);
  expect(names).toEqual(names.toSorted());
  expect(scope(() => operator('aten::add.Tensor')(ones([1]), ones([1]), 3).item())).toBe(4);
  expect(scope(() => (call('aten::max.dim', tensor([[1, 5]]), 1) as [{ item(): number }])[0].item())).toBe(5);
});
