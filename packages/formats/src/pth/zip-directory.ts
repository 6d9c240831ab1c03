/**
 * The directory of a zip archive of stored entries, as strictly as torch.save writes it: no compression, no encryption, one disk, no
 * comment behind it, nothing between directory and end. What two zip readers could read differently is refused.
 *
 * Source: PKWARE's APPNOTE.TXT 6.3, sections 4.3 and 4.5.3 (zip64).
 */
import type { ByteSource } from '../byte-source.js';
import { quoted } from '../describe-value.js';
import { PthError } from './pth-error.js';
import { sourceBytes } from './source-bytes.js';

export const MOST_ZIP_ENTRIES = 2 ** 17;
/** Bytes of the whole directory. */
export const LARGEST_ZIP_DIRECTORY = 2 ** 25;
/** Bytes of the header before an entry's data, without name and extra fields. */
export const LOCAL_HEADER_BYTES = 30;
/** Sizes follow the data; names are UTF-8. */
const KNOWN_FLAGS = 0x0808;
const FULL_16 = 0xffff;
export const FULL_32 = 0xffffffff;

const END_BYTES = 22;
const END_SIGNATURE = 0x06054b50;
const ZIP64_LOCATOR_BYTES = 20;
const ZIP64_LOCATOR_SIGNATURE = 0x07064b50;
const ZIP64_END_BYTES = 56;
const ZIP64_END_SIGNATURE = 0x06064b50;
const CENTRAL_HEADER_BYTES = 46;
const CENTRAL_HEADER_SIGNATURE = 0x02014b50;
const ZIP64_EXTRA_FIELD = 1;

export interface ZipEntry {
  readonly name: string;
  readonly flags: number;
  readonly method: number;
  /** Bytes of its data as they stand in the file ... */
  readonly size: number;
  /** ... and after unpacking. */
  readonly unpackedSize: number;
  readonly crc: number;
  /** Where its local header begins. */
  readonly offset: number;
  /** Where the next entry or the directory begins: header and data end before. */
  readonly limit: number;
}

/** Reads the directory at the end of `source`; entries in the order of their offsets. Throws `PthError`. */
export async function readZipDirectory(source: ByteSource): Promise<ZipEntry[]> {
  const { offset, size, count } = await findDirectory(source);
  const reader = new DirectoryReader(await sourceBytes(source, offset, size));
  const entries = Array.from({ length: count }, () => reader.entry());
  reader.end();
  return withLimits(entries, offset);
}

interface DirectoryPlace {
  offset: number;
  size: number;
  count: number;
}

async function findDirectory(source: ByteSource): Promise<DirectoryPlace> {
  const length = Math.min(source.size, ZIP64_END_BYTES + ZIP64_LOCATOR_BYTES + END_BYTES);
  const tailStart = source.size - length;
  const tail = viewOf(await sourceBytes(source, tailStart, length));
  const end = length - END_BYTES;
  if (end < 0 || tail.getUint32(end, true) !== END_SIGNATURE || tail.getUint16(end + 20, true) !== 0)
    throw invalidZip('expected the end of the archive in the last 22 bytes: the file is cut off or damaged');
  const locator = end - ZIP64_LOCATOR_BYTES;
  const isZip64 = locator >= 0 && tail.getUint32(locator, true) === ZIP64_LOCATOR_SIGNATURE;
  const place = isZip64 ? zip64Place(tail, tailStart, locator) : shortPlace(tail, end);
  const directoryEnd = tailStart + (isZip64 ? locator - ZIP64_END_BYTES : end);
  if (place.size > LARGEST_ZIP_DIRECTORY || place.count > MOST_ZIP_ENTRIES)
    throw new PthError(
      'too-large',
      `zip: expected a directory of at most ${MOST_ZIP_ENTRIES} entries and ${LARGEST_ZIP_DIRECTORY} bytes, received ${place.count} and ${place.size}`,
    );
  if (place.offset > directoryEnd || place.offset + place.size !== directoryEnd)
    throw invalidZip(
      `expected the directory to end at byte ${directoryEnd}, received offset ${place.offset} and ${place.size} bytes`,
    );
  if (place.count * CENTRAL_HEADER_BYTES > place.size)
    throw invalidZip(`expected a directory for ${place.count} entries, received ${place.size} bytes`);
  return place;
}

function shortPlace(tail: DataView, end: number): DirectoryPlace {
  checkOneDisk(
    tail.getUint16(end + 4, true) + tail.getUint16(end + 6, true),
    tail.getUint16(end + 8, true),
    tail.getUint16(end + 10, true),
  );
  return {
    count: tail.getUint16(end + 10, true),
    size: tail.getUint32(end + 12, true),
    offset: tail.getUint32(end + 16, true),
  };
}

/** torch.save writes the zip64 end also where it need not; both ends must then say the same. */
function zip64Place(tail: DataView, tailStart: number, locator: number): DirectoryPlace {
  const at = locator - ZIP64_END_BYTES;
  const told = Number(tail.getBigUint64(locator + 8, true));
  if (at < 0 || told !== tailStart + at || tail.getUint32(at, true) !== ZIP64_END_SIGNATURE)
    throw invalidZip(`expected the zip64 end right before its locator, received offset ${told}`);
  checkOneDisk(
    tail.getUint32(at + 16, true) + tail.getUint32(at + 20, true),
    Number(tail.getBigUint64(at + 24, true)),
    Number(tail.getBigUint64(at + 32, true)),
  );
  const place = {
    count: Number(tail.getBigUint64(at + 32, true)),
    size: Number(tail.getBigUint64(at + 40, true)),
    offset: Number(tail.getBigUint64(at + 48, true)),
  };
  const short = shortPlace(tail, locator + ZIP64_LOCATOR_BYTES);
  const agrees = (value: number, long: number, full: number) => value === full || value === long;
  if (
    !agrees(short.count, place.count, FULL_16) ||
    !agrees(short.size, place.size, FULL_32) ||
    !agrees(short.offset, place.offset, FULL_32)
  )
    throw invalidZip('expected both ends of the archive to tell the same directory');
  return place;
}

function checkOneDisk(disk: number, countHere: number, count: number): void {
  if (disk !== 0 || countHere !== count)
    throw new PthError('unsupported-zip', 'zip: an archive in several parts is not supported');
}

/** An entry whose limit is not known yet. */
type ListedEntry = Omit<ZipEntry, 'limit'>;

class DirectoryReader {
  #position = 0;
  readonly #view: DataView;

  constructor(private readonly bytes: Uint8Array) {
    this.#view = viewOf(bytes);
  }

  entry(): ListedEntry {
    const at = this.#position;
    const view = this.#view;
    this.#advance(CENTRAL_HEADER_BYTES);
    if (view.getUint32(at, true) !== CENTRAL_HEADER_SIGNATURE)
      throw invalidZip(`expected an entry at byte ${at} of the directory`);
    const nameAt = this.#advance(view.getUint16(at + 28, true));
    const extraAt = this.#advance(view.getUint16(at + 30, true));
    const extraEnd = this.#advance(view.getUint16(at + 32, true));
    const name = nameOf(this.bytes.subarray(nameAt, extraAt));
    checkOneDisk(view.getUint16(at + 34, true), 1, 1);
    const [unpackedSize, size, offset] = zip64Values(
      name,
      [view.getUint32(at + 24, true), view.getUint32(at + 20, true), view.getUint32(at + 42, true)],
      viewOf(this.bytes.subarray(extraAt, extraEnd)),
    );
    return {
      name,
      flags: view.getUint16(at + 8, true),
      method: view.getUint16(at + 10, true),
      size,
      unpackedSize,
      crc: view.getUint32(at + 16, true),
      offset,
    };
  }

  end(): void {
    if (this.#position !== this.bytes.length)
      throw invalidZip(
        `expected the directory to end after ${this.#position} bytes, received ${this.bytes.length}`,
      );
  }

  /** The position before it moves on. */
  #advance(length: number): number {
    const before = this.#position;
    if (length > this.bytes.length - before)
      throw invalidZip(`expected ${length} more bytes at byte ${before} of the directory`);
    this.#position += length;
    return before;
  }
}

/** Unpacked size, size and offset; those that are full stand in the zip64 field, in this order. */
function zip64Values(
  name: string,
  short: readonly [number, number, number],
  extra: DataView,
): [number, number, number] {
  let next = short.includes(FULL_32) ? zip64Field(name, extra) : undefined;
  const value = (number: number) => {
    if (number !== FULL_32 || next === undefined) return number;
    if (next.byteLength < 8) throw invalidZip(`${quoted(name)}: expected 64-bit sizes`);
    const long = Number(next.getBigUint64(0, true));
    next = new DataView(next.buffer, next.byteOffset + 8, next.byteLength - 8);
    return long;
  };
  return [value(short[0]), value(short[1]), value(short[2])];
}

function zip64Field(name: string, extra: DataView): DataView {
  for (let at = 0; at + 4 <= extra.byteLength; ) {
    const length = extra.getUint16(at + 2, true);
    if (length > extra.byteLength - at - 4) break;
    if (extra.getUint16(at, true) === ZIP64_EXTRA_FIELD)
      return new DataView(extra.buffer, extra.byteOffset + at + 4, length);
    at += 4 + length;
  }
  throw invalidZip(`${quoted(name)}: expected 64-bit sizes`);
}

/** Refuses encryption, compression and whatever else the flags of an entry may ask for. */
export function checkStored({ name, flags, method, size, unpackedSize }: ZipEntry): void {
  checkPlain(name, flags, method);
  if (size !== unpackedSize)
    throw invalidZip(`${quoted(name)}: expected ${unpackedSize} stored bytes, received ${size}`);
}

/** Flags and method of the directory, or of an entry's own header. */
export function checkPlain(name: string, flags: number, method: number): void {
  if ((flags & ~KNOWN_FLAGS) !== 0 || method !== 0)
    throw new PthError(
      'unsupported-zip',
      `zip: ${quoted(name)}: expected a stored entry, received method ${method}, flags 0x${flags.toString(16)} (compressed or encrypted)`,
    );
}

/** Nothing is ever unpacked to disk; names that try to leave the archive are still a sign of a forged file. */
function nameOf(bytes: Uint8Array): string {
  let name: string;
  try {
    name = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw invalidZip('expected names in UTF-8');
  }
  const bad = (part: string) => part === '' || part === '.' || part === '..';
  if (name.split('/').some(bad) || /[\\\p{Cc}]|^[A-Za-z]:/u.test(name))
    throw invalidZip(`expected a plain relative path as name, received ${quoted(name)}`);
  return name;
}

function withLimits(entries: ListedEntry[], directory: number): ZipEntry[] {
  const names = new Set(entries.map(({ name }) => name));
  if (names.size < entries.length) throw invalidZip('expected every name once, received one again');
  const sorted = entries.sort((left, right) => left.offset - right.offset);
  return sorted.map((entry, i) => {
    const limit = Math.min(directory, sorted[i + 1]?.offset ?? directory);
    if (entry.offset + LOCAL_HEADER_BYTES + entry.name.length + entry.size > limit)
      throw invalidZip(
        `${quoted(entry.name)}: expected ${entry.size} bytes after byte ${entry.offset} that end before byte ${limit} (an overlap)`,
      );
    return { ...entry, limit };
  });
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function invalidZip(message: string): PthError {
  return new PthError('invalid-zip', `zip: ${message}`);
}
