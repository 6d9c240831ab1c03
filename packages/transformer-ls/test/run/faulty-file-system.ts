import { type FileSystem, nodeFileSystem, type OpenFile } from '../../src/run/file-system.js';

/** An operation that changes the disk, as counted by `faultyFileSystem`. */
export type Operation = 'makeFolder' | 'create' | 'write' | 'sync' | 'rename' | 'remove' | 'syncFolder';

/** Decides for the n-th operation (from 0): the code of the error it fails with, or undefined. */
export type Fault = (operation: Operation, index: number, path: string) => string | undefined;

/** The real file system, where `fault` may make any operation that changes the disk fail. */
export function faultyFileSystem(fault: Fault): FileSystem & { readonly operations: Operation[] } {
  const operations: Operation[] = [];
  const attempt = async <T>(operation: Operation, path: string, act: () => Promise<T>): Promise<T> => {
    operations.push(operation);
    const code = fault(operation, operations.length - 1, path);
    if (code !== undefined) throw Object.assign(new Error(`${code}: injected`), { code });
    return act();
  };
  const wrap = (file: OpenFile, path: string): OpenFile => ({
    ...file,
    // Half of the bytes at a time: a caller that forgets the rest is found out.
    write: (bytes) =>
      attempt('write', path, () => file.write(bytes.subarray(0, Math.ceil(bytes.length / 2)))),
    sync: () => attempt('sync', path, () => file.sync()),
  });
  return {
    ...nodeFileSystem,
    operations,
    makeFolder: (path) => attempt('makeFolder', path, () => nodeFileSystem.makeFolder(path)),
    open: async (path, mode) => {
      if (mode === 'read') return nodeFileSystem.open(path, mode);
      return wrap(await attempt('create', path, () => nodeFileSystem.open(path, mode)), path);
    },
    rename: (from, to) => attempt('rename', to, () => nodeFileSystem.rename(from, to)),
    remove: (path) => attempt('remove', path, () => nodeFileSystem.remove(path)),
    syncFolder: (path) => attempt('syncFolder', path, () => nodeFileSystem.syncFolder(path)),
  };
}
