import { type FileHandle, mkdir, open, readdir, rename, rm, statfs } from 'node:fs/promises';

/** One open file, as far as durable writing needs it. */
export interface OpenFile {
  /** Writes at the current position and returns how many bytes were taken, possibly fewer than given. */
  write(bytes: Uint8Array): Promise<number>;
  /** Reads up to `into.length` bytes at `position`; 0 at the end of the file. */
  read(into: Uint8Array, position: number): Promise<number>;
  size(): Promise<number>;
  truncate(size: number): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

/**
 * The file operations that the safety of a run depends on. They are an interface so that tests can make any single
 * one of them fail, as disks do.
 */
export interface FileSystem {
  /** Creates the folder and its missing parents. */
  makeFolder(path: string): Promise<void>;
  /** `read`: must exist; `create`: must not exist; `append`: created where missing, writes go to the end. */
  open(path: string, mode: 'read' | 'create' | 'append'): Promise<OpenFile>;
  /** Names in a folder; empty where the folder does not exist. */
  list(path: string): Promise<string[]>;
  rename(from: string, to: string): Promise<void>;
  /** Removes a file or a whole folder; nothing happens where it does not exist. */
  remove(path: string): Promise<void>;
  /** Makes the names in a folder durable. */
  syncFolder(path: string): Promise<void>;
  /** Bytes a user may still write on the disk that holds `path`. */
  freeBytes(path: string): Promise<number>;
}

const FLAGS = { read: 'r', create: 'wx', append: 'a+' } as const;

export const nodeFileSystem: FileSystem = {
  makeFolder: async (path) => {
    await mkdir(path, { recursive: true });
  },
  open: async (path, mode) => wrap(await open(path, FLAGS[mode])),
  list: async (path) => {
    try {
      return await readdir(path);
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return [];
      throw error;
    }
  },
  rename,
  remove: (path) => rm(path, { recursive: true, force: true }),
  syncFolder: async (path) => {
    const folder = await open(path, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  },
  freeBytes: async (path) => {
    const disk = await statfs(path);
    return disk.bavail * disk.bsize;
  },
};

/** The system's code of a failed file operation (`ENOSPC`, `EACCES`, ...), or `undefined` for any other value. */
export function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

function wrap(file: FileHandle): OpenFile {
  return {
    write: async (bytes) => (await file.write(bytes)).bytesWritten,
    read: async (into, position) => (await file.read(into, 0, into.length, position)).bytesRead,
    size: async () => (await file.stat()).size,
    truncate: (size) => file.truncate(size),
    sync: () => file.sync(),
    close: () => file.close(),
  };
}
