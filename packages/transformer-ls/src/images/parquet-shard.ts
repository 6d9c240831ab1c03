/**
 * One parquet file: which columns it has, and their values a group of rows at a time. The package hyparquet, which is optional,
 * reads the description of the file and of its pages.
 */
import { type FileHandle, open } from 'node:fs/promises';
import zlib from 'node:zlib';
import type { FileMetaData, SchemaElement } from 'hyparquet';
import { DataError, fileError, messageOf, oneLine, systemErrorCode } from '../data/errors.js';
import { columnValues, type PageTools, type ParquetValue, type ValueColumn } from './parquet-values.js';
import { MOST_PICTURES } from './picture-files.js';
import { checkThrift } from './thrift-limits.js';

/** Of one column in one group of rows, packed or unpacked; the groups of published sets of pictures have 10 to 500 MB. */
export const MOST_GROUP_BYTES = 2 ** 30;
/** Of the description at the end of a file. */
const MOST_METADATA_BYTES = 1 << 28;
const DEEPEST_COLUMN = 32;

/** Rows that are packed together. */
export interface RowGroup {
  /** Of its first row in the file. */
  readonly start: number;
  readonly rows: number;
}

/** A column that holds values, with those it lies in. */
export interface ParquetColumn {
  readonly path: readonly string[];
  /** As parquet calls it: BYTE_ARRAY, INT64, … */
  readonly type: string;
  readonly optionalLevels: number;
  /** Whether a row has any number of values. */
  readonly isList: boolean;
}

export interface ParquetShard {
  readonly path: string;
  /** Bytes of the file. */
  readonly size: number;
  readonly groups: readonly RowGroup[];
  readonly columns: readonly ParquetColumn[];
  /** What is noted in the file under a key. */
  note(key: string): string | undefined;
  /** A value for each row of a group. @throws DataError where the file is damaged or the column lies there in another form */
  values(group: number, column: ParquetColumn): Promise<readonly ParquetValue[]>;
}

/** Reads the description of a file. @throws DataError where it is damaged, or hyparquet is not installed */
export async function openShard(path: string): Promise<ParquetShard> {
  const hyparquet = await loadHyparquet();
  const { metadata, columns, groups, size } = await withFile(path, async (file, size) => {
    const tail = Buffer.from(await readRange(file, size, Math.max(0, size - 8), size));
    if (size < 12 || tail.toString('latin1', 4) !== 'PAR1')
      throw new DataError('is no parquet file, or cut short');
    const length = tail.readUInt32LE(0);
    if (length > Math.min(MOST_METADATA_BYTES, size - 8))
      throw new DataError(
        `has a description of ${length} bytes in a file of ${size}, expected at most ${MOST_METADATA_BYTES}`,
      );
    const description = await readRange(file, size, size - 8 - length, size);
    checkThrift(description);
    const metadata = hyparquet.metadata(description);
    return { metadata, columns: columnsOf(metadata.schema), groups: groupsOf(metadata), size };
  });
  return {
    path,
    size,
    groups,
    columns,
    note: (key) => metadata.key_value_metadata?.find((pair) => pair.key === key)?.value,
    values: (group, column) =>
      withFile(path, async (file, size) => {
        const chunk = chunkOf(metadata, group, column);
        const bytes = await readRange(file, size, chunk.start, chunk.start + chunk.length);
        const tools = {
          header: checkedHeader(hyparquet.header),
          mostBytes: MOST_GROUP_BYTES,
          unpack: chunk.unpack,
        };
        return columnValues(bytes, valueColumn(column), groups[group]!.rows, tools);
      }),
  };

  function chunkOf({ row_groups }: FileMetaData, group: number, { path }: ParquetColumn) {
    const found = row_groups[group]!.columns.find(
      ({ meta_data }) => meta_data?.path_in_schema.join('\0') === path.join('\0'),
    );
    if (found?.meta_data === undefined)
      throw new DataError(`has no ${path.join('.')} in group ${group} of its rows`);
    const { codec, dictionary_page_offset, data_page_offset, total_compressed_size } = found.meta_data;
    // Some writers give no dictionary an offset of 0.
    const start = Number(dictionary_page_offset || data_page_offset);
    return { start, length: Number(total_compressed_size), unpack: unpackerOf(codec, hyparquet.snappy) };
  }
}

/** The functions of hyparquet that are used. */
interface Hyparquet {
  readonly metadata: (bytes: Uint8Array) => FileMetaData;
  readonly header: PageTools['header'];
  readonly snappy: (packed: Uint8Array, result: Uint8Array) => void;
}

async function loadHyparquet(): Promise<Hyparquet> {
  try {
    const [{ parquetMetadata, snappyUncompress }, { parquetHeader }] = await Promise.all([
      import('hyparquet'),
      import('hyparquet/src/column.js'),
    ]);
    return {
      metadata: (bytes) => parquetMetadata(bytes, { geoparquet: false }),
      header: parquetHeader,
      snappy: snappyUncompress,
    };
  } catch (error) {
    throw new DataError(
      `parquet files need the package hyparquet, which is not installed: run npm install hyparquet (${oneLine(messageOf(error))})`,
    );
  }
}

/** The same for headers of pages, whose ends are known only when they have been read. */
function checkedHeader(read: Hyparquet['header']): Hyparquet['header'] {
  return (reader) => {
    const { buffer, byteOffset, byteLength } = reader.view;
    checkThrift(new Uint8Array(buffer, byteOffset, byteLength), reader.offset);
    return read(reader);
  };
}

/** Runs with the open file; what goes wrong becomes a DataError that begins with its path. */
async function withFile<T>(path: string, work: (file: FileHandle, size: number) => Promise<T>): Promise<T> {
  const file = await open(path, 'r').catch((error) => {
    throw fileError('read', path, error);
  });
  try {
    return await work(file, (await file.stat()).size);
  } catch (error) {
    // hyparquet stumbles over what it does not expect, in its own words.
    const isKnown = error instanceof DataError || systemErrorCode(error) !== undefined;
    throw new DataError(`${path}: ${isKnown ? '' : 'is damaged: '}${oneLine(messageOf(error))}`, {
      cause: error,
    });
  } finally {
    await file.close();
  }
}

async function readRange(file: FileHandle, size: number, start: number, end: number): Promise<Uint8Array> {
  if (!(start >= 0 && start <= end && end <= size))
    throw new DataError(`is damaged: it refers to bytes ${start} to ${end} of ${size}`);
  if (end - start > MOST_GROUP_BYTES)
    throw new DataError(
      `has ${end - start} bytes of a column in one group of rows, expected at most ${MOST_GROUP_BYTES}`,
    );
  const { buffer, bytesRead } = await file.read(new Uint8Array(end - start), 0, end - start, start);
  if (bytesRead !== end - start) throw new DataError('became shorter while it was read');
  return buffer;
}

function groupsOf(metadata: FileMetaData): RowGroup[] {
  let start = 0;
  return metadata.row_groups.map(({ num_rows }) => {
    const rows = Number(num_rows);
    if (!(rows >= 0) || start + rows > MOST_PICTURES)
      throw new DataError(`expected groups of rows, ${MOST_PICTURES} rows at most, received one of ${rows}`);
    start += rows;
    return { start: start - rows, rows };
  });
}

/** The schema is a list in which each column says how many of the next ones lie in it. */
function columnsOf(schema: readonly SchemaElement[]): ParquetColumn[] {
  const found: ParquetColumn[] = [];
  let next = 1;
  const take = (path: readonly string[], optionalLevels: number, isList: boolean) => {
    const element = schema[next++];
    if (element === undefined || path.length > DEEPEST_COLUMN)
      throw new DataError('is damaged: its columns are not described');
    const { name, type, num_children = 0, repetition_type } = element;
    const inner = [...path, name];
    const levels = optionalLevels + (repetition_type === 'OPTIONAL' ? 1 : 0);
    const list = isList || repetition_type === 'REPEATED';
    if (type !== undefined) found.push({ path: inner, type, optionalLevels: levels, isList: list });
    else for (let i = 0; i < num_children; i++) take(inner, levels, list);
  };
  while (next < schema.length) take([], 0, false);
  return found;
}

function valueColumn({ type, optionalLevels, path, isList }: ParquetColumn): ValueColumn {
  if ((type === 'BYTE_ARRAY' || type === 'INT32' || type === 'INT64') && !isList)
    return { type, optionalLevels };
  throw new DataError(`has ${isList ? 'lists' : type} in ${path.join('.')}, expected bytes or whole numbers`);
}

type Unpack = PageTools['unpack'];

/** Zstandard came to Node with 22.15. */
const zstd = (zlib as { zstdDecompressSync?: (bytes: Uint8Array, options: object) => Uint8Array })
  .zstdDecompressSync;

function unpackerOf(codec: string, snappy: Hyparquet['snappy']): Unpack {
  const limited = (length: number) => ({ maxOutputLength: Math.max(1, length) });
  const unpackers: Record<string, Unpack | undefined> = {
    UNCOMPRESSED: (bytes) => bytes,
    SNAPPY: (bytes, length) => {
      const result = new Uint8Array(length);
      snappy(bytes, result);
      return result;
    },
    GZIP: (bytes, length) => zlib.gunzipSync(bytes, limited(length)),
    BROTLI: (bytes, length) => zlib.brotliDecompressSync(bytes, limited(length)),
    ZSTD: zstd && ((bytes, length) => zstd(bytes, limited(length))),
  };
  const unpack = unpackers[codec];
  if (unpack === undefined) {
    const known = Object.keys(unpackers).filter((name) => unpackers[name] !== undefined);
    throw new DataError(`is packed with ${codec}, expected one of ${known.join(', ')}`);
  }
  return (bytes, length) => {
    const result = unpack(bytes, length);
    if (result.length === length) return result;
    throw new DataError(`is damaged: a page has ${result.length} bytes, its header says ${length}`);
  };
}
