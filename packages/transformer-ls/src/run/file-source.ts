import { type FileHandle, open } from 'node:fs/promises';
import type { ByteSource } from '@transformer-ls/formats';
import { runFolderError } from './errors.js';
import { nodeFileSystem } from './file-system.js';

/** A file as a byte source for `openSafetensors`: only what is asked for is read. `close` it when done. */
export interface FileSource extends ByteSource {
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** Opens a file for reading at any place. Errors: RunFolderError in one line where it cannot be opened. */
export async function fileSource(path: string): Promise<FileSource> {
  try {
    const file = await open(path, 'r');
    const { size } = await file.stat();
    return { size, read: (offset, length) => readAt(file, offset, length), close: () => file.close() };
  } catch (error) {
    throw await runFolderError(error, 'read the file', path, nodeFileSystem);
  }
}

/** May return fewer bytes than asked for at the end of the file; the safetensors reader reports that. */
async function readAt(file: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let taken = 0;
  while (taken < length) {
    const { bytesRead } = await file.read(bytes, taken, length - taken, offset + taken);
    if (bytesRead === 0) return bytes.subarray(0, taken);
    taken += bytesRead;
  }
  return bytes;
}
