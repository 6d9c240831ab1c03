import { createReadStream, type Stats } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { crc32 } from '@transformer-ls/formats';
import { type Entry, fromRandomAccessReaderPromise, type ZipFile } from 'yauzl';
import { DataError, fileError, messageOf, oneLine } from './errors.js';
import { ZipReader } from './zip-reader.js';

const readSize = 1 << 18;

/** Real text shrinks to a third, very regular logs to a hundredth; beyond this an archive is taken for a bomb. */
export const LARGEST_RATIO = 250;
/** Small archives may be any ratio: a thousand equal lines are no danger. */
export const RATIO_FREE_BYTES = 1 << 20;

export interface UnpackLimits {
  /** Stop with an error as soon as more bytes than this come out. */
  readonly maxBytes: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The raw bytes of a `.gz`, `.zip` (exactly one file inside) or plain file, chunk by chunk. What the file is, is
 * told by its first bytes, not by its name. Sizes declared inside archives are not trusted: real bytes are counted.
 * Throws DataError on anything else, saying what was found.
 */
export async function* unpackedBytes(path: string, limits: UnpackLimits): AsyncGenerator<Uint8Array> {
  const { size } = await regularFile(path);
  const kind = await fileKind(path);
  const ratioLimit =
    kind === 'raw' ? Number.POSITIVE_INFINITY : Math.max(size * LARGEST_RATIO, RATIO_FREE_BYTES);
  let total = 0;
  try {
    for await (const chunk of openers[kind](path)) {
      limits.signal?.throwIfAborted();
      total += chunk.length;
      if (total > limits.maxBytes) {
        throw new DataError(`${path}: holds more than the expected ${limits.maxBytes} bytes`);
      }
      if (total > ratioLimit) {
        throw new DataError(
          `${path}: ${size} bytes unpack to more than ${ratioLimit}; more than ${LARGEST_RATIO} to 1 is not text`,
        );
      }
      yield chunk;
    }
  } catch (error) {
    throw archiveError(path, kind, error);
  }
}

type FileKind = 'gzip' | 'zip' | 'raw';

const openers: Record<FileKind, (path: string) => AsyncIterable<Uint8Array>> = {
  gzip: gunzipped,
  zip: unzipped,
  raw: rawBytes,
};

/** Looks at a path without following it into a pipe or device, which could block for ever. */
async function regularFile(path: string): Promise<Stats> {
  let stats: Stats;
  try {
    stats = await stat(path);
  } catch (error) {
    throw fileError('read', path, error);
  }
  if (stats.isDirectory()) throw new DataError(`cannot read ${path}: it is a folder, expected a file`);
  if (!stats.isFile()) throw new DataError(`cannot read ${path}: it is not a regular file`);
  if (stats.size === 0) throw new DataError(`${path}: is empty`);
  return stats;
}

async function fileKind(path: string): Promise<FileKind> {
  const head = await firstBytes(path, 4);
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip';
  const zipMark = head[0] === 0x50 && head[1] === 0x4b;
  if (zipMark && ((head[2] === 3 && head[3] === 4) || (head[2] === 5 && head[3] === 6))) return 'zip';
  return 'raw';
}

/** Up to `count` bytes from the start of a file. */
export async function firstBytes(path: string, count: number): Promise<Uint8Array> {
  try {
    const file = await open(path, 'r');
    try {
      const { buffer, bytesRead } = await file.read(new Uint8Array(count), 0, count, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw fileError('read', path, error);
  }
}

async function* rawBytes(path: string): AsyncGenerator<Uint8Array> {
  yield* byteChunks(createReadStream(path, { highWaterMark: readSize }));
}

async function* gunzipped(path: string): AsyncGenerator<Uint8Array> {
  const source = createReadStream(path, { highWaterMark: readSize });
  const gunzip = createGunzip({ chunkSize: readSize });
  source.on('error', (error) => gunzip.destroy(error));
  try {
    yield* byteChunks(source.pipe(gunzip));
  } finally {
    source.destroy();
    gunzip.destroy();
  }
}

async function* unzipped(path: string): AsyncGenerator<Uint8Array> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const options = { autoClose: false, lazyEntries: true, strictFileNames: true };
    const zip = await fromRandomAccessReaderPromise(new ZipReader(file), size, options);
    const entry = await onlyEntry(path, zip);
    let crc = 0;
    for await (const chunk of byteChunks(await zip.openReadStreamPromise(entry))) {
      crc = crc32(chunk, crc);
      yield chunk;
    }
    if (crc !== entry.crc32) {
      throw new DataError(
        `${path}: the checksum of ${oneLine(entry.fileName)} is wrong; the file is damaged`,
      );
    }
  } finally {
    await file.close();
  }
}

/** yauzl has refused absolute names, `..` and backslashes by then; what is left is checked here. */
async function onlyEntry(path: string, zip: ZipFile): Promise<Entry> {
  if (zip.entryCount !== 1) {
    throw new DataError(`${path}: holds ${zip.entryCount} entries, expected exactly one file`);
  }
  for await (const entry of zip.eachEntry()) {
    const problem = entryProblem(entry);
    if (problem !== undefined) throw new DataError(`${path}: ${oneLine(entry.fileName)} ${problem}`);
    return entry;
  }
  throw new DataError(`${path}: holds no entries, expected exactly one file`);
}

function entryProblem(entry: Entry): string | undefined {
  // The upper half of the external attributes is the Unix mode; 0 where the archive was not made on Unix.
  const fileType = (entry.externalFileAttributes >>> 16) & 0o170000;
  if (entry.fileName.endsWith('/')) return 'is a folder, expected a file';
  if (fileType !== 0 && fileType !== 0o100000) return 'is a link or device, expected a regular file';
  if (entry.isEncrypted()) return 'is encrypted, expected a plain file';
  return undefined;
}

async function* byteChunks(stream: Readable): AsyncGenerator<Uint8Array> {
  for await (const chunk of stream) {
    if (!(chunk instanceof Uint8Array)) throw new TypeError('a byte stream gave something that is not bytes');
    yield chunk;
  }
}

function archiveError(path: string, kind: FileKind, error: unknown): Error {
  if (error instanceof DataError || kind === 'raw') return fileError('read', path, error);
  if (error instanceof Error && error.name === 'AbortError') return error;
  const reason = oneLine(messageOf(error));
  if (kind === 'gzip' && reason === 'unexpected end of file') {
    return new DataError(`${path}: is cut short, the gzip data ends too early`, { cause: error });
  }
  return new DataError(`${path}: is not a sound ${kind} file: ${reason}`, { cause: error });
}
