import { createHash, randomBytes } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import type { FileSystem, OpenFile } from './file-system.js';

/** Size and SHA-256 (lower-case hexadecimal) of a file's bytes. */
export interface FileDigest {
  readonly size: number;
  readonly sha256: string;
}

/** Names that begin like this are unfinished work of a process that was stopped; they may be deleted at the next start. */
export const TEMPORARY_PREFIX = '.tmp-';

const PIECE_BYTES = 4 * 1024 * 1024;

/** A name in the same folder as `path` that no other process uses. */
export function temporaryPath(path: string): string {
  const unique = `${process.pid}-${randomBytes(4).toString('hex')}`;
  return join(dirname(path), `${TEMPORARY_PREFIX}${basename(path)}-${unique}`);
}

/** Writes a new file piece by piece and returns only when its bytes are on the disk. The file must not exist. */
export async function writeDurably(
  fileSystem: FileSystem,
  path: string,
  pieces: Iterable<Uint8Array>,
): Promise<FileDigest> {
  const hash = createHash('sha256');
  let size = 0;
  const file = await fileSystem.open(path, 'create');
  try {
    for (const piece of pieces) {
      for (let start = 0; start < piece.length; start += PIECE_BYTES) {
        const part = piece.subarray(start, start + PIECE_BYTES);
        hash.update(part);
        await writeAll(file, part);
        size += part.length;
      }
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return { size, sha256: hash.digest('hex') };
}

/** Replaces a whole file: at every moment, a crash included, readers see either the old bytes or the new ones. */
export async function replaceFile(
  fileSystem: FileSystem,
  path: string,
  pieces: Iterable<Uint8Array>,
): Promise<void> {
  const temporary = temporaryPath(path);
  try {
    await writeDurably(fileSystem, temporary, pieces);
    await fileSystem.rename(temporary, path);
  } catch (error) {
    await removeQuietly(fileSystem, temporary);
    throw error;
  }
  await fileSystem.syncFolder(dirname(path));
}

/** Writes all of `bytes`: a single write may take only some of them. */
export async function writeAll(file: OpenFile, bytes: Uint8Array): Promise<void> {
  let start = 0;
  while (start < bytes.length) start += await file.write(bytes.subarray(start));
}

/** Size and hash of a file as it lies on the disk, read piece by piece. */
export async function digestFile(fileSystem: FileSystem, path: string): Promise<FileDigest> {
  const hash = createHash('sha256');
  let size = 0;
  const file = await fileSystem.open(path, 'read');
  try {
    const piece = new Uint8Array(Math.min(PIECE_BYTES, (await file.size()) + 1));
    for (;;) {
      const taken = await file.read(piece, size);
      if (taken === 0) break;
      hash.update(piece.subarray(0, taken));
      size += taken;
    }
  } finally {
    await file.close();
  }
  return { size, sha256: hash.digest('hex') };
}

/** Reads a small file whole; more than `most` bytes are refused before any memory is taken for them. */
export async function readSmallFile(fileSystem: FileSystem, path: string, most: number): Promise<Uint8Array> {
  const file = await fileSystem.open(path, 'read');
  try {
    const size = await file.size();
    if (size > most) throw new RangeError(`${basename(path)} holds ${size} bytes, at most ${most} expected`);
    const bytes = new Uint8Array(size);
    let start = 0;
    while (start < size) {
      const taken = await file.read(bytes.subarray(start), start);
      if (taken === 0) throw new RangeError(`${basename(path)} became shorter while it was read`);
      start += taken;
    }
    return bytes;
  } finally {
    await file.close();
  }
}

/** Deletes what a process that was stopped left unfinished in `folder`. Returns the names deleted. */
export async function removeLeftovers(fileSystem: FileSystem, folder: string): Promise<string[]> {
  const leftovers = (await fileSystem.list(folder)).filter((name) => name.startsWith(TEMPORARY_PREFIX));
  for (const name of leftovers) await fileSystem.remove(join(folder, name));
  return leftovers;
}

/** Removal on the way out of a failure: a second error would hide the first one. */
export async function removeQuietly(fileSystem: FileSystem, path: string): Promise<void> {
  try {
    await fileSystem.remove(path);
  } catch {
    // The next start deletes it.
  }
}
