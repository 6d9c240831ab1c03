/** Node, Deno and Bun: onnxruntime-node, and files of folders or servers. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Engine, FileReader, Platform } from './engine.js';
import { RuntimeError } from './errors.js';
import { fetchFiles, isHttp } from './fetch-files.js';

const PIECE = 4 * 2 ** 20;

export const platform: Platform = {
  async startEngine({ device = 'auto', threads }) {
    if (device !== 'auto' && device !== 'cpu')
      throw new RuntimeError(
        'bad-input',
        `device: expected auto or cpu outside browsers, received ${device}`,
      );
    const engine = await nodeEngine();
    const session = {
      executionProviders: ['cpu'],
      ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
    };
    return { engine, device: 'cpu', session, notes: [] };
  },
  filesAt(place, signal) {
    if (isHttp(place)) return fetchFiles(place, signal);
    return folderFiles(
      place instanceof URL || place.startsWith('file:') ? fileURLToPath(place) : place,
      signal,
    );
  },
};

async function nodeEngine(): Promise<Engine> {
  try {
    return (await import('onnxruntime-node')) as unknown as Engine;
  } catch (error) {
    const missing = (error as { code?: string }).code === 'ERR_MODULE_NOT_FOUND';
    const message = missing
      ? 'onnxruntime-node is not installed; run: npm install onnxruntime-node@1.30.0'
      : `onnxruntime-node cannot start: ${error instanceof Error ? error.message : String(error)}`;
    throw new RuntimeError('no-engine', message, { cause: error });
  }
}

function folderFiles(folder: string, signal: AbortSignal | undefined): FileReader {
  return {
    place: folder,
    async read(name, most, onBytes) {
      const path = join(folder, name);
      const file = await open(path).catch((error: { code?: string }) => {
        throw new RuntimeError('not-found', `${path}: cannot be read (${error.code ?? String(error)})`, {
          cause: error,
        });
      });
      try {
        const stats = await file.stat();
        if (!stats.isFile()) throw new RuntimeError('not-found', `${path}: is no file`);
        const { size } = stats;
        if (size > most)
          throw new RuntimeError('damaged', `${path}: has ${size} bytes, expected at most ${most}`);
        const bytes = new Uint8Array(size);
        for (let at = 0; at < size; ) {
          signal?.throwIfAborted();
          const { bytesRead } = await file.read(bytes, at, Math.min(PIECE, size - at), at);
          if (bytesRead === 0) throw new RuntimeError('damaged', `${path}: ends early`);
          at += bytesRead;
          onBytes(bytesRead);
        }
        return bytes;
      } finally {
        await file.close();
      }
    },
  };
}
