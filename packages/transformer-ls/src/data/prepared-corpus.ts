import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { type ByteCorpus, FileByteCorpus, type SplitName, splitNames } from './byte-corpus.js';
import { type CorpusDescriptor, type SplitRanges, splitRanges } from './corpora.js';
import { sha256OfFile } from './download.js';
import { writeDurably } from './durable-file.js';
import { DataError, fileError, systemErrorCode } from './errors.js';

/** What `prepared.json` says of the `data.bin` beside it. It is written last, so it is there only when all is. */
export interface PreparedCorpus {
  readonly format: 1;
  readonly name: string;
  readonly bytes: number;
  /** SHA-256 of `data.bin` in hex. */
  readonly sha256: string;
  /** File, folder, address or packages that the bytes came from. */
  readonly source: string;
  /** Changes when the source changes; empty for fixed corpora, whose SHA-256 is known beforehand. */
  readonly sourceStamp: string;
  /** Counts worth knowing, such as files read and skipped. */
  readonly notes: Readonly<Record<string, number>>;
  readonly splits: SplitRanges;
  /** ISO date and time. */
  readonly preparedAt: string;
  /** Absolute path of `data.bin`; known from where the record was read, not part of the file. */
  readonly path: string;
}

/** Folder of a prepared corpus; each text that the user gives has one of its own. */
export function preparedFolder(
  corpus: CorpusDescriptor,
  options: { folder: string; from?: string | undefined },
): string {
  if (corpus.kind !== 'text') return join(options.folder, corpus.name);
  if (options.from === undefined) throw new DataError(`${corpus.name}: pass --from <file or folder of text>`);
  const source = resolve(options.from);
  const readable = basename(source)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 30);
  const digest = createHash('sha256').update(source).digest('hex').slice(0, 8);
  return join(options.folder, `${corpus.name}-${readable}-${digest}`);
}

/** A sound preparation, or why there is none (`undefined`: nothing is there at all). */
export type PreparedState =
  | { readonly prepared: PreparedCorpus }
  | { readonly prepared?: never; readonly problem: string | undefined };

/** Reads and checks `prepared.json` and the size of `data.bin`; with `verify` its hash as well. */
export async function readPrepared(
  folder: string,
  corpus: CorpusDescriptor,
  verify: boolean,
): Promise<PreparedState> {
  const path = resolve(folder, 'data.bin');
  try {
    const record: unknown = JSON.parse(await readFile(join(folder, 'prepared.json'), 'utf8'));
    const prepared = checkedRecord(record, corpus, path);
    if (prepared === undefined) return { problem: 'its prepared.json is not one of this version and corpus' };
    const { size } = await stat(path);
    if (size !== prepared.bytes)
      return { problem: `its data.bin has ${size} bytes, expected ${prepared.bytes}` };
    if (verify && (await sha256OfFile(path)) !== prepared.sha256) {
      return { problem: 'its data.bin is damaged, the SHA-256 is wrong' };
    }
    return { prepared };
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return { problem: undefined };
    if (error instanceof SyntaxError) return { problem: 'its prepared.json is not JSON' };
    throw fileError('read', join(folder, 'prepared.json'), error);
  }
}

export async function writePrepared(folder: string, record: Omit<PreparedCorpus, 'path'>): Promise<void> {
  await writeDurably(join(folder, 'prepared.json'), [
    Buffer.from(`${JSON.stringify(record, undefined, 2)}\n`),
  ]);
}

/** Opens one split of a prepared corpus. */
export function openPrepared(prepared: PreparedCorpus, split: SplitName): ByteCorpus {
  const range = prepared.splits[split];
  if (range === undefined) {
    throw new DataError(
      `there is no split ${JSON.stringify(split)}, expected one of ${splitNames.join(', ')}`,
    );
  }
  const { path, name, sha256 } = prepared;
  return new FileByteCorpus({ path, name, split, ...range, fingerprint: sha256 });
}

/** The record is a file that anyone may have edited: every field is checked, and the splits are computed anew. */
function checkedRecord(record: unknown, corpus: CorpusDescriptor, path: string): PreparedCorpus | undefined {
  if (!isRecord(record) || record.format !== 1 || record.name !== corpus.name) return undefined;
  const { bytes, sha256, source, sourceStamp, notes, preparedAt } = record;
  if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < 0) return undefined;
  if (typeof sha256 !== 'string' || typeof source !== 'string') return undefined;
  if (typeof sourceStamp !== 'string' || typeof preparedAt !== 'string' || !isCounts(notes)) return undefined;
  const { expected } = corpus;
  if (expected && (expected.bytes !== bytes || expected.sha256 !== sha256)) return undefined;
  const splits = splitRanges(corpus, bytes);
  if (!isDeepStrictEqual(record.splits, splits)) return undefined;
  return {
    format: 1,
    name: corpus.name,
    bytes,
    sha256,
    source,
    sourceStamp,
    notes,
    splits,
    preparedAt,
    path,
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCounts(value: unknown): value is Record<string, number> {
  return isRecord(value) && Object.values(value).every((count) => typeof count === 'number');
}
