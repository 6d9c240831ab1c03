/** Between libtorch's tensors and the entries of a safetensors file. */
import {
  asTypedArray,
  type SafetensorsDtype,
  type TensorEntry,
  type WritableTensor,
} from '@transformer-ls/formats';
import { ArgumentError, type DType, isTypedArray, scope, type Tensor, tensor } from '@transformer-ls/torch';

const TO_TORCH: Partial<Record<SafetensorsDtype, DType>> = {
  F64: 'float64',
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
  I64: 'int64',
  I32: 'int32',
  I16: 'int16',
  I8: 'int8',
  U8: 'uint8',
  BOOL: 'bool',
};

const TO_FILE = Object.fromEntries(Object.entries(TO_TORCH).map(([file, torch]) => [torch, file])) as Record<
  DType,
  SafetensorsDtype
>;

/** A CPU tensor with a copy of an entry's elements. @throws ArgumentError for a dtype that libtorch tensors here do not have */
export function tensorOfEntry(entry: TensorEntry, name = 'tensor'): Tensor {
  const dtype = TO_TORCH[entry.dtype];
  const array = asTypedArray(entry);
  if (dtype === undefined || !isTypedArray(array))
    throw new ArgumentError(
      `${name}: expected a dtype among ${Object.keys(TO_TORCH).join(', ')}, received ${entry.dtype}`,
    );
  return tensor(array, { dtype, shape: entry.shape });
}

/** An entry with a copy of a tensor's elements, in row-major order. */
export function entryOfTensor(value: Tensor): TensorEntry {
  const array = scope(() => value.toTypedArray());
  const data = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  return { dtype: TO_FILE[value.dtype], shape: [...value.shape], data };
}

/** The same with the elements copied only when they are asked for: a file of many is written without a second copy of all. */
export function lazyEntryOfTensor(value: Tensor): WritableTensor {
  return { dtype: TO_FILE[value.dtype], shape: [...value.shape], data: () => entryOfTensor(value).data };
}
