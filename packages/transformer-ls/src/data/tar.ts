/**
 * Files inside a tar archive, compressed or not, one after the other: the formats ustar, pax and GNU. Nothing is written anywhere, so
 * names can do no harm; what the archive says of sizes costs no memory before the bytes have come.
 */
import { BlockReader } from './block-reader.js';
import { DataError, messageOf, oneLine } from './errors.js';
import { unpackedBytes } from './unpack.js';

/** Bytes of one file: larger ones are in none of the archives that are read here. */
export const LARGEST_TAR_FILE = 1 << 28;
/** Bytes of the notes before a file, which hold a long name or a size. */
export const LARGEST_TAR_NOTE = 1 << 20;
const BLOCK = 512;
const utf8 = new TextDecoder();

export interface TarFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/**
 * The regular files whose name `wanted` accepts, in the order of the archive; links and devices are passed over. Throws DataError where
 * the archive is damaged or a file is larger than 256 MiB.
 */
export async function* tarFiles(path: string, wanted: (name: string) => boolean): AsyncGenerator<TarFile> {
  const reader = new BlockReader(unpackedBytes(path, { maxBytes: Number.MAX_SAFE_INTEGER }));
  try {
    for (;;) {
      const header = await nextHeader(reader);
      if (header === undefined) return;
      const { name, size, type } = header;
      if (!isRegular(type) || name.endsWith('/') || !wanted(name)) {
        await reader.skip(padded(hasBody(type) ? size : 0));
        continue;
      }
      if (size > LARGEST_TAR_FILE)
        throw new DataError(
          `${path}: ${oneLine(name)} has ${size} bytes, expected at most ${LARGEST_TAR_FILE}`,
        );
      const bytes = await reader.take(size);
      await reader.skip(padded(size) - size);
      yield { name, bytes };
    }
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(`${path}: is not a sound tar archive: ${oneLine(messageOf(error))}`);
  } finally {
    await reader.close();
  }
}

interface Header {
  readonly name: string;
  readonly size: number;
  /** One letter. */
  readonly type: string;
}

/** What notes before a header say in its place. */
interface Notes {
  name?: string;
  size?: number;
}

/** The next entry, with the notes before it; undefined at the end of the archive. */
async function nextHeader(reader: BlockReader): Promise<Header | undefined> {
  const notes: Notes = {};
  for (;;) {
    const block = await reader.take(BLOCK);
    if (block.every((byte) => byte === 0)) {
      await checkEnd(reader);
      return undefined;
    }
    const header = headerOf(block);
    if (!'xgLK'.includes(header.type)) return { ...header, ...notes };
    if (header.size > LARGEST_TAR_NOTE)
      throw new Error(`a note has ${header.size} bytes, expected at most ${LARGEST_TAR_NOTE}`);
    const note = (await reader.take(padded(header.size))).subarray(0, header.size);
    if (header.type === 'x') Object.assign(notes, paxNotes(note));
    if (header.type === 'L') notes.name = textUpToZero(note);
  }
}

/** Two blocks of zeros, and nothing but zeros after them. */
async function checkEnd(reader: BlockReader): Promise<void> {
  const second = await reader.take(BLOCK);
  if (second.some((byte) => byte !== 0) || !(await reader.onlyZerosLeft()))
    throw new Error('something follows its end');
}

const padded = (size: number) => Math.ceil(size / BLOCK) * BLOCK;
const isRegular = (type: string) => type === '0' || type === '\0' || type === '7';
/** Links, devices, folders and pipes have no content, whatever size they tell. */
const hasBody = (type: string) => !'123456'.includes(type);

function headerOf(block: Uint8Array): Header {
  if (numberOf(block.subarray(148, 156)) !== checksumOf(block))
    throw new Error('the checksum of a header is wrong');
  const name = textUpToZero(block.subarray(0, 100));
  // Only this spelling has the first part of long names in a field of its own; GNU's uses the place for times.
  const isUstar = textUpToZero(block.subarray(257, 263)) === 'ustar';
  const prefix = isUstar ? textUpToZero(block.subarray(345, 500)) : '';
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    size: numberOf(block.subarray(124, 136)),
    type: String.fromCharCode(block[156]!),
  };
}

/** The sum of all bytes, its own field taken for blanks. Plain loops: an archive may have a million headers. */
function checksumOf(block: Uint8Array): number {
  let sum = 8 * 32;
  for (let at = 0; at < BLOCK; at += 1) if (at < 148 || at >= 156) sum += block[at]!;
  return sum;
}

/** Octal digits, or where the highest bit is set a big-endian number. */
function numberOf(field: Uint8Array): number {
  let value = Number.NaN;
  if (field[0] === 0x80) value = field.subarray(1).reduce((number, byte) => number * 256 + byte, 0);
  else {
    const digits = textUpToZero(field).trim();
    if (/^[0-7]*$/.test(digits)) value = Number.parseInt(digits || '0', 8);
  }
  if (!Number.isSafeInteger(value)) throw new Error('a number in a header is none');
  return value;
}

function textUpToZero(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return utf8.decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/** Records `<length> <key>=<value>\n`, of which a name and a size matter. */
function paxNotes(note: Uint8Array): Notes {
  const notes: Notes = {};
  for (let start = 0; start < note.length; ) {
    const digits = /^([1-9]\d{0,7}) /.exec(utf8.decode(note.subarray(start, start + 9)))?.[1];
    const end = start + Number(digits);
    if (digits === undefined || end > note.length || note[end - 1] !== 10)
      throw new Error('a note before a file is damaged');
    const record = utf8.decode(note.subarray(start + digits.length + 1, end - 1));
    const equals = record.indexOf('=');
    const [key, value] = [record.slice(0, equals), record.slice(equals + 1)];
    if (key === 'path') notes.name = value;
    if (key === 'size') notes.size = paxSize(value);
    start = end;
  }
  return notes;
}

function paxSize(text: string): number {
  const size = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(size)) throw new Error('a size before a file is none');
  return size;
}
