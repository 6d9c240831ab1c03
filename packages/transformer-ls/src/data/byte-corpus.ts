import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { DataError, fileError } from './errors.js';

/** The three parts a corpus is cut into; `valid` chooses checkpoints, `test` is reported. */
export type SplitName = 'train' | 'valid' | 'test';
export const splitNames: readonly SplitName[] = ['train', 'valid', 'test'];

/** Random access to the bytes of one split. Nothing but what is asked for is held in memory. */
export interface ByteCorpus {
  /** Name of the corpus the split belongs to, such as `enwik8`. */
  readonly name: string;
  readonly split: SplitName;
  /** Bytes in this split. */
  readonly length: number;
  /** SHA-256 of the whole corpus in hex, where it is known: runs record it to say which text they saw. */
  readonly fingerprint: string | undefined;
  /**
   * Copies bytes [offset, offset + length) of the split into the start of `into`, or into a new array.
   * Returns the `length` bytes that were read. Throws DataError when the range is not inside the split.
   */
  read(offset: number, length: number, into?: Uint8Array): Uint8Array;
  close(): void;
}

/** Bytes [start, end) of a regular file, read with pread: works for files larger than memory. */
export class FileByteCorpus implements ByteCorpus {
  readonly name: string;
  readonly split: SplitName;
  readonly length: number;
  readonly fingerprint: string | undefined;
  readonly #path: string;
  readonly #start: number;
  #descriptor: number | undefined;

  constructor(options: {
    path: string;
    name: string;
    split: SplitName;
    start: number;
    end: number;
    fingerprint?: string | undefined;
  }) {
    this.name = options.name;
    this.split = options.split;
    this.fingerprint = options.fingerprint;
    this.length = options.end - options.start;
    this.#path = options.path;
    this.#start = options.start;
    this.#descriptor = openRange(options.path, options.start, options.end);
  }

  read(offset: number, length: number, into?: Uint8Array): Uint8Array {
    const target = checkedTarget(this, offset, length, into);
    if (this.#descriptor === undefined) {
      throw new DataError(`${this.name} ${this.split}: read after close`);
    }
    readFully(this.#descriptor, this.#path, this.#start + offset, target);
    return target;
  }

  close(): void {
    if (this.#descriptor === undefined) return;
    closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}

/** A split held in memory: small texts, generated corpora and tests. The bytes are not copied. */
export class MemoryByteCorpus implements ByteCorpus {
  readonly name: string;
  readonly split: SplitName;
  readonly fingerprint: string | undefined;
  readonly #bytes: Uint8Array;

  constructor(options: {
    bytes: Uint8Array;
    name: string;
    split: SplitName;
    fingerprint?: string | undefined;
  }) {
    this.name = options.name;
    this.split = options.split;
    this.fingerprint = options.fingerprint;
    this.#bytes = options.bytes;
  }

  get length(): number {
    return this.#bytes.length;
  }

  read(offset: number, length: number, into?: Uint8Array): Uint8Array {
    const target = checkedTarget(this, offset, length, into);
    target.set(this.#bytes.subarray(offset, offset + length));
    return target;
  }

  close(): void {}
}

function openRange(path: string, start: number, end: number): number {
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || end < start) {
    throw new DataError(`${path}: the byte range [${start}, ${end}) is not a range`);
  }
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch (error) {
    throw fileError('open', path, error);
  }
  const problem = rangeProblem(descriptor, end);
  if (problem === undefined) return descriptor;
  closeSync(descriptor);
  throw new DataError(`cannot open ${path}: ${problem}`);
}

function rangeProblem(descriptor: number, end: number): string | undefined {
  const stats = fstatSync(descriptor);
  if (stats.isDirectory()) return 'it is a folder, expected a file';
  if (!stats.isFile()) return 'it is not a regular file';
  if (stats.size < end) return `it has ${stats.size} bytes, expected at least ${end}`;
  return undefined;
}

function checkedTarget(
  corpus: ByteCorpus,
  offset: number,
  length: number,
  into: Uint8Array | undefined,
): Uint8Array {
  const inside = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (!inside || offset + length > corpus.length) {
    throw new DataError(
      `${corpus.name} ${corpus.split}: bytes [${offset}, ${offset + length}) are outside the split of ${corpus.length} bytes`,
    );
  }
  if (into === undefined) return new Uint8Array(length);
  if (into.length < length) {
    throw new DataError(
      `${corpus.name} ${corpus.split}: a buffer of ${into.length} bytes cannot take ${length} bytes`,
    );
  }
  return into.subarray(0, length);
}

/** One read call may return less than asked for (signals, 2 GiB limit of the system call). */
function readFully(descriptor: number, path: string, position: number, target: Uint8Array): void {
  const largestRead = 2 ** 30;
  let done = 0;
  while (done < target.length) {
    const wanted = Math.min(target.length - done, largestRead);
    const count = readSync(descriptor, target, done, wanted, position + done);
    if (count === 0) {
      throw new DataError(`${path}: ended at byte ${position + done}; it was cut short while in use`);
    }
    done += count;
  }
}
