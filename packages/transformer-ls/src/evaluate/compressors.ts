/** What general compressors make of the same bytes: the first number a language model has to beat. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createGzip } from 'node:zlib';
import type { ByteCorpus } from '../data/byte-corpus.js';

export interface CompressorScore {
  /** `gzip -9` or `xz -9e`. */
  readonly name: string;
  readonly compressedBytes: number;
  /** Bits per byte of the text: 8 * compressed / raw. */
  readonly bpc: number;
}

const PIECE_BYTES = 1 << 20;

/** The first `bytes` bytes of a split, compressed; `xz` is left out where the machine has none. */
export async function compressorScores(
  corpus: ByteCorpus,
  bytes = corpus.length,
): Promise<CompressorScore[]> {
  const sizes: [string, number | undefined][] = [
    ['gzip -9', await gzipSize(corpus, bytes)],
    ['xz -9e', await xzSize(corpus, bytes)],
  ];
  return sizes.flatMap(([name, size]) =>
    size === undefined ? [] : [{ name, compressedBytes: size, bpc: (8 * size) / bytes }],
  );
}

async function gzipSize(corpus: ByteCorpus, bytes: number): Promise<number> {
  const gzip = createGzip({ level: constants.Z_BEST_COMPRESSION });
  const [size] = await Promise.all([sizeOf(gzip), pour(corpus, bytes, gzip)]);
  return size;
}

async function xzSize(corpus: ByteCorpus, bytes: number): Promise<number | undefined> {
  const child = spawn('xz', ['-9e', '-c', '-T1'], { stdio: ['pipe', 'pipe', 'ignore'] });
  try {
    await once(child, 'spawn');
  } catch {
    return undefined;
  }
  const closed = once(child, 'close') as Promise<[number | null]>;
  const poured = pour(corpus, bytes, child.stdin).catch(() => undefined);
  const size = await sizeOf(child.stdout);
  await poured;
  const [code] = await closed;
  return code === 0 ? size : undefined;
}

async function pour(corpus: ByteCorpus, bytes: number, into: Writable): Promise<void> {
  await pipeline(Readable.from(pieces(corpus, bytes)), into);
}

function* pieces(corpus: ByteCorpus, bytes: number): Generator<Uint8Array> {
  for (let start = 0; start < bytes; start += PIECE_BYTES)
    yield corpus.read(start, Math.min(PIECE_BYTES, bytes - start));
}

async function sizeOf(stream: AsyncIterable<Uint8Array>): Promise<number> {
  let size = 0;
  for await (const piece of stream) size += piece.length;
  return size;
}
