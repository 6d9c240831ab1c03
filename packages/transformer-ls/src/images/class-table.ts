/**
 * Names of classes for people, from a table that lies beside pictures: lines `index<TAB>id<TAB>name` (`classes.tsv`), or
 * `id name` with a tab or blank between (`LOC_synset_mapping.txt`, `synset_words.txt`, `words.txt` of ImageNet and its parts).
 */
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { DataError, oneLine } from '../data/errors.js';
import { linesOf } from '../data/lines.js';
import { MOST_CLASSES } from './class-folders.js';

export interface ClassTable {
  readonly path: string;
  /** Identifiers by index, where the table numbers its classes. */
  readonly ids: readonly string[] | undefined;
  /** Names by identifier. */
  readonly names: ReadonlyMap<string, string>;
}

/** @throws DataError where the file is no such table */
export async function readClassTable(path: string): Promise<ClassTable> {
  const names = new Map<string, string>();
  const ids: string[] = [];
  let line = 0;
  for await (const bytes of linesOf(path)) {
    line += 1;
    if (line > MOST_CLASSES) throw new DataError(`${path}: has more than ${MOST_CLASSES} lines`);
    const row = parsed(Buffer.from(bytes).toString('utf8'));
    if (row === undefined)
      throw new DataError(
        `${path}: line ${line}: expected index, identifier and name of a class between tabs`,
      );
    if (names.has(row.id)) throw new DataError(`${path}: line ${line}: has ${oneLine(row.id)} again`);
    names.set(row.id, row.name);
    if (row.index !== undefined) ids[row.index] = row.id;
  }
  const isNumbered = ids.length > 0;
  if (isNumbered && (ids.length !== names.size || ids.includes(undefined as never)))
    throw new DataError(`${path}: expected the indices 0 to ${names.size - 1}, each once`);
  return { path, ids: isNumbered ? ids : undefined, names };
}

interface Row {
  readonly index?: number;
  readonly id: string;
  readonly name: string;
}

function parsed(line: string): Row | undefined {
  const numbered = /^(\d{1,6})\t([^\t]+)\t([^\t]+)/.exec(line);
  if (numbered !== null) return { index: Number(numbered[1]), id: numbered[2]!, name: numbered[3]! };
  const [, id, name] = /^(\S+)[\t ]+(\S.*)$/.exec(line.trimEnd()) ?? [];
  return id === undefined || name === undefined ? undefined : { id, name };
}

const tableName = /^(.*?)[._-]?classes\.tsv$|^(?:LOC_synset_mapping|synset_words|words)\.txt$/;

/**
 * The table for a folder or archive of pictures: in the folder, else beside it; of several the one whose name begins like that of
 * the place. Undefined where there is none that is certain.
 */
export async function findClassTable(place: string, isFolder: boolean): Promise<string | undefined> {
  const folders = isFolder ? [place, dirname(place)] : [dirname(place)];
  for (const folder of folders) {
    const names = await readdir(folder).catch(() => []);
    const tables = names.filter((name) => tableName.test(name)).sort();
    const own = tables.filter((name) => {
      const stem = tableName.exec(name)?.[1] ?? '';
      return stem !== '' && basename(place).startsWith(stem);
    });
    const found = own.length > 0 ? own.at(-1) : tables.length === 1 ? tables[0] : undefined;
    if (found !== undefined) return join(folder, found);
  }
  return undefined;
}
