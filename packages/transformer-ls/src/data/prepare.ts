import { createHash } from 'node:crypto';
import { mkdir, rm, rmdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { ByteCorpus, SplitName } from './byte-corpus.js';
import { type CorpusDescriptor, corpusDescriptor, splitRanges } from './corpora.js';
import { type DownloadProgress, downloadFile } from './download.js';
import { removeAbandonedWrites, writeDurably } from './durable-file.js';
import { embeddedText } from './embedded-text.js';
import { DataError, fileError, messageOf } from './errors.js';
import {
  openPrepared,
  type PreparedCorpus,
  type PreparedState,
  preparedFolder,
  readPrepared,
  writePrepared,
} from './prepared-corpus.js';
import { binaryProblem, joinedFiles, listTextFiles } from './text-files.js';
import { unpackedBytes } from './unpack.js';

export interface PrepareProgress {
  readonly stage: 'download' | 'write';
  readonly bytes: number;
  /** Undefined where it is not known beforehand. */
  readonly total: number | undefined;
  /** Bytes per second; only while downloading. */
  readonly rate?: number;
}

export interface PrepareOptions {
  /** Folder that holds all prepared corpora. */
  readonly folder: string;
  /** Local `.gz`, `.zip` or raw file; for `text` also a folder. */
  readonly from?: string | undefined;
  /** More folders in which a fixed corpus may lie under one of its usual file names. */
  readonly searchFolders?: readonly string[] | undefined;
  /** Fetch the corpus when it is not found locally. Nothing is ever fetched without this. */
  readonly download?: boolean | undefined;
  /** Check the SHA-256 of what is already prepared, not only its size. */
  readonly verify?: boolean | undefined;
  readonly onProgress?: ((progress: PrepareProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Makes `<folder>/<name>/data.bin` and `prepared.json` from a local file, a download, the user's text or the installed
 * packages, and returns at once when that has been done before. Sizes and hashes of fixed corpora are checked before
 * the data gets its name; an interrupted preparation leaves nothing that looks finished. Throws DataError.
 */
export async function prepareCorpus(
  corpus: string | CorpusDescriptor,
  options: PrepareOptions,
): Promise<PreparedCorpus> {
  const descriptor = typeof corpus === 'string' ? corpusDescriptor(corpus) : corpus;
  if (descriptor.kind === 'embedded' && options.from !== undefined) {
    throw new DataError(`${descriptor.name} takes no --from; to use ${options.from}, take the corpus 'text'`);
  }
  const folder = preparedFolder(descriptor, options);
  const state = await readPrepared(folder, descriptor, options.verify ?? false);
  if (state.prepared && descriptor.kind === 'fixed') return state.prepared;
  const source = await findSource(descriptor, options, folder, state);
  if (state.prepared && (source === undefined || state.prepared.sourceStamp === source.stamp)) {
    return state.prepared;
  }
  if (source === undefined) throw notPrepared(descriptor, state);
  return writeCorpus(descriptor, source, folder, options);
}

/** Opens one split, preparing the corpus first where that has not been done. The caller closes it. */
export async function openCorpus(
  corpus: string | CorpusDescriptor,
  split: SplitName,
  options: PrepareOptions,
): Promise<ByteCorpus> {
  return openPrepared(await prepareCorpus(corpus, options), split);
}

/** Bytes on their way to `data.bin`. */
interface Source {
  readonly label: string;
  readonly stamp: string;
  readonly notes: Record<string, number>;
  readonly total: number | undefined;
  readonly chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  /** A downloaded archive, removed when it has been unpacked. */
  readonly removeAfterwards?: string;
}

/** Undefined where no source is found; for `text` only when the file is gone but its preparation is still there. */
async function findSource(
  corpus: CorpusDescriptor,
  options: PrepareOptions,
  folder: string,
  state: PreparedState,
): Promise<Source | undefined> {
  if (corpus.kind === 'embedded') return embeddedSource();
  if (corpus.kind === 'text') return textSource(resolve(options.from ?? ''), state, options);
  const local = options.from ?? (await findLocalFile(corpus, folder, options));
  if (local !== undefined) return archiveSource(corpus, local, options);
  if (!options.download || corpus.downloads.length === 0) return undefined;
  const downloaded = await downloadFirst(corpus, folder, options);
  return {
    ...archiveSource(corpus, downloaded.path, options),
    label: downloaded.url,
    removeAfterwards: downloaded.path,
  };
}

function archiveSource(corpus: CorpusDescriptor, path: string, options: PrepareOptions): Source {
  const total = corpus.expected?.bytes;
  const limits = { maxBytes: total ?? Number.MAX_SAFE_INTEGER, signal: options.signal };
  return { label: resolve(path), stamp: '', notes: {}, total, chunks: unpackedBytes(path, limits) };
}

async function embeddedSource(): Promise<Source> {
  const { bytes, sha256, files, duplicates, packages } = await embeddedText();
  const label = packages.join(', ');
  return { label, stamp: sha256, notes: { files, duplicates }, total: bytes.length, chunks: [bytes] };
}

async function textSource(
  path: string,
  state: PreparedState,
  options: PrepareOptions,
): Promise<Source | undefined> {
  const stats = await stat(path).catch((error) => {
    if (state.prepared) return undefined;
    throw fileError('read', path, error);
  });
  if (stats === undefined) return undefined;
  if (stats.isDirectory()) return textFolderSource(path);
  const limits = { maxBytes: Number.MAX_SAFE_INTEGER, signal: options.signal };
  return {
    label: path,
    stamp: stampOf([path, stats.size, stats.mtimeMs]),
    notes: { files: 1 },
    total: undefined,
    chunks: checkedText(path, unpackedBytes(path, limits)),
  };
}

async function textFolderSource(path: string): Promise<Source> {
  const { files, skipped } = await listTextFiles(path);
  if (files.length === 0) {
    throw new DataError(
      `${path}: holds no text file (skipped: ${skipped.binary} binary, ${skipped.links} links)`,
    );
  }
  return {
    label: path,
    stamp: stampOf(files.map(({ name, bytes, modified }) => [name, bytes, modified])),
    notes: {
      files: files.length,
      skippedBinary: skipped.binary,
      skippedLinks: skipped.links,
      skippedSpecial: skipped.special,
      skippedHidden: skipped.hidden,
    },
    total: files.reduce((sum, { bytes }) => sum + bytes, files.length - 1),
    chunks: joinedFiles(files),
  };
}

async function* checkedText(path: string, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let first = true;
  for await (const chunk of chunks) {
    const problem = first ? binaryProblem(chunk) : undefined;
    if (problem !== undefined) throw new DataError(`${path}: ${problem}`);
    first = false;
    yield chunk;
  }
}

async function findLocalFile(
  corpus: CorpusDescriptor,
  folder: string,
  options: PrepareOptions,
): Promise<string | undefined> {
  for (const place of [folder, options.folder, ...(options.searchFolders ?? [])]) {
    for (const name of corpus.localFiles) {
      const path = join(place, name);
      const isFile = await stat(path).then(
        (stats) => stats.isFile(),
        () => false,
      );
      if (isFile) return path;
    }
  }
  return undefined;
}

async function downloadFirst(
  corpus: CorpusDescriptor,
  folder: string,
  options: PrepareOptions,
): Promise<{ url: string; path: string }> {
  const { onProgress, signal } = options;
  await makeFolder(folder);
  const failures: string[] = [];
  for (const source of corpus.downloads) {
    const path = join(folder, basename(new URL(source.url).pathname));
    const report = onProgress && ((now: DownloadProgress) => onProgress({ stage: 'download', ...now }));
    try {
      await downloadFile({ ...source, to: path, onProgress: report, signal });
      return { url: source.url, path };
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      failures.push(messageOf(error));
    }
  }
  throw new DataError(
    `${corpus.name} could not be downloaded, pass --from <file> instead: ${failures.join('; ')}`,
  );
}

async function writeCorpus(
  corpus: CorpusDescriptor,
  source: Source,
  folder: string,
  options: PrepareOptions,
): Promise<PreparedCorpus> {
  await makeFolder(folder);
  const path = resolve(folder, 'data.bin');
  const tally = new Tally(source, options);
  try {
    await removeAbandonedWrites(path);
    await writeDurably(path, tally.counted(), async () => {
      options.signal?.throwIfAborted();
      checkContent(corpus, source, tally);
      splitRanges(corpus, tally.bytes);
      // Old record away, new data in, new record in: at no moment does a record stand beside data it does not describe.
      await rm(join(folder, 'prepared.json'), { force: true });
    });
  } catch (error) {
    // Removes the folder only while it is empty.
    await rmdir(folder).catch(() => undefined);
    throw error;
  }
  const record = {
    format: 1,
    name: corpus.name,
    bytes: tally.bytes,
    sha256: tally.sha256(),
    source: source.label,
    sourceStamp: source.stamp,
    notes: source.notes,
    splits: splitRanges(corpus, tally.bytes),
    preparedAt: new Date().toISOString(),
  } as const;
  await writePrepared(folder, record);
  if (source.removeAfterwards !== undefined) await rm(source.removeAfterwards, { force: true });
  return { ...record, path };
}

/** Counts and hashes the bytes that pass. */
class Tally {
  bytes = 0;
  readonly #hash = createHash('sha256');
  readonly #source: Source;
  readonly #options: PrepareOptions;
  #digest: string | undefined;

  constructor(source: Source, options: PrepareOptions) {
    this.#source = source;
    this.#options = options;
  }

  async *counted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of this.#source.chunks) {
      this.#options.signal?.throwIfAborted();
      this.bytes += chunk.length;
      this.#hash.update(chunk);
      this.#options.onProgress?.({ stage: 'write', bytes: this.bytes, total: this.#source.total });
      yield chunk;
    }
  }

  /** Of all bytes, in hex; to be asked for when all have passed. */
  sha256(): string {
    this.#digest ??= this.#hash.digest('hex');
    return this.#digest;
  }
}

function checkContent(corpus: CorpusDescriptor, source: Source, tally: Tally): void {
  if (corpus.expected === undefined) return;
  const { bytes, sha256 } = corpus.expected;
  if (tally.bytes !== bytes) {
    throw new DataError(
      `${source.label}: holds ${tally.bytes} bytes, expected the ${bytes} of ${corpus.name}`,
    );
  }
  if (tally.sha256() !== sha256) {
    throw new DataError(
      `${source.label}: is not ${corpus.name}: SHA-256 ${tally.sha256()}, expected ${sha256}; ` +
        "to use this text as it is, take the corpus 'text'",
    );
  }
}

function notPrepared(corpus: CorpusDescriptor, state: PreparedState): DataError {
  const usual = corpus.localFiles.length > 0 ? ` (${corpus.localFiles.join(', ')})` : '';
  const remedy =
    corpus.downloads.length > 0 ? ', or --download' : '; there is no address to download it from';
  const problem = state.prepared === undefined && state.problem !== undefined ? `, ${state.problem}` : '';
  return new DataError(`${corpus.name} is not prepared${problem}: pass --from <file>${usual}${remedy}`);
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw fileError('create the folder', folder, error);
  }
}

function stampOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}
