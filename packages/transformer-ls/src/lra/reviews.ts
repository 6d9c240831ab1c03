/**
 * Text: film reviews as bytes, negative or positive (Maas et al. 2011), read from
 * - tab-separated files `imdb.{train,test}.tsv.gz` (label, rating, id, text),
 * - the folder `aclImdb` with one file a review,
 * - or `aclImdb_v1.tar.gz`, which holds that folder.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError, fileError } from '../data/errors.js';
import { fieldsOf, linesOf } from '../data/lines.js';
import { tarFiles } from '../data/tar.js';

export interface Review {
  readonly part: 'train' | 'test';
  /** 1 = positive */
  readonly label: number;
  readonly text: Uint8Array;
}

/** Reviews of the tab-separated file of one part. @throws DataError naming the line that is not as expected */
export async function* reviewsOfTable(path: string, part: Review['part']): AsyncGenerator<Review> {
  let number = 0;
  for await (const line of linesOf(path)) {
    number += 1;
    const [label, , , text] = fieldsOf(line, 3);
    const digit = label?.length === 1 ? label[0]! - 48 : -1;
    if (text === undefined || (digit !== 0 && digit !== 1))
      throw new DataError(`${path}: line ${number}: expected label 0 or 1, rating, id and text between tabs`);
    yield { part, label: digit, text };
  }
}

const reviewPath = /(?:^|\/)(train|test)\/(neg|pos)\/\d+_\d+\.txt$/;

/** Reviews of the folder `aclImdb`, in the order of their names. */
export async function* reviewsOfFolder(folder: string): AsyncGenerator<Review> {
  for (const part of ['train', 'test'])
    for (const kind of ['neg', 'pos']) {
      const home = join(folder, part, kind);
      const names = await readdir(home).catch((error) => {
        throw fileError('read', home, error);
      });
      for (const name of names.sort()) {
        const review = named(`${part}/${kind}/${name}`, await readFile(join(home, name)));
        if (review !== undefined) yield review;
      }
    }
}

/** Reviews of `aclImdb_v1.tar.gz`, in the order of the archive. */
export async function* reviewsOfArchive(path: string): AsyncGenerator<Review> {
  for await (const { name, bytes } of tarFiles(path, (name) => reviewPath.test(name))) {
    const review = named(name, bytes);
    if (review !== undefined) yield review;
  }
}

function named(name: string, text: Uint8Array): Review | undefined {
  const found = reviewPath.exec(name);
  if (found === null) return undefined;
  return { part: found[1] as Review['part'], label: found[2] === 'pos' ? 1 : 0, text };
}
