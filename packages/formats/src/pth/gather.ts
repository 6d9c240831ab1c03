import { elementBytes } from '../dtypes.js';
import type { TensorLayout } from './pth-values.js';

/** Whether the elements of a view lie one after the other in row-major order. */
export function isContiguous({ shape, stride }: TensorLayout): boolean {
  let expected = 1;
  for (let i = shape.length - 1; i >= 0; i -= 1) {
    if (shape[i] !== 1 && stride[i] !== expected) return false;
    expected *= shape[i]!;
  }
  return true;
}

/**
 * The elements of a view in row-major order, in a new array.
 *
 * @param bytes from the first element of the view to its last; the view has at least one
 */
export function gathered(bytes: Uint8Array, layout: TensorLayout): Uint8Array {
  const size = elementBytes(layout.dtype);
  const aligned = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes);
  const from = elementsOf(aligned, size);
  const result = new Uint8Array(layout.shape.reduce((product, length) => product * length, size));
  copyElements(from, elementsOf(result, size), layout);
  return result;
}

type Elements = Uint8Array | Uint16Array | Uint32Array | BigUint64Array;

function elementsOf({ buffer, byteOffset, byteLength }: Uint8Array, size: number): Elements {
  const length = byteLength / size;
  if (size === 8) return new BigUint64Array(buffer, byteOffset, length);
  if (size === 4) return new Uint32Array(buffer, byteOffset, length);
  return size === 2
    ? new Uint16Array(buffer, byteOffset, length)
    : new Uint8Array(buffer, byteOffset, length);
}

/** Row after row of the last dimension, counting through the others. */
function copyElements(from: Elements, to: Elements, { shape, stride }: TensorLayout): void {
  const outer = Math.max(0, shape.length - 1);
  const [rowLength, rowStride] = [shape[outer] ?? 1, stride[outer] ?? 0];
  const index = new Array<number>(outer).fill(0);
  let start = 0;
  for (let row = 0; row < to.length; row += rowLength) {
    for (let i = 0; i < rowLength; i += 1) to[row + i] = from[start + i * rowStride]!;
    for (let d = outer - 1; d >= 0; d -= 1) {
      start += stride[d]!;
      index[d]! += 1;
      if (index[d]! < shape[d]!) break;
      start -= stride[d]! * shape[d]!;
      index[d] = 0;
    }
  }
}
