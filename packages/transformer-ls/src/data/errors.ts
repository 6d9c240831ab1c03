export { messageOf, oneLine } from '../text/one-line.js';

/** A file, corpus or download that is not what was asked for. The message is one line, fit to print as it is. */
export class DataError extends Error {
  override readonly name = 'DataError';
}

/** The error code of a Node system error ('ENOENT', ...), or undefined for any other value. */
export function systemErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

const reasons: Record<string, string> = {
  ENOENT: 'no such file or folder',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'it is a folder, expected a file',
  ENOTDIR: 'a part of the path is a file, expected a folder',
  ENOSPC: 'the disk is full',
  EROFS: 'the disk is read-only',
  EMFILE: 'too many files are open',
};

/** Turns what went wrong with a path into one clear line; passes DataErrors and aborts on unchanged. */
export function fileError(action: string, path: string, error: unknown): Error {
  if (error instanceof DataError || (error instanceof Error && error.name === 'AbortError')) return error;
  const code = systemErrorCode(error);
  const reason =
    (code !== undefined && reasons[code]) || (error instanceof Error ? error.message : String(error));
  return new DataError(`cannot ${action} ${path}: ${reason}`, { cause: error });
}
