/** Element types under PyTorch's names, with the codes of libtorch's `ScalarType` and the typed array that holds their bits. */

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

export function dtypeCode(dtype: DType): number {
  if (!isDType(dtype))
    throw new TypeError(`expected a dtype (${dtypes.join(', ')}), received ${String(dtype)}`);
  return TABLE[dtype].code;
}

export function dtypeOfCode(code: number): DType {
  const dtype = byCode.get(code);
  if (dtype === undefined)
    throw new TypeError(`libtorch's ScalarType ${code} has no typed array in JavaScript`);
  return dtype;
}

/** A zeroed typed array for `length` elements of a dtype. */
export function newTypedArray<D extends DType>(dtype: D, length: number): TypedArrayOf<D> {
  return new TABLE[dtype].array(length) as TypedArrayOf<D>;
}

/** The typed array over part of a buffer. */
export function typedArrayOver<D extends DType>(
  dtype: D,
  buffer: ArrayBufferLike,
  offset = 0,
  length?: number,
): TypedArrayOf<D> {
  return new TABLE[dtype].array(buffer as ArrayBuffer, offset, length) as TypedArrayOf<D>;
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
  throw new TypeError(`a ${(array as object).constructor.name} stands for no dtype by itself: name one`);
}

export function isFloatingPoint(dtype: DType): boolean {
  return dtype.startsWith('float') || dtype === 'bfloat16';
}
