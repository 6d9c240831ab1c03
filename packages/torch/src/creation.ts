/** Making tensors: from JavaScript data, filled, and random. */
import {
  type DType,
  dtypeCode,
  dtypeOfArray,
  integerRange,
  isTypedArray,
  newTypedArray,
  type TypedArray,
} from './dtype.js';
import { ArgumentError } from './errors.js';
import { native } from './load.js';
import { describeValue, guard, operator, type Scalar, wrapHandle } from './operator.js';
import type { Nested, Tensor, TensorOptions } from './tensor.js';

const emptyOp = operator('aten::empty.memory_format');
const zerosOp = operator('aten::zeros');
const onesOp = operator('aten::ones');
const fullOp = operator('aten::full');
const arangeOp = operator('aten::arange.start_step');
const linspaceOp = operator('aten::linspace');
const randOp = operator('aten::rand');
const randnOp = operator('aten::randn');
const randintOp = operator('aten::randint.low');
const randpermOp = operator('aten::randperm');
const eyeOp = operator('aten::eye');
const zerosLikeOp = operator('aten::zeros_like');
const onesLikeOp = operator('aten::ones_like');
const emptyLikeOp = operator('aten::empty_like');
const toDevice = operator('aten::to.device');
const toDtype = operator('aten::to.dtype');

/**
 * A tensor from numbers, nested arrays (float32 unless a dtype is named; booleans give bool), or a typed array, whose bytes
 * are copied. For float16 and bfloat16 a Uint16Array is taken as raw bits, anything else is converted. `shape` defaults to the
 * nesting, or to one dimension for a typed array.
 */
export function tensor(
  data: Nested | TypedArray,
  options: TensorOptions & { shape?: readonly number[] } = {},
): Tensor {
  const made = isTypedArray(data) ? fromTypedArray(data, options) : fromNested(data, options);
  const placed = options.device === undefined || options.device === 'cpu' ? made : move(made, options.device);
  if (options.requiresGrad) placed.requiresGrad = true;
  return placed;
}

function move(made: Tensor, device: string): Tensor {
  const placed = toDevice(made, device, made.dtype);
  made.dispose();
  return placed;
}

function fromTypedArray(data: TypedArray, options: { dtype?: DType; shape?: readonly number[] }): Tensor {
  const dtype = options.dtype ?? dtypeOfArray(data);
  const isBits = newTypedArray(dtype, 0).constructor === data.constructor;
  if (isBits) return fromBytes(data, dtype, options.shape ?? [data.length]);
  const own = fromBytes(data, dtypeOfArray(data), options.shape ?? [data.length]);
  const converted = toDtype(own, dtype);
  own.dispose();
  return converted;
}

function fromBytes(data: TypedArray, dtype: DType, shape: readonly number[]): Tensor {
  if (!Array.isArray(shape))
    throw new ArgumentError(`tensor: expected an array of sizes, received ${describeValue(shape)}`);
  return guard(
    'tensor',
    [data, dtype, shape],
    () => wrapHandle(native().fromBytes(data, dtypeCode(dtype), shape)) as Tensor,
  );
}

function fromNested(data: Nested, options: { dtype?: DType; shape?: readonly number[] }): Tensor {
  const shape = nestingOf(data);
  const flat: (number | bigint | boolean)[] = [];
  flatten(data, shape, 0, flat);
  const dtype =
    options.dtype ?? (flat.length > 0 && flat.every((x) => typeof x === 'boolean') ? 'bool' : 'float32');
  const half = dtype === 'float16' || dtype === 'bfloat16';
  const array = newTypedArray(half ? 'float32' : dtype, flat.length);
  const range = integerRange(dtype);
  for (let i = 0; i < flat.length; i++) {
    if (range !== null) checkInteger(flat[i]!, dtype, range);
    array[i] = dtype === 'int64' ? BigInt(flat[i]!) : Number(flat[i]);
  }
  const sizes = options.shape ?? shape;
  if (!half) return fromBytes(array, dtype, sizes);
  return fromTypedArray(array, { dtype, shape: sizes });
}

/** A typed array would wrap or cut a value that does not fit, without a word. */
function checkInteger(value: Scalar, dtype: DType, [low, high]: readonly [bigint, bigint]): void {
  const whole = typeof value !== 'number' || Number.isInteger(value);
  if (!whole || BigInt(value) < low || BigInt(value) > high)
    throw new ArgumentError(`tensor: ${value} is no ${dtype}`);
}

function nestingOf(data: Nested): number[] {
  const shape: number[] = [];
  for (let level = data; Array.isArray(level); level = level[0] as Nested) {
    shape.push(level.length);
    if (level.length === 0) break;
  }
  return shape;
}

function flatten(
  data: Nested,
  shape: readonly number[],
  depth: number,
  into: (number | bigint | boolean)[],
): void {
  if (Array.isArray(data) !== depth < shape.length || (Array.isArray(data) && data.length !== shape[depth]))
    throw new ArgumentError(`tensor: expected nested arrays of shape [${shape}], received a ragged one`);
  if (Array.isArray(data)) for (const item of data) flatten(item, shape, depth + 1, into);
  else if (typeof data === 'number' || typeof data === 'bigint' || typeof data === 'boolean') into.push(data);
  else throw new ArgumentError(`tensor: expected numbers, received ${describeValue(data)}`);
}

function finish(made: Tensor, options: TensorOptions): Tensor {
  if (options.requiresGrad) made.requiresGrad = true;
  return made;
}

/** Uninitialised memory. */
export function empty(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return finish(emptyOp(shape, options.dtype ?? 'float32', null, options.device ?? 'cpu'), options);
}

export function zeros(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return finish(zerosOp(shape, options.dtype ?? 'float32', null, options.device ?? 'cpu'), options);
}

export function ones(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return finish(onesOp(shape, options.dtype ?? 'float32', null, options.device ?? 'cpu'), options);
}

export function full(shape: readonly number[], value: Scalar, options: TensorOptions = {}): Tensor {
  return finish(fullOp(shape, value, options.dtype ?? 'float32', null, options.device ?? 'cpu'), options);
}

/** start, start + step, … before end; int64 unless a dtype is named. */
export function arange(start: number, end: number, step = 1, options: TensorOptions = {}): Tensor {
  return finish(arangeOp(start, end, step, options.dtype ?? 'int64', null, options.device ?? 'cpu'), options);
}

/** `steps` numbers from start to end, both included. */
export function linspace(start: number, end: number, steps: number, options: TensorOptions = {}): Tensor {
  return finish(
    linspaceOp(start, end, steps, options.dtype ?? 'float32', null, options.device ?? 'cpu'),
    options,
  );
}

/** Uniform random numbers from [0, 1). */
export function rand(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return finish(randOp(shape, options.dtype ?? 'float32', null, options.device ?? 'cpu'), options);
}

/** Normal random numbers, mean 0 and standard deviation 1. */
export function randn(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return finish(randnOp(shape, options.dtype ?? 'float32', null, options.device ?? 'cpu'), options);
}

/** Random integers from [low, high); int64 unless a dtype is named. */
export function randint(
  low: number,
  high: number,
  shape: readonly number[],
  options: TensorOptions = {},
): Tensor {
  return finish(
    randintOp(low, high, shape, options.dtype ?? 'int64', null, options.device ?? 'cpu'),
    options,
  );
}

/** 0 … n-1 in random order, int64. */
export function randperm(n: number, options: TensorOptions = {}): Tensor {
  return finish(randpermOp(n, options.dtype ?? 'int64', null, options.device ?? 'cpu'), options);
}

/** The identity matrix. */
export function eye(n: number, options: TensorOptions = {}): Tensor {
  return finish(eyeOp(n, options.dtype ?? 'float32', null, options.device ?? 'cpu'), options);
}

export function zerosLike(like: Tensor): Tensor {
  return zerosLikeOp(like);
}

export function onesLike(like: Tensor): Tensor {
  return onesLikeOp(like);
}

export function emptyLike(like: Tensor): Tensor {
  return emptyLikeOp(like);
}
