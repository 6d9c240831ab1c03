/**
 * The published Pathfinder pictures, as the archive of Long Range Arena unpacks: `pathfinder<side>/<difficulty>` with grey pictures
 * `imgs/<k>/sample_<n>.png` and one text file `metadata/<k>.npy` a folder of pictures, a line a picture, fields between blanks:
 * folder, file, number, label, and the settings it was drawn with.
 */
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError, fileError, oneLine } from '../data/errors.js';
import { linesOf } from '../data/lines.js';
import { type Split, splits } from './example-set.js';
import { allInOrder, pictureDecoder, pictureGroups } from './pictures.js';

/** The difficulty of the benchmark; `curv_baseline` is easy, `curv_contour_length_9` in between. */
export const HARD_PATHFINDER = 'curv_contour_length_14';

/** Where the archive may have been unpacked to, seen from the path that was given. */
const places = (side: number) => [
  '',
  `pathfinder${side}`,
  `lra_release/pathfinder${side}`,
  `lra_release/lra_release/pathfinder${side}`,
];

/** The folder with `imgs` and `metadata`: the given one, or the hard one below it. @throws DataError where there is none */
export function pathfinderFolder(from: string, side: number): string {
  if (existsSync(join(from, 'metadata'))) return from;
  const found = places(side)
    .map((place) => join(from, place, HARD_PATHFINDER))
    .find((folder) => existsSync(join(folder, 'metadata')));
  if (found !== undefined) return found;
  throw new DataError(
    `${from}: holds neither *-images-idx3-ubyte.gz nor pictures: expected a folder metadata in it, in its ${HARD_PATHFINDER} or in its pathfinder${side}/${HARD_PATHFINDER}`,
  );
}

export interface FolderPicture {
  readonly split: Split;
  /** Grey 0 … 255, row by row. */
  readonly pixels: Uint8Array;
  readonly label: number;
  /** Pictures up to and with this one, and all. */
  readonly done: number;
  readonly total: number;
}

interface Entry {
  readonly path: string;
  readonly label: number;
  readonly index: number;
}

/**
 * The pictures in the order of the numbers of their metadata files: the first 80 % train, the next 10 % validate, the last test.
 * Empty files are passed over, as in the published pipeline (the published set has such). Throws DataError with the name of the
 * file where one is missing or damaged.
 */
export async function* picturesOfFolder(folder: string, side: number): AsyncGenerator<FolderPicture> {
  const entries = await entriesOf(folder);
  const decode = await pictureDecoder();
  const shape = { width: side, height: side, channels: 1 } as const;
  for await (const group of pictureGroups(entries)) {
    const decoded = group.map(async ({ path, label, index }) => {
      const bytes = await readFile(path).catch((error) => {
        throw fileError('read', path, error);
      });
      if (bytes.length === 0) return undefined;
      const pixels = await decode(bytes, shape, path);
      const split = splitOf(index, entries.length);
      return { split, pixels, label, done: index + 1, total: entries.length };
    });
    for (const picture of await allInOrder(decoded)) if (picture !== undefined) yield picture;
  }
}

function splitOf(index: number, total: number): Split {
  const [train, valid, test] = splits;
  if (index < Math.floor(total * 0.8)) return train;
  return index < Math.floor(total * 0.9) ? valid : test;
}

async function entriesOf(folder: string): Promise<Entry[]> {
  const home = join(folder, 'metadata');
  const names = await readdir(home).catch((error) => {
    throw fileError('read', home, error);
  });
  const numbers = names.flatMap((name) => (/^\d+\.npy$/.test(name) ? [Number.parseInt(name, 10)] : []));
  const entries: Entry[] = [];
  for (const number of numbers.sort((a, b) => a - b)) {
    const path = join(home, `${number}.npy`);
    let line = 0;
    for await (const bytes of linesOf(path)) {
      line += 1;
      entries.push({ ...parsed(bytes, folder, `${path}: line ${line}`), index: entries.length });
    }
  }
  if (entries.length === 0)
    throw new DataError(`${home}: expected files 0.npy, 1.npy, … with a line a picture`);
  return entries;
}

/** Names are taken only in the form they have in the published files, so that none leads out of the folder. */
function parsed(line: Uint8Array, folder: string, where: string): Omit<Entry, 'index'> {
  const text = new TextDecoder().decode(line);
  const [directory = '', file = '', , label = ''] = text.split(' ');
  if (!/^imgs\/\d{1,9}$/.test(directory) || !/^sample_\d{1,9}\.png$/.test(file) || !/^[01]$/.test(label))
    throw new DataError(
      `${where}: expected imgs/<number>, sample_<number>.png, a number and a label 0 or 1, received ${JSON.stringify(oneLine(text).slice(0, 80))}`,
    );
  return { path: join(folder, directory, file), label: Number(label) };
}
