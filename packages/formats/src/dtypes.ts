// The element types of safetensors files, and tensors of them as typed arrays and numbers.

import { shapeText } from './describe-value.js';
import { SafetensorsError } from './safetensors-error.js';
import { SMALL_FLOATS, type SmallFloatName, smallFloatBits, smallFloatValue } from './small-floats.js';

// Bytes of one element, in the order of the reference implementation: its writer stores types from the last to the first.
const ELEMENT_BYTES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  F8_E8M0: 1,
  F8_E4M3FNUZ: 1,
  F8_E5M2FNUZ: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  C64: 8,
  F64: 8,
  I64: 8,
  U64: 8,
} as const;

export type SafetensorsDtype = keyof typeof ELEMENT_BYTES;
/** Every supported dtype, narrowest first. */
export const SAFETENSORS_DTYPES = Object.keys(ELEMENT_BYTES) as readonly SafetensorsDtype[];
/** Types of the format whose elements are not whole bytes; refused by name. */
export const SUB_BYTE_DTYPES: ReadonlySet<string> = new Set(['F4', 'F6_E2M3', 'F6_E3M2']);

/** One tensor: `data` holds the elements in row-major order, little-endian. */
export interface TensorEntry {
  dtype: SafetensorsDtype;
  shape: number[];
  data: Uint8Array;
}

export function isSafetensorsDtype(name: string): name is SafetensorsDtype {
  return Object.hasOwn(ELEMENT_BYTES, name);
}

export function elementBytes(dtype: SafetensorsDtype): number {
  return ELEMENT_BYTES[dtype];
}

/** Position in the writer's order: wider types have higher ranks. */
export function dtypeRank(dtype: SafetensorsDtype): number {
  return SAFETENSORS_DTYPES.indexOf(dtype);
}

/** Bytes of a tensor, or undefined where a partial product of the shape (zeros included) passes 2^53 - 1. */
export function checkedByteLength(dtype: SafetensorsDtype, shape: readonly number[]): number | undefined {
  let bytes = 1;
  for (const size of [...shape, ELEMENT_BYTES[dtype]]) {
    bytes *= size;
    if (!Number.isSafeInteger(bytes)) return undefined;
  }
  return bytes;
}

export type TensorArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

/**
 * The elements as the typed array of their dtype: a view of `entry.data` where its offset is aligned, else a copy.
 * F16 and BF16 come as their bits in a Uint16Array, F8 types and BOOL as a Uint8Array, C64 as pairs in a Float32Array.
 * Typed arrays have the byte order of the machine; those that run Node and browsers are little-endian like the file.
 * Throws `size-mismatch` where the data are not as long as dtype and shape say.
 */
export function asTypedArray(entry: TensorEntry): TensorArray {
  checkEntrySize(entry);
  const size = componentBytes(entry.dtype);
  // A copy where misaligned; not data.slice(), which for a Node Buffer is a view of the same bytes.
  const { buffer, byteOffset, byteLength } =
    entry.data.byteOffset % size === 0 ? entry.data : new Uint8Array(entry.data);
  const length = byteLength / size;
  switch (entry.dtype) {
    case 'F64':
      return new Float64Array(buffer, byteOffset, length);
    case 'F32':
    case 'C64':
      return new Float32Array(buffer, byteOffset, length);
    case 'I64':
      return new BigInt64Array(buffer, byteOffset, length);
    case 'U64':
      return new BigUint64Array(buffer, byteOffset, length);
    case 'I32':
      return new Int32Array(buffer, byteOffset, length);
    case 'U32':
      return new Uint32Array(buffer, byteOffset, length);
    case 'I16':
      return new Int16Array(buffer, byteOffset, length);
    case 'I8':
      return new Int8Array(buffer, byteOffset, length);
    case 'U16':
    case 'F16':
    case 'BF16':
      return new Uint16Array(buffer, byteOffset, length);
    default:
      return new Uint8Array(buffer, byteOffset, length);
  }
}

function checkEntrySize({ dtype, shape, data }: TensorEntry): void {
  const expected = checkedByteLength(dtype, shape);
  if (data.byteLength === expected) return;
  const message = `expected ${expected} bytes for ${dtype} ${shapeText(shape)}, received ${data.byteLength}`;
  throw new SafetensorsError('size-mismatch', message);
}

function componentBytes(dtype: SafetensorsDtype): number {
  return dtype === 'C64' ? 4 : ELEMENT_BYTES[dtype];
}

/**
 * The elements as float32, in a new array. Exact for F32 and every narrower type; F64, I32, U32 and the 64-bit integers
 * (through float64) are rounded to nearest. BOOL gives 0 and 1. Throws `unsupported-dtype` for C64.
 */
export function toFloat32(entry: TensorEntry): Float32Array {
  const { dtype } = entry;
  if (dtype === 'C64')
    throw new SafetensorsError('unsupported-dtype', 'toFloat32: expected a real dtype, received C64');
  const elements = asTypedArray(entry);
  if (elements instanceof BigInt64Array || elements instanceof BigUint64Array)
    return Float32Array.from(elements, Number);
  if (dtype === 'BOOL') return Float32Array.from(elements, (byte) => (byte === 0 ? 0 : 1));
  if (dtype === 'F8_E8M0') return Float32Array.from(elements, float8E8M0Value);
  return isSmallFloat(dtype) ? widened(dtype, elements) : Float32Array.from(elements);
}

/** A tensor of a floating dtype from float32 values, rounded to nearest even. Throws `size-mismatch`. */
export function fromFloat32(
  values: Float32Array,
  dtype: 'F32' | 'F64' | SmallFloatName,
  shape: number[],
): TensorEntry {
  const expected = shape.reduce((product, size) => product * size, 1);
  if (values.length !== expected) {
    throw new SafetensorsError(
      'size-mismatch',
      `fromFloat32: expected ${expected} values for shape ${shapeText(shape)}, received ${values.length}`,
    );
  }
  const array = narrowed(values, dtype);
  return { dtype, shape: [...shape], data: new Uint8Array(array.buffer, array.byteOffset, array.byteLength) };
}

function isSmallFloat(dtype: SafetensorsDtype): dtype is SmallFloatName {
  return SMALL_FLOATS.has(dtype);
}

function narrowed(values: Float32Array, dtype: 'F32' | 'F64' | SmallFloatName): TensorArray {
  if (dtype === 'F32') return values.slice();
  if (dtype === 'F64') return Float64Array.from(values);
  const bits = ELEMENT_BYTES[dtype] === 2 ? new Uint16Array(values.length) : new Uint8Array(values.length);
  for (let index = 0; index < values.length; index += 1) bits[index] = smallFloatBits(dtype, values[index]!);
  return bits;
}

const wideningTables = new Map<SmallFloatName, Float32Array>();

/** One table look-up an element: all values of a 16-bit type fit in 256 KiB. */
function widened(dtype: SmallFloatName, bits: ArrayLike<number>): Float32Array {
  const table = wideningTables.get(dtype) ?? wideningTable(dtype);
  const values = new Float32Array(bits.length);
  for (let index = 0; index < values.length; index += 1) values[index] = table[bits[index]!]!;
  return values;
}

function wideningTable(dtype: SmallFloatName): Float32Array {
  const table = Float32Array.from({ length: 256 ** ELEMENT_BYTES[dtype] }, (_, bits) =>
    smallFloatValue(dtype, bits),
  );
  wideningTables.set(dtype, table);
  return table;
}

/** A power of two and nothing else (OCP microscaling formats, the scale type E8M0); 255 is NaN. */
function float8E8M0Value(bits: number): number {
  return bits === 255 ? Number.NaN : 2 ** (bits - 127);
}
