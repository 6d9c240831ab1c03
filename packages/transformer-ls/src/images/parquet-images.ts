/**
 * Pictures in parquet files as the Hugging Face hub keeps them: a column of pictures, encoded (`bytes` with a `path`, or the bytes
 * alone), and a column of whole numbers as labels, with the names of the classes noted in the file. Several files make one set.
 * Rows are packed in groups, and a group is read as a whole: pictures in their order come fast, in random order each may cost the
 * reading of its group.
 */
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { DataError, messageOf } from '../data/errors.js';
import { MOST_CLASSES } from './class-folders.js';
import { imageDecoder } from './decode.js';
import { ImageError, type ImageSet } from './image-set.js';
import { openShard, type ParquetColumn, type ParquetRow, type ParquetShard } from './parquet-shard.js';

/** Groups of rows that are kept unpacked. */
const GROUPS_KEPT = 4;

/** Names that columns of pictures and labels go by where the file does not say which they are. */
const IMAGE_COLUMNS = ['image', 'img', 'jpg', 'jpeg', 'png', 'webp', 'picture'];
const LABEL_COLUMNS = ['label', 'labels', 'fine_label', 'cls', 'class'];

/** @throws DataError where a file is damaged, lacks one of the columns, or has labels that are no classes */
export async function openParquetImages(name: string, paths: readonly string[]): Promise<ImageSet> {
  const shards = await Promise.all(paths.map(openShard));
  const first = shards[0];
  if (first === undefined) throw new DataError(`${name}: expected at least one parquet file`);
  const features = featuresOf(first);
  const columns = columnsOf(first, features);
  const decode = await imageDecoder();
  const rows = shards.flatMap((shard) => shard.groups.map((group, index) => ({ shard, index, ...group })));
  const labels = await labelsOf(shards, columns.label);
  const classIds = classesOf(first, features?.[columns.label]?.names, labels);
  const hash = createHash('sha256').update(labels);
  for (const { path, size } of shards) hash.update(`${basename(path)}\0${size}\n`);
  const starts = startsOf(rows.map(({ rows }) => rows));
  const groups = new GroupCache(columns.image);
  const place = (index: number) => {
    const at = starts.findLastIndex((start) => start <= index);
    const { shard, index: group, start } = rows[at]!;
    return { shard, group, row: index - starts[at]!, rowOfFile: start + index - starts[at]! };
  };
  const nameOf = (index: number) => {
    const { shard, rowOfFile } = place(index);
    return `${shard.path} row ${rowOfFile}`;
  };
  return {
    name,
    classes: classIds,
    classIds,
    labels,
    fingerprint: hash.digest('hex'),
    nameOf,
    read: async (index) => {
      const { shard, group, row } = place(index);
      const found = await groups.rows(shard, group).catch((error) => {
        const reason = messageOf(error).replace(`${shard.path}: `, '');
        throw new ImageError(`${nameOf(index)}: ${reason}`, { cause: error });
      });
      const bytes = encoded(found[row]?.[columns.image]);
      if (bytes === undefined) throw new ImageError(`${nameOf(index)}: holds no picture`);
      return decode(bytes, nameOf(index));
    },
    close: async () => groups.clear(),
  };
}

/** The first index of each group, of all files one after the other; groups without rows share that of the next. */
function startsOf(counts: readonly number[]): number[] {
  let start = 0;
  return counts.map((count) => {
    start += count;
    return start - count;
  });
}

/** The bytes in a cell: of a column of bytes, or of one of bytes and paths. */
function encoded(cell: unknown): Uint8Array | undefined {
  if (cell instanceof Uint8Array) return cell;
  const bytes = typeof cell === 'object' && cell !== null && 'bytes' in cell ? cell.bytes : undefined;
  return bytes instanceof Uint8Array ? bytes : undefined;
}

/** What the hub's library notes of a column. */
interface Feature {
  readonly _type?: unknown;
  readonly names?: unknown;
}

/** The notes of the hub's library on columns, by name; undefined where there are none that can be read. */
function featuresOf(shard: ParquetShard): Readonly<Record<string, Feature | undefined>> | undefined {
  try {
    const notes = JSON.parse(shard.note('huggingface') ?? '') as { info?: { features?: unknown } } | null;
    const features = notes?.info?.features;
    return typeof features === 'object' && features !== null
      ? (features as Record<string, Feature | undefined>)
      : undefined;
  } catch {
    return undefined;
  }
}

interface Columns {
  readonly image: string;
  readonly label: string;
}

function columnsOf(shard: ParquetShard, features: ReturnType<typeof featuresOf>): Columns {
  const pick = (type: string, names: readonly string[], fits: (column: ParquetColumn) => boolean) => {
    const fitting = shard.columns.filter(fits).map(({ name }) => name);
    const noted = fitting.filter((name) => features?.[name]?._type === type);
    return (
      names.find((name) => noted.includes(name)) ?? noted[0] ?? names.find((name) => fitting.includes(name))
    );
  };
  const image = pick('Image', IMAGE_COLUMNS, isPictures);
  const label = pick('ClassLabel', LABEL_COLUMNS, ({ type }) => type === 'INT32' || type === 'INT64');
  if (image !== undefined && label !== undefined) return { image, label };
  const found = shard.columns.map(({ name, type }) => `${name} (${type ?? 'struct'})`).join(', ');
  throw new DataError(
    `${shard.path}: expected a column of pictures (${IMAGE_COLUMNS[0]}) and one of whole numbers (${LABEL_COLUMNS[0]}), received ${found}`,
  );
}

function isPictures({ type, inside }: ParquetColumn): boolean {
  return type === 'BYTE_ARRAY' || inside.some((one) => one.name === 'bytes' && one.type === 'BYTE_ARRAY');
}

async function labelsOf(shards: readonly ParquetShard[], column: string): Promise<Int32Array> {
  const labels: number[] = [];
  for (const shard of shards)
    for (const [group, { start }] of shard.groups.entries())
      for (const [row, cells] of (await shard.rows(group, [column])).entries()) {
        const label = Number(cells[column] ?? Number.NaN);
        if (!Number.isInteger(label) || label < 0 || label >= MOST_CLASSES)
          throw new DataError(
            `${shard.path}: row ${start + row}: expected a class from 0 to ${MOST_CLASSES - 1} in ${column}, received ${String(cells[column])}`,
          );
        labels.push(label);
      }
  return Int32Array.from(labels);
}

function classesOf(shard: ParquetShard, noted: unknown, labels: Int32Array): readonly string[] {
  const highest = labels.reduce((most, label) => Math.max(most, label), 0);
  const isNoted = Array.isArray(noted) && noted.every((name): name is string => typeof name === 'string');
  if (!isNoted) return Array.from({ length: highest + 1 }, (_, label) => String(label));
  if (highest < noted.length) return noted;
  throw new DataError(`${shard.path}: names ${noted.length} classes, but has pictures of class ${highest}`);
}

/** Keeps the groups that were used last; those who ask for the same one at the same time wait for the same reading. */
class GroupCache {
  readonly #kept = new Map<string, Promise<readonly ParquetRow[]>>();

  constructor(private readonly column: string) {}

  rows(shard: ParquetShard, group: number): Promise<readonly ParquetRow[]> {
    const key = `${group} ${shard.path}`;
    const rows = this.#kept.get(key) ?? shard.rows(group, [this.column]);
    // A map keeps the order of insertion: the one that was not used for longest comes first.
    this.#kept.delete(key);
    this.#kept.set(key, rows);
    for (const oldest of [...this.#kept.keys()].slice(0, -GROUPS_KEPT)) this.#kept.delete(oldest);
    return rows;
  }

  clear(): void {
    this.#kept.clear();
  }
}
