import { dirname } from 'node:path';
import { formatBytes } from '../text/numbers.js';
import { errorCode, type FileSystem } from './file-system.js';

/** Something is wrong with a run folder or the disk under it; the message is one line for the user. */
export class RunFolderError extends Error {
  override readonly name = 'RunFolderError';
}

/**
 * Turns a failed file operation into one line that says what was being done, where, and what to do about it.
 *
 * @param doing for example `write checkpoint of step 1200`
 * @param path the file or folder it happened to
 */
export async function runFolderError(
  error: unknown,
  doing: string,
  path: string,
  fileSystem: FileSystem,
): Promise<RunFolderError> {
  if (error instanceof RunFolderError) return error;
  const reason = (await reasonOf(error, path, fileSystem)).replace(/\s+/g, ' ');
  return new RunFolderError(`cannot ${doing} at ${path}: ${reason}`, { cause: error });
}

async function reasonOf(error: unknown, path: string, fileSystem: FileSystem): Promise<string> {
  switch (errorCode(error)) {
    case 'ENOSPC':
      return `the disk is full (${await freeSpace(path, fileSystem)})`;
    case 'EDQUOT':
      return 'your disk quota is used up';
    case 'EROFS':
      return 'the disk is mounted read-only';
    case 'EACCES':
    case 'EPERM':
      return `permission denied for user ${process.getuid?.() ?? 'unknown'}`;
    case 'ENOTDIR':
    case 'EEXIST':
      return 'a file is where a folder is needed';
    case 'ENOENT':
      return 'no such file or folder';
    case 'EIO':
      return 'the disk reports an input/output error';
    default:
      return error instanceof Error ? error.message : String(error);
  }
}

async function freeSpace(path: string, fileSystem: FileSystem): Promise<string> {
  for (let place = path; ; place = dirname(place)) {
    try {
      return `${formatBytes(await fileSystem.freeBytes(place))} free`;
    } catch {
      if (place === dirname(place)) return 'free space unknown';
    }
  }
}
