import assert from 'node:assert/strict';
import { bytesSource, elementBytes, openPth, PthError, type PthTensor } from '../src/index.js';

/** Views may repeat the few numbers of a file up to the allowance; reading those again and again finds nothing. */
const LARGEST_READ = 2 ** 16;

/** Either refused with a `PthError` of one line, at once or when a tensor is read, or read: every tensor has its size. */
export async function checkPth(data: Uint8Array): Promise<void> {
  try {
    const { tensors, read } = await openPth(bytesSource(data));
    for (const [path, tensor] of tensors) {
      const bytes = byteLength(tensor);
      if (bytes > LARGEST_READ) continue;
      const entry = await read(path);
      assert.equal(entry.data.length, bytes);
      assert.deepEqual(entry.shape, tensor.shape);
    }
  } catch (error) {
    if (!(error instanceof PthError)) throw error;
    assert.match(error.message, /^.{1,600}$/);
  }
}

const byteLength = ({ dtype, shape }: PthTensor) =>
  shape.reduce((product, size) => product * size, elementBytes(dtype));
