/** IDX, the format of MNIST: a number of equal arrays of bytes, big-endian sizes in front. */
import { readFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import { DataError, fileError, messageOf, oneLine } from '../data/errors.js';

/** No file of this format that is read here is larger. */
export const LARGEST_IDX_FILE = 1 << 30;

/** The arrays of an IDX file of bytes, `.gz` or plain. @throws DataError where it is no such file */
export async function readIdx(path: string): Promise<Uint8Array[]> {
  const bytes = await unpacked(path);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const dimensions = bytes.length >= 4 && view.getUint32(0) >>> 8 === 8 ? bytes[3]! : 0;
  if (dimensions < 1 || dimensions > 4 || bytes.length < 4 + 4 * dimensions)
    throw new DataError(`${path}: expected an IDX file of bytes with 1 to 4 dimensions`);
  const shape = Array.from({ length: dimensions }, (_, i) => view.getUint32(4 + 4 * i));
  // Where nothing is in an array, a file of some bytes could have any number of them.
  if (shape.includes(0))
    throw new DataError(`${path}: expected sizes above 0, received ${shape.join(' x ')}`);
  const start = 4 + 4 * dimensions;
  const each = shape.slice(1).reduce((product, size) => product * size, 1);
  if (bytes.length !== start + shape[0]! * each)
    throw new DataError(
      `${path}: expected ${shape.join(' x ')} bytes after its sizes, found ${bytes.length - start}`,
    );
  return Array.from({ length: shape[0]! }, (_, i) =>
    bytes.subarray(start + i * each, start + (i + 1) * each),
  );
}

async function unpacked(path: string): Promise<Uint8Array> {
  const raw = await readFile(path).catch((error) => {
    throw fileError('read', path, error);
  });
  if (raw[0] !== 0x1f || raw[1] !== 0x8b) return raw;
  try {
    return gunzipSync(raw, { maxOutputLength: LARGEST_IDX_FILE });
  } catch (error) {
    throw new DataError(`${path}: is not a sound gzip file: ${oneLine(messageOf(error))}`);
  }
}
