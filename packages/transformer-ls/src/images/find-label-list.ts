/** Where a list with the labels of a folder or archive of pictures lies. */
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { DataError } from '../data/errors.js';
import { partOf } from './image-parts.js';

const listEnding = /(?:^|[._-])(?:map|labels|annotations|list)\.(?:txt|tsv)$/;

/**
 * A list in the folder, or beside the place with its name at the start: `train_map.txt` for `train` or `train.zip`.
 * @throws DataError where there are several
 */
export async function findLabelList(place: string, isFolder: boolean): Promise<string | undefined> {
  const stem = stemOf(place);
  const inside = isFolder ? (await namesIn(place)).filter((name) => listEnding.test(name)) : [];
  const beside = (await namesIn(dirname(place))).filter(
    (name) => name.startsWith(stem) && listEnding.test(name.slice(stem.length)),
  );
  const found = [
    ...inside.map((name) => join(place, name)),
    ...beside.map((name) => join(dirname(place), name)),
  ];
  if (found.length > 1)
    throw new DataError(`${place}: expected one list of labels, found ${found.join(' and ')}`);
  return found[0];
}

/** `val.txt` beside `val` or `val.zip`: for parts only, as other texts of such names are notes. */
export async function plainPartList(place: string): Promise<string | undefined> {
  const name = `${stemOf(place)}.txt`;
  const isThere = partOf(stemOf(place)) !== undefined && (await namesIn(dirname(place))).includes(name);
  return isThere ? join(dirname(place), name) : undefined;
}

function stemOf(place: string): string {
  return basename(place).replace(/\.(?:tar|tar\.gz|tgz|zip)$/i, '');
}

async function namesIn(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(() => [])).sort();
}
