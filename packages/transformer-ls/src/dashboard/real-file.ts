/**
 * Reading below folders that anybody may have filled. Only regular files are opened, symbolic links are not followed, and nothing
 * waits on a pipe. All errors are UnreadableErrors that name the file without its folder.
 */
import { constants } from 'node:fs';
import { type FileHandle, lstat, open, readdir, realpath } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { errorCode } from '../run/file-system.js';
import { UnreadableError } from './errors.js';

/** A file as it was when it was opened. */
export interface RealFile {
  readonly handle: FileHandle;
  /** Bytes. */
  readonly size: number;
  /** Tells a file from another that was put in its place. */
  readonly identity: string;
  readonly modified: Date;
}

/** What is known of a file that is not open. */
export type FileFacts = Omit<RealFile, 'handle'>;

// Systems without these flags have no such links or pipes.
const READ_ONLY = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/**
 * Opens a regular file; the caller closes its handle.
 *
 * @param path in a real folder: one that a link has taken the place of since it was found is not followed
 * @throws UnreadableError
 */
export async function openRealFile(path: string): Promise<RealFile> {
  const handle = await open(path, READ_ONLY).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw new UnreadableError(`${basename(path)}: is not a file`);
    await expectPlace(path, stats.ino);
    return { handle, ...factsOf(stats) };
  } catch (error) {
    await handle.close();
    throw unreadable(path, error);
  }
}

/** Only the last name of a path is kept from being a link when it is opened. Looking at the folder afterwards, and at what lies there, tells of the others. */
async function expectPlace(path: string, ino: number): Promise<void> {
  const folder = dirname(path);
  if ((await realpath(folder)) !== folder)
    throw new UnreadableError(`${basename(path)}: its folder ${A_LINK}`);
  if ((await lstat(path)).ino !== ino) throw new UnreadableError(`${basename(path)}: was replaced meanwhile`);
}

/** Facts of a regular file, or undefined where there is none. @throws UnreadableError for a link or a folder */
export async function realFileFacts(path: string): Promise<FileFacts | undefined> {
  try {
    const stats = await lstat(path);
    if (stats.isSymbolicLink()) throw new UnreadableError(`${basename(path)}: ${A_LINK}`);
    if (!stats.isFile()) throw new UnreadableError(`${basename(path)}: is not a file`);
    return factsOf(stats);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw unreadable(path, error);
  }
}

/** A text file of at most `most` bytes, or undefined where there is none. @throws UnreadableError */
export async function realText(path: string, most: number): Promise<string | undefined> {
  const bytes = await realBytes(path, most);
  if (bytes === undefined) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new UnreadableError(`${basename(path)}: is not UTF-8`);
  }
}

/** A file of at most `most` bytes, or undefined where there is none. @throws UnreadableError */
export async function realBytes(path: string, most: number): Promise<Uint8Array | undefined> {
  if ((await realFileFacts(path)) === undefined) return undefined;
  const { handle, size } = await openRealFile(path);
  try {
    if (size > most)
      throw new UnreadableError(`${basename(path)}: holds ${size} bytes, at most ${most} expected`);
    const bytes = new Uint8Array(size);
    let taken = 0;
    while (taken < size) {
      const { bytesRead } = await handle.read(bytes, taken, size - taken, taken);
      if (bytesRead === 0) throw new UnreadableError(`${basename(path)}: became shorter while it was read`);
      taken += bytesRead;
    }
    return bytes;
  } catch (error) {
    throw unreadable(path, error);
  } finally {
    await handle.close();
  }
}

/** Names in a folder, in order; empty where it is missing. @throws UnreadableError, also for a link to a folder */
export async function realNames(path: string): Promise<string[]> {
  try {
    if ((await lstat(path)).isSymbolicLink()) throw new UnreadableError(`${basename(path)}: ${A_LINK}`);
    return (await readdir(path)).sort();
  } catch (error) {
    if (isMissing(error)) return [];
    throw unreadable(path, error);
  }
}

const A_LINK = 'is a symbolic link, and links are not followed';

/** What the system says, in words of ours: its own hold whole paths. */
const SYSTEM_REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'is missing',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  ELOOP: A_LINK,
  EISDIR: 'is a folder',
  ENOTDIR: 'is not a folder',
  ENXIO: 'is not a file',
  EIO: 'the disk reports an input/output error',
};

export function unreadable(path: string, error: unknown): UnreadableError {
  if (error instanceof UnreadableError) return error;
  const code = errorCode(error);
  const reason = SYSTEM_REASONS[code ?? ''] ?? `cannot be read (${code ?? 'no reason given'})`;
  return new UnreadableError(`${basename(path)}: ${reason}`, { cause: error });
}

function isMissing(error: unknown): boolean {
  return errorCode(error) === 'ENOENT';
}

function factsOf(stats: { size: number; ino: number; mtime: Date }): FileFacts {
  return { size: stats.size, identity: String(stats.ino), modified: stats.mtime };
}
