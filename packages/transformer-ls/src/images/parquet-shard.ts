/**
 * One parquet file of pictures, through the package hyparquet: which columns it has, and its rows a group at a time. Sizes that the
 * file declares are checked before they decide how much memory is taken.
 */
import { type FileHandle, open } from 'node:fs/promises';
import zlib from 'node:zlib';
import type { AsyncBuffer, ColumnMetaData, Compressors, FileMetaData, SchemaElement } from 'hyparquet';
import { DataError, fileError, messageOf, oneLine } from '../data/errors.js';
import { MOST_PICTURES } from './picture-files.js';

/** Of one column in one group of rows, packed or unpacked; the groups of published sets of pictures have 10 to 500 MB. */
export const MOST_GROUP_BYTES = 2 ** 30;
/** Of the description at the end of a file. */
const MOST_METADATA_BYTES = 1 << 28;

/** The functions of hyparquet that are used. */
interface Hyparquet {
  readonly parquetMetadataAsync: typeof import('hyparquet')['parquetMetadataAsync'];
  readonly parquetReadObjects: typeof import('hyparquet')['parquetReadObjects'];
  readonly snappyUncompress: typeof import('hyparquet')['snappyUncompress'];
  readonly parquetHeader: typeof import('hyparquet/src/column.js')['parquetHeader'];
}

/** @throws DataError where it is not installed */
async function loadHyparquet(): Promise<Hyparquet> {
  try {
    const [{ parquetMetadataAsync, parquetReadObjects, snappyUncompress }, { parquetHeader }] =
      await Promise.all([import('hyparquet'), import('hyparquet/src/column.js')]);
    return { parquetMetadataAsync, parquetReadObjects, snappyUncompress, parquetHeader };
  } catch (error) {
    throw new DataError(
      `parquet files need the package hyparquet, which is not installed: run npm install hyparquet (${oneLine(messageOf(error))})`,
    );
  }
}

/** A row as far as it was asked for, by the names of its columns. */
export type ParquetRow = Readonly<Record<string, unknown>>;

/** Rows that are packed together. */
export interface RowGroup {
  /** Of its first row in the file. */
  readonly start: number;
  readonly rows: number;
}

export interface ParquetShard {
  readonly path: string;
  /** Bytes of the file. */
  readonly size: number;
  readonly groups: readonly RowGroup[];
  /** The columns at the top, with those inside them. */
  readonly columns: readonly ParquetColumn[];
  /** What is noted in the file under a key. */
  note(key: string): string | undefined;
  /** The rows of a group. @throws DataError where it is damaged or too large */
  rows(group: number, columns: readonly string[]): Promise<readonly ParquetRow[]>;
}

export interface ParquetColumn {
  readonly name: string;
  /** Undefined where there are columns inside. */
  readonly type: string | undefined;
  readonly inside: readonly ParquetColumn[];
}

/** Reads the description of a file. @throws DataError where it is damaged */
export async function openShard(path: string): Promise<ParquetShard> {
  const hyparquet = await loadHyparquet();
  const { metadata, size } = await withFile(path, async (file, size) => {
    const tail = Buffer.from(await readRange(file, size, Math.max(0, size - 8), size));
    if (size < 12 || tail.toString('latin1', 4) !== 'PAR1')
      throw new DataError('is no parquet file, or cut short');
    if (tail.readUInt32LE(0) > MOST_METADATA_BYTES)
      throw new DataError(
        `has a description of ${tail.readUInt32LE(0)} bytes, expected at most ${MOST_METADATA_BYTES}`,
      );
    return {
      metadata: await hyparquet.parquetMetadataAsync(bufferOf(file, size), { geoparquet: false }),
      size,
    };
  });
  const groups = groupsOf(path, metadata);
  const compressors = compressorsOf(hyparquet);
  const checked = new Set<string>();
  return {
    path,
    size,
    groups,
    columns: columnTree(metadata.schema),
    note: (key) => metadata.key_value_metadata?.find((pair) => pair.key === key)?.value,
    rows: (group, columns) =>
      withFile(path, async (file, size) => {
        const { start, rows } = groups[group]!;
        for (const column of chunksOf(metadata, group, columns)) {
          const place = `${group} ${column.path_in_schema.join('.')}`;
          if (!checked.has(place))
            checkPages(await chunkBytes(file, size, column), rows, hyparquet.parquetHeader);
          checked.add(place);
        }
        const wanted = { columns: [...columns], rowStart: start, rowEnd: start + rows, utf8: false };
        return hyparquet.parquetReadObjects({ file: bufferOf(file, size), metadata, compressors, ...wanted });
      }),
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
    throw new DataError(`${path}: ${oneLine(messageOf(error))}`, { cause: error });
  } finally {
    await file.close();
  }
}

async function readRange(file: FileHandle, size: number, start: number, end: number): Promise<ArrayBuffer> {
  if (!(start >= 0 && start <= end && end <= size))
    throw new DataError(`refers to bytes ${start} to ${end} of ${size}`);
  if (end - start > MOST_GROUP_BYTES)
    throw new DataError(`refers to ${end - start} bytes at once, expected at most ${MOST_GROUP_BYTES}`);
  const buffer = new ArrayBuffer(end - start);
  const { bytesRead } = await file.read(new Uint8Array(buffer), 0, end - start, start);
  if (bytesRead !== end - start) throw new DataError('became shorter while it was read');
  return buffer;
}

function bufferOf(file: FileHandle, size: number): AsyncBuffer {
  return { byteLength: size, slice: (start, end = size) => readRange(file, size, Math.max(0, start), end) };
}

function groupsOf(path: string, metadata: FileMetaData): RowGroup[] {
  const groups: RowGroup[] = [];
  let start = 0;
  for (const { num_rows } of metadata.row_groups) {
    const rows = Number(num_rows);
    if (!(rows >= 0) || start + rows > MOST_PICTURES)
      throw new DataError(
        `${path}: expected at most ${MOST_PICTURES} rows in groups, received one of ${rows}`,
      );
    groups.push({ start, rows });
    start += rows;
  }
  return groups;
}

/** The schema is a list in which each column says how many of the next ones are inside it. */
function columnTree(schema: readonly SchemaElement[]): readonly ParquetColumn[] {
  let next = 0;
  const take = (depth: number): ParquetColumn => {
    const element = schema[next++];
    if (element === undefined || depth > DEEPEST_COLUMN)
      throw new DataError('has a damaged description of its columns');
    const inside: ParquetColumn[] = [];
    for (let i = 0; i < (element.num_children ?? 0); i++) inside.push(take(depth + 1));
    return { name: element.name, type: element.type, inside };
  };
  return take(0).inside;
}

const DEEPEST_COLUMN = 32;

/** Where the wanted columns of a group lie. */
function chunksOf(metadata: FileMetaData, group: number, columns: readonly string[]): ColumnMetaData[] {
  const found = metadata.row_groups[group]!.columns.flatMap(({ meta_data }) =>
    meta_data !== undefined && columns.includes(meta_data.path_in_schema[0]!) ? [meta_data] : [],
  );
  for (const { codec, path_in_schema, total_uncompressed_size } of found) {
    if (!supportedCodecs.includes(codec))
      throw new DataError(`is packed with ${codec}, expected one of ${supportedCodecs.join(', ')}`);
    if (Number(total_uncompressed_size) > MOST_GROUP_BYTES)
      throw new DataError(
        `has ${total_uncompressed_size} bytes of ${path_in_schema[0]} in one group of rows, expected at most ${MOST_GROUP_BYTES}`,
      );
  }
  return found;
}

async function chunkBytes(file: FileHandle, size: number, column: ColumnMetaData): Promise<ArrayBuffer> {
  const start = Number(column.dictionary_page_offset || column.data_page_offset);
  return readRange(file, size, start, start + Number(column.total_compressed_size));
}

/** Walks over the pages of a column: none may claim more than its group has, as that much memory would be taken. */
function checkPages(chunk: ArrayBuffer, rows: number, header: Hyparquet['parquetHeader']): void {
  const reader = { view: new DataView(chunk), offset: 0 };
  while (reader.offset < chunk.byteLength - 1) {
    const page = header(reader);
    const values =
      page.data_page_header?.num_values ??
      page.data_page_header_v2?.num_values ??
      page.dictionary_page_header?.num_values;
    const isRight =
      page.compressed_page_size >= 0 &&
      reader.offset + page.compressed_page_size <= chunk.byteLength &&
      page.uncompressed_page_size >= 0 &&
      page.uncompressed_page_size <= MOST_GROUP_BYTES &&
      values !== undefined &&
      values >= 0 &&
      values <= rows;
    if (!isRight)
      throw new DataError(
        `is damaged: a page claims ${values} values and ${page.uncompressed_page_size} bytes in a group of ${rows} rows`,
      );
    reader.offset += page.compressed_page_size;
  }
}

const zstd = (zlib as { zstdDecompressSync?: (bytes: Uint8Array, options: object) => Uint8Array })
  .zstdDecompressSync;

/** Zstandard came to Node with 22.15. */
const supportedCodecs = ['UNCOMPRESSED', 'SNAPPY', 'GZIP', 'BROTLI', ...(zstd === undefined ? [] : ['ZSTD'])];

function compressorsOf({ snappyUncompress }: Hyparquet): Compressors {
  const limited = (length: number) => ({ maxOutputLength: Math.max(1, length) });
  return {
    SNAPPY: (bytes, length) => {
      const result = new Uint8Array(length);
      snappyUncompress(bytes, result);
      return result;
    },
    GZIP: (bytes, length) => zlib.gunzipSync(bytes, limited(length)),
    BROTLI: (bytes, length) => zlib.brotliDecompressSync(bytes, limited(length)),
    ...(zstd === undefined ? {} : { ZSTD: (bytes, length) => zstd(bytes, limited(length)) }),
  };
}
