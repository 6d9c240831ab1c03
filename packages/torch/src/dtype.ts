/** Element types under PyTorch's names, with the codes of libtorch's `ScalarType` and the typed array that holds their bits. */
import { ArgumentError } from './errors.js';

const TABLE = {
  uint8: { code: 0, array: Uint8Array },
  int8: { code: 1, array: Int8Array },
  int16: { code: 2, array: Int16Array },
  int32: { code: 3, array: Int32Array },
  int64: { code: 4, array: BigInt64Array },
  float16: { code: 5, array: Uint16Array },
  float32: { code: 6, array: Float32Array },
  float64: { code: 7, array: Float64Array },
  bool: { code: 11, array: Uint8Array },
  bfloat16: { code: 15, array: Uint16Array },
} as const;

export type DType = keyof typeof TABLE;

/** The typed array whose elements carry a dtype's bits: float16 and bfloat16 as their raw 16 bits, bool as 0 and 1. */
export type TypedArrayOf<D extends DType> = InstanceType<(typeof TABLE)[D]['array']>;
/** Any of them, over plain or shared memory. */
export type TypedArray =
  | Uint8Array
  | Int8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | BigInt64Array
  | Float32Array
  | Float64Array;

export const dtypes = Object.keys(TABLE) as DType[];

const byCode = new Map<number, DType>(dtypes.map((name) => [TABLE[name].code, name]));

export function isDType(value: unknown): value is DType {
  return typeof value === 'string' && Object.hasOwn(TABLE, value);
}

/** @throws ArgumentError naming the dtypes there are. */
export function dtypeCode(dtype: DType): number {
  return entryOf(dtype).code;
}

function entryOf<D extends DType>(dtype: D): (typeof TABLE)[D] {
  if (isDType(dtype)) return TABLE[dtype];
  const received = typeof dtype === 'string' ? `"${dtype}"` : `a value of type ${typeof dtype}`;
  throw new ArgumentError(
    `expected a dtype (${dtypes.join(', ')}), received ${received}${didYouMean(dtype)}`,
  );
}

/** PyTorch's short names, and one wrong letter. */
function didYouMean(name: unknown): string {
  if (typeof name !== 'string') return '';
  const aliases: Record<string, DType> = {
    float: 'float32', double: 'float64', half: 'float16', bf16: 'bfloat16', f16: 'float16', f32: 'float32',
    f64: 'float64', int: 'int32', long: 'int64', short: 'int16', boolean: 'bool',
  }; // biome-ignore format: a table
  const near = Object.hasOwn(aliases, name)
    ? aliases[name]
    : dtypes.find((dtype) => differsInOneLetter(dtype, name.toLowerCase()));
  return near === undefined ? '' : `; did you mean ${near}?`;
}

function differsInOneLetter(a: string, b: string): boolean {
  return a.length === b.length && [...a].filter((letter, i) => letter !== b[i]).length <= 1;
}

/** @throws ArgumentError for libtorch's other types (complex, quantised, float8), which no typed array holds. */
export function dtypeOfCode(code: number): DType {
  const dtype = byCode.get(code);
  if (dtype === undefined)
    throw new ArgumentError(`libtorch's ScalarType ${code} has no typed array in JavaScript`);
  return dtype;
}

/** A dtype's name for messages, also of those that have none here. */
export function dtypeLabel(code: number): string {
  return byCode.get(code) ?? `ScalarType ${code} `;
}

/** The whole numbers that a dtype can hold; null for floating dtypes. */
export function integerRange(dtype: DType): readonly [low: bigint, high: bigint] | null {
  if (isFloatingPoint(dtype)) return null;
  if (dtype === 'bool') return [0n, 1n];
  if (dtype === 'uint8') return [0n, 255n];
  const bits = BigInt(dtype.slice('int'.length));
  return [-(2n ** (bits - 1n)), 2n ** (bits - 1n) - 1n];
}

/** A zeroed typed array for `length` elements of a dtype. */
export function newTypedArray<D extends DType>(dtype: D, length: number): TypedArrayOf<D> {
  return new (entryOf(dtype).array)(length) as TypedArrayOf<D>;
}

/** The typed array over part of a buffer. */
export function typedArrayOver<D extends DType>(
  dtype: D,
  buffer: ArrayBufferLike,
  offset = 0,
  length?: number,
): TypedArrayOf<D> {
  return new (entryOf(dtype).array)(buffer as ArrayBuffer, offset, length) as TypedArrayOf<D>;
}

export function isTypedArray(value: unknown): value is TypedArray {
  return ArrayBuffer.isView(value) && !(value instanceof DataView);
}

/** The dtype a typed array stands for when none is named: 16-bit unsigned and clamped arrays have none. */
export function dtypeOfArray(array: TypedArray): DType {
  if (array instanceof Float32Array) return 'float32';
  if (array instanceof Float64Array) return 'float64';
  if (array instanceof Int32Array) return 'int32';
  if (array instanceof BigInt64Array) return 'int64';
  if (array instanceof Uint8Array) return 'uint8';
  if (array instanceof Int8Array) return 'int8';
  if (array instanceof Int16Array) return 'int16';
  throw new ArgumentError(
    `tensor: a ${(array as object).constructor.name} stands for no dtype by itself: name one`,
  );
}

export function isFloatingPoint(dtype: DType): boolean {
  return dtype.startsWith('float') || dtype === 'bfloat16';
}
