import { SafetensorsError } from './safetensors-error.js';

/** Random access to bytes: a file, a Blob, an array, a ranged download. */
export interface ByteSource {
  /** Bytes in all. */
  readonly size: number;
  /** Exactly `length` bytes from `offset`. */
  read(offset: number, length: number): Promise<Uint8Array> | Uint8Array;
}

/** A source over bytes in memory; reads are views. */
export function bytesSource(bytes: Uint8Array): ByteSource {
  return { size: bytes.byteLength, read: (offset, length) => bytes.subarray(offset, offset + length) };
}

/** A source over a Blob, for instance a file chosen in a browser. */
export function blobSource(blob: Blob): ByteSource {
  return {
    size: blob.size,
    read: async (offset, length) => new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer()),
  };
}

/** Reads and makes sure that all of it came: a file can shrink while it is open. */
export async function readExactly(source: ByteSource, offset: number, length: number): Promise<Uint8Array> {
  const bytes = await source.read(offset, length);
  if (bytes.byteLength === length) return bytes;
  const message = `expected ${length} bytes at offset ${offset} of the source, received ${bytes.byteLength}`;
  throw new SafetensorsError('short-read', message);
}
