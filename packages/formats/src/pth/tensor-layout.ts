// Checks of the numbers that make a tensor of a storage: no view may leave its storage, whatever its numbers.

import { quoted, shapeText } from '../describe-value.js';
import { checkedByteLength, elementBytes, type SafetensorsDtype } from '../dtypes.js';
import { describePickle, type PickleValue } from '../pickle-values.js';
import { PthError } from './pth-error.js';
import type { PthStorage, TensorLayout } from './pth-values.js';

/** As many as torch allows. */
export const MOST_PTH_DIMENSIONS = 64;

/** @throws PthError `invalid-tensor` */
export function checkedLayout(
  storage: PthStorage,
  dtype: SafetensorsDtype,
  offset: PickleValue | undefined,
  size: PickleValue | undefined,
  strides: PickleValue | undefined,
): TensorLayout {
  const where = `a tensor of storage ${quoted(storage.key)}`;
  const shape = wholeNumbers(size);
  const stride = wholeNumbers(strides);
  if (shape === undefined || stride === undefined || shape.length !== stride.length)
    throw invalid(
      `${where}: expected a shape of at most ${MOST_PTH_DIMENSIONS} whole numbers and as many strides, received ${describePickle(size)} and ${describePickle(strides)}`,
    );
  if (!isWholeNumber(offset))
    throw invalid(`${where}: expected an offset from 0 to 2^53 - 1, received ${describePickle(offset)}`);
  if (checkedByteLength(dtype, shape) === undefined)
    throw invalid(`${where}: expected at most 2^53 - 1 bytes, received ${dtype} ${shapeText(shape)}`);
  const layout = { dtype, shape, stride, offset };
  // Beyond 2^53 the sum is not exact, but far beyond any storage.
  const needed = (offset + viewElements(layout)) * elementBytes(dtype);
  if (!shape.includes(0) && needed > storage.byteLength)
    throw invalid(
      `${where}: ${dtype} ${shapeText(shape)} with strides ${shapeText(stride)} from element ${offset} needs ${needed} bytes, received ${storage.byteLength}`,
    );
  return layout;
}

/** Elements of the storage from the first to the last that the tensor shows; its shape holds no 0. */
export function viewElements({ shape, stride }: TensorLayout): number {
  return shape.reduce((last, size, i) => last + (size - 1) * stride[i]!, 1);
}

/** A copy: a file may still change its lists after it made a tensor of them. */
function wholeNumbers(value: PickleValue | undefined): number[] | undefined {
  if (!Array.isArray(value) || value.length > MOST_PTH_DIMENSIONS) return undefined;
  return value.every(isWholeNumber) ? [...value] : undefined;
}

export function isWholeNumber(value: PickleValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function invalid(message: string): PthError {
  return new PthError('invalid-tensor', message);
}
