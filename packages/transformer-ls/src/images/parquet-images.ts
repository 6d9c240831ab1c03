/**
 * Pictures in parquet files as the Hugging Face hub keeps them: a column of pictures, encoded (`bytes` with a `path`, or the bytes
 * alone), and a column of whole numbers as labels, with the names of the classes noted in the file. Several files make one set.
 * Rows are packed in groups, and a group is read as a whole: pictures in their order come fast, in random order each may cost the
 * reading of its group.
 */
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { DataError, messageOf, oneLine } from '../data/errors.js';
import { MOST_CLASSES } from './class-folders.js';
import { imageDecoder } from './decode.js';
import { ImageError, type ImageSet } from './image-set.js';
import { openShard, type ParquetColumn, type ParquetShard } from './parquet-shard.js';
import type { ParquetValue } from './parquet-values.js';

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
  const labels = await labelsOf(shards, columns.label);
  const classIds = classesOf(first, features?.[columns.label.path[0]!]?.names, labels);
  const hash = createHash('sha256').update(labels);
  for (const { path, size } of shards) hash.update(`${basename(path)}\0${size}\n`);
  const rows = new ParquetRows(shards);
  const groups = new GroupCache(columns.image);
  const nameOf = (index: number) => {
    const { shard, group, row } = rows.at(index);
    return `${shard.path} row ${shard.groups[group]!.start + row}`;
  };
  return {
    name,
    classes: classIds,
    classIds,
    labels,
    fingerprint: hash.digest('hex'),
    nameOf,
    read: async (index) => {
      const { shard, group, row } = rows.at(index);
      const values = await groups.values(shard, group).catch((error) => {
        const reason = messageOf(error).replace(`${shard.path}: `, '');
        throw new ImageError(`${nameOf(index)}: ${reason}`, { cause: error });
      });
      const bytes = values[row];
      if (!(bytes instanceof Uint8Array)) throw new ImageError(`${nameOf(index)}: holds no picture`);
      return decode(bytes, nameOf(index));
    },
    close: async () => groups.clear(),
  };
}

/** The rows of all files, one after the other. */
class ParquetRows {
  readonly #groups: { readonly shard: ParquetShard; readonly group: number; readonly first: number }[] = [];

  constructor(shards: readonly ParquetShard[]) {
    let first = 0;
    for (const shard of shards)
      for (const [group, { rows }] of shard.groups.entries()) {
        // A group without rows would have the place of the next one.
        if (rows > 0) this.#groups.push({ shard, group, first });
        first += rows;
      }
  }

  at(index: number): { readonly shard: ParquetShard; readonly group: number; readonly row: number } {
    const { shard, group, first } = this.#groups.findLast((one) => one.first <= index)!;
    return { shard, group, row: index - first };
  }
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
  readonly image: ParquetColumn;
  readonly label: ParquetColumn;
}

function columnsOf(shard: ParquetShard, features: ReturnType<typeof featuresOf>): Columns {
  const pick = (type: string, names: readonly string[], fits: (column: ParquetColumn) => boolean) => {
    const fitting = shard.columns.filter((column) => !column.isList && fits(column));
    const noted = fitting.filter(({ path }) => features?.[path[0]!]?._type === type);
    const named = (columns: readonly ParquetColumn[]) =>
      names
        .map((name) => columns.find(({ path }) => path[0] === name))
        .find((column) => column !== undefined);
    return named(noted) ?? noted[0] ?? named(fitting);
  };
  const image = pick('Image', IMAGE_COLUMNS, isPictures);
  const label = pick(
    'ClassLabel',
    LABEL_COLUMNS,
    ({ path, type }) => path.length === 1 && /^INT(?:32|64)$/.test(type),
  );
  if (image !== undefined && label !== undefined) return { image, label };
  const found = shard.columns.map(({ path, type }) => `${path.join('.')} (${type})`).join(', ');
  throw new DataError(
    `${shard.path}: expected a column of pictures (${IMAGE_COLUMNS[0]}) and one of whole numbers (${LABEL_COLUMNS[0]}), received ${oneLine(found)}`,
  );
}

/** Bytes, alone or beside a path. */
function isPictures({ path, type }: ParquetColumn): boolean {
  return type === 'BYTE_ARRAY' && (path.length === 1 || (path.length === 2 && path[1] === 'bytes'));
}

async function labelsOf(shards: readonly ParquetShard[], column: ParquetColumn): Promise<Int32Array> {
  const labels: number[] = [];
  for (const shard of shards)
    for (const [group, { start }] of shard.groups.entries())
      for (const [row, label] of (await shard.values(group, column)).entries()) {
        if (typeof label !== 'number' || label < 0 || label >= MOST_CLASSES)
          throw new DataError(
            `${shard.path}: row ${start + row}: expected a class from 0 to ${MOST_CLASSES - 1} in ${column.path[0]}, received ${label}`,
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
  readonly #kept = new Map<string, Promise<readonly ParquetValue[]>>();

  constructor(private readonly column: ParquetColumn) {}

  values(shard: ParquetShard, group: number): Promise<readonly ParquetValue[]> {
    const key = `${group} ${shard.path}`;
    const values = this.#kept.get(key) ?? shard.values(group, this.column);
    // A map keeps the order of insertion: the one that was not used for longest comes first.
    this.#kept.delete(key);
    this.#kept.set(key, values);
    for (const oldest of [...this.#kept.keys()].slice(0, -GROUPS_KEPT)) this.#kept.delete(oldest);
    return values;
  }

  clear(): void {
    this.#kept.clear();
  }
}
