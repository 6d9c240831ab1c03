import type { ByteSource } from '../byte-source.js';
import { PthError } from './pth-error.js';

/** Reads and makes sure that all of it came: a file can be cut off, or shrink while it is open. */
export async function sourceBytes(source: ByteSource, offset: number, length: number): Promise<Uint8Array> {
  const left = Math.max(0, source.size - offset);
  const bytes = length <= left ? await source.read(offset, length) : undefined;
  if (bytes?.byteLength === length) return bytes;
  const received = bytes?.byteLength ?? left;
  throw new PthError('short-read', `expected ${length} bytes at byte ${offset}, received ${received}`);
}
