/**
 * Values of one column of a parquet file in one group of rows, from its pages: bytes and whole numbers, in plain form or by a
 * dictionary, as the writers of Arrow, Polars and DuckDB store them by default. The package hyparquet reads such pages too, but
 * takes as much memory as a damaged page asks for; here no page gives more values than the group has rows.
 */
import type { PageHeader } from 'hyparquet/src/types.js';
import { DataError } from '../data/errors.js';

/** Null where a row has none. */
export type ParquetValue = Uint8Array | number | null;

export interface ValueColumn {
  readonly type: 'BYTE_ARRAY' | 'INT32' | 'INT64';
  /** How many of the column and those around it may be absent; a value is there where all of them are. */
  readonly optionalLevels: number;
}

/** What is needed of hyparquet, and how to unpack. */
export interface PageTools {
  /** Reads the header at the offset and moves it behind. */
  readonly header: (reader: { view: DataView; offset: number }) => PageHeader;
  /** @throws where the bytes are not exactly that many */
  readonly unpack: (bytes: Uint8Array, length: number) => Uint8Array;
  /** Most that one page may unpack to. */
  readonly mostBytes: number;
}

/**
 * @param chunk the pages of the column in this group
 * @returns a value a row
 * @throws DataError where a page is damaged, claims more than there is room for, or is stored in another form
 */
export function columnValues(
  chunk: Uint8Array,
  column: ValueColumn,
  rows: number,
  tools: PageTools,
): ParquetValue[] {
  const reader = { view: new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength), offset: 0 };
  const values: ParquetValue[] = [];
  let dictionary: readonly ParquetValue[] = [];
  while (values.length < rows) {
    if (reader.offset >= chunk.length) throw new DataError(`has ${values.length} values for ${rows} rows`);
    const header = tools.header(reader);
    const body = chunk.subarray(reader.offset, reader.offset + header.compressed_page_size);
    const count = valuesIn(header);
    const isRight =
      header.compressed_page_size >= 0 &&
      body.length === header.compressed_page_size &&
      header.uncompressed_page_size >= 0 &&
      header.uncompressed_page_size <= tools.mostBytes &&
      count >= 0 &&
      count <= rows;
    if (!isRight)
      throw new DataError(
        `is damaged: a page claims ${count} values in ${header.uncompressed_page_size} bytes, in a group of ${rows} rows`,
      );
    reader.offset += body.length;
    if (header.type === 'DICTIONARY_PAGE')
      dictionary = plainValues(tools.unpack(body, header.uncompressed_page_size), 0, column.type, count);
    else for (const value of pageValues(header, body, count, column, dictionary, tools)) values.push(value);
  }
  if (values.length > rows) throw new DataError(`has ${values.length} values for ${rows} rows`);
  return values;
}

function valuesIn(header: PageHeader): number {
  const { data_page_header, data_page_header_v2, dictionary_page_header } = header;
  return (data_page_header ?? data_page_header_v2 ?? dictionary_page_header)?.num_values ?? 0;
}

/** Nulls included. */
function pageValues(
  header: PageHeader,
  body: Uint8Array,
  count: number,
  { type, optionalLevels }: ValueColumn,
  dictionary: readonly ParquetValue[],
  tools: PageTools,
): ParquetValue[] {
  const { bytes, levels, start } = pageParts(header, body, count, optionalLevels, tools);
  const present = levels === undefined ? count : levels.filter((level) => level === optionalLevels).length;
  const encoding = (header.data_page_header ?? header.data_page_header_v2)!.encoding;
  const stored =
    encoding === 'PLAIN'
      ? plainValues(bytes, start, type, present)
      : dictionaryValues(bytes, start, encoding, present, dictionary);
  if (levels === undefined) return stored;
  let next = 0;
  return Array.from(levels, (level) => (level === optionalLevels ? stored[next++]! : null));
}

/** The unpacked page, the levels that tell which rows have a value, and where the values start. */
interface PageParts {
  readonly bytes: Uint8Array;
  readonly levels: Int32Array | undefined;
  readonly start: number;
}

function pageParts(
  header: PageHeader,
  body: Uint8Array,
  count: number,
  optionalLevels: number,
  { unpack }: PageTools,
): PageParts {
  const width = 32 - Math.clz32(optionalLevels);
  const second = header.data_page_header_v2;
  if (second !== undefined) {
    // Levels stand in front, unpacked, with their lengths in the header.
    const before = second.repetition_levels_byte_length;
    const end = before + second.definition_levels_byte_length;
    const size = header.uncompressed_page_size - end;
    if (!(before >= 0 && end >= before && end <= body.length && size >= 0))
      throw new DataError('is damaged: the levels of a page are longer than the page');
    const levels = width === 0 ? undefined : runs(body.subarray(before, end), 0, width, count);
    const packed = body.subarray(end);
    return { bytes: second.is_compressed === false ? packed : unpack(packed, size), levels, start: 0 };
  }
  if (header.data_page_header === undefined) throw new DataError(`has a page of an unknown kind`);
  const bytes = unpack(body, header.uncompressed_page_size);
  if (width === 0) return { bytes, levels: undefined, start: 0 };
  const length = uint32(bytes, 0);
  const levels = runs(slice(bytes, 4, length), 0, width, count);
  return { bytes, levels, start: 4 + length };
}

function plainValues(
  bytes: Uint8Array,
  start: number,
  type: ValueColumn['type'],
  count: number,
): ParquetValue[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = start;
  return Array.from({ length: count }, () => {
    if (type === 'BYTE_ARRAY') {
      const value = slice(bytes, at + 4, uint32(bytes, at));
      at += 4 + value.length;
      return value;
    }
    const size = type === 'INT32' ? 4 : 8;
    slice(bytes, at, size);
    const value = type === 'INT32' ? view.getInt32(at, true) : Number(view.getBigInt64(at, true));
    at += size;
    return value;
  });
}

function dictionaryValues(
  bytes: Uint8Array,
  start: number,
  encoding: string,
  count: number,
  dictionary: readonly ParquetValue[],
): ParquetValue[] {
  if (encoding !== 'RLE_DICTIONARY' && encoding !== 'PLAIN_DICTIONARY')
    throw new DataError(`is stored as ${encoding}, expected PLAIN or RLE_DICTIONARY`);
  if (count === 0) return [];
  const width = slice(bytes, start, 1)[0]!;
  return Array.from(runs(bytes, start + 1, width, count), (place) => {
    const value = dictionary[place];
    if (value === undefined)
      throw new DataError(`is damaged: value ${place} of a dictionary of ${dictionary.length}`);
    return value;
  });
}

/** Places in dictionaries and levels are smaller numbers. */
const WIDEST_RUN = 24;

/** Whole numbers of `width` bits in runs of one number, or packed eight by eight. */
function runs(bytes: Uint8Array, start: number, width: number, count: number): Int32Array {
  if (width > WIDEST_RUN) throw new DataError(`is damaged: numbers of ${width} bits`);
  const values = new Int32Array(count);
  const wholeBytes = Math.ceil(width / 8);
  let at = start;
  for (let filled = 0; filled < count; ) {
    let header = 0;
    for (let shift = 0, more = true; more; shift += 7) {
      const byte = slice(bytes, at++, 1)[0]!;
      if (shift > 28) throw new DataError('is damaged: a run is too long');
      header |= (byte & 0x7f) << shift;
      more = byte >= 0x80;
    }
    const length = header >>> 1;
    if ((header & 1) === 0) {
      const value = bits(slice(bytes, at, wholeBytes), 0, 8 * wholeBytes);
      at += wholeBytes;
      values.fill(value, filled, Math.min(count, filled + length));
      filled += length;
      continue;
    }
    const packed = slice(bytes, at, Math.min(length * width, Math.ceil(((count - filled) * width) / 8)));
    at += length * width;
    for (let i = 0; i < 8 * length && filled < count; i++) values[filled++] = bits(packed, i * width, width);
  }
  return values;
}

/** A number of up to 24 bits that starts at some bit, lowest bit first; bits beyond the end are 0. */
function bits(bytes: Uint8Array, start: number, width: number): number {
  const first = start >>> 3;
  const word =
    (bytes[first] ?? 0) |
    ((bytes[first + 1] ?? 0) << 8) |
    ((bytes[first + 2] ?? 0) << 16) |
    ((bytes[first + 3] ?? 0) << 24);
  return (word >>> (start & 7)) & ((1 << width) - 1);
}

function uint32(bytes: Uint8Array, at: number): number {
  return Buffer.from(slice(bytes, at, 4)).readUInt32LE(0);
}

/** @throws DataError where the bytes end before */
function slice(bytes: Uint8Array, start: number, length: number): Uint8Array {
  if (start + length > bytes.length) throw new DataError('is damaged: a page ends too early');
  return bytes.subarray(start, start + length);
}
