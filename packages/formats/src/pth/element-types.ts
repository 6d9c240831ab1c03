/** The element types of torch: what stands in a file, and which of them can be read. */
import type { SafetensorsDtype } from '../dtypes.js';

export interface ElementType {
  /** Torch's name: `float32`. */
  readonly name: string;
  /** Bytes of one element (of one byte of elements, where several share it). */
  readonly bytes: number;
  /** Null: tensors of it are not supported. */
  readonly dtype: SafetensorsDtype | null;
}

const READABLE: readonly (readonly [name: string, bytes: number, dtype: SafetensorsDtype])[] = [
  ['float64', 8, 'F64'],
  ['float32', 4, 'F32'],
  ['float16', 2, 'F16'],
  ['bfloat16', 2, 'BF16'],
  ['float8_e5m2', 1, 'F8_E5M2'],
  ['float8_e4m3fn', 1, 'F8_E4M3'],
  ['float8_e5m2fnuz', 1, 'F8_E5M2FNUZ'],
  ['float8_e4m3fnuz', 1, 'F8_E4M3FNUZ'],
  ['float8_e8m0fnu', 1, 'F8_E8M0'],
  ['int64', 8, 'I64'],
  ['int32', 4, 'I32'],
  ['int16', 2, 'I16'],
  ['int8', 1, 'I8'],
  ['uint64', 8, 'U64'],
  ['uint32', 4, 'U32'],
  ['uint16', 2, 'U16'],
  ['uint8', 1, 'U8'],
  ['bool', 1, 'BOOL'],
];

const UNSUPPORTED: readonly (readonly [name: string, bytes: number])[] = [
  ['complex32', 4],
  ['complex64', 8],
  ['complex128', 16],
  ['qint8', 1],
  ['quint8', 1],
  ['qint32', 4],
  ['quint4x2', 1],
  ['quint2x4', 1],
  ['float4_e2m1fn_x2', 1],
  ['bits8', 1],
  ['bits16', 2],
  ['bits1x8', 1],
  ['bits2x4', 1],
  ['bits4x2', 1],
];

/** Element types by the names of torch's dtypes. */
export const elementTypes: ReadonlyMap<string, ElementType> = new Map<string, ElementType>([
  ...READABLE.map(([name, bytes, dtype]) => [name, { name, bytes, dtype }] as const),
  ...UNSUPPORTED.map(([name, bytes]) => [name, { name, bytes, dtype: null }] as const),
]);

const STORAGE_NAMES: Readonly<Record<string, string>> = {
  DoubleStorage: 'float64',
  FloatStorage: 'float32',
  HalfStorage: 'float16',
  BFloat16Storage: 'bfloat16',
  LongStorage: 'int64',
  IntStorage: 'int32',
  ShortStorage: 'int16',
  CharStorage: 'int8',
  ByteStorage: 'uint8',
  BoolStorage: 'bool',
  ComplexFloatStorage: 'complex64',
  ComplexDoubleStorage: 'complex128',
  QInt8Storage: 'qint8',
  QUInt8Storage: 'quint8',
  QInt32Storage: 'qint32',
  QUInt4x2Storage: 'quint4x2',
  QUInt2x4Storage: 'quint2x4',
  // Bytes without a type, since torch 2.0; the type then stands with the tensor.
  UntypedStorage: 'uint8',
};

/** Element types by the names of storage classes. */
export const storageTypes: ReadonlyMap<string, ElementType> = new Map(
  Object.entries(STORAGE_NAMES).map(([name, element]) => [name, elementTypes.get(element)!]),
);
