/** Pictures of a folder and all folders below it. Links are followed, as every other reader of such folders does. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError, fileError, messageOf, oneLine } from '../data/errors.js';
import { MOST_ENCODED_BYTES } from './decode.js';
import { ImageError } from './image-set.js';
import {
  checkPictureCount,
  type FoundPicture,
  inNameOrder,
  isPictureName,
  type PictureFiles,
} from './picture-files.js';

/** A folder deeper than this lies in a circle of links. */
const DEEPEST_FOLDER = 32;
/** Files that are asked for their size at the same time. */
const TOGETHER = 64;

/** @throws DataError where the folder cannot be read */
export async function folderFiles(root: string): Promise<PictureFiles> {
  const found: FoundPicture[] = [];
  await collect(root, '', 0, found);
  const pictures = inNameOrder(root, found);
  const names = pictures.map(({ name }) => name);
  return {
    place: root,
    names,
    sizes: Float64Array.from(pictures, ({ size }) => size),
    bytes: (index) => pictureBytes(root, names[index]!),
    close: async () => undefined,
  };
}

/** Adds the pictures in `root/inner` and below. */
async function collect(root: string, inner: string, depth: number, found: FoundPicture[]): Promise<void> {
  const folder = join(root, inner);
  if (depth > DEEPEST_FOLDER)
    throw new DataError(
      `${folder}: lies more than ${DEEPEST_FOLDER} folders below ${root}; does a link lead back to a folder above it?`,
    );
  const entries = await readdir(folder, { withFileTypes: true }).catch((error) => {
    throw fileError('read', folder, error);
  });
  const visible = entries.filter(({ name }) => !name.startsWith('.'));
  for (let start = 0; start < visible.length; start += TOGETHER) {
    const group = visible
      .slice(start, start + TOGETHER)
      .filter((entry) => !entry.isFile() || isPictureName(entry.name));
    const sizes = await Promise.all(
      group.map((entry) => (entry.isDirectory() ? 'folder' : look(join(folder, entry.name)))),
    );
    for (const [i, { name }] of group.entries()) {
      const inside = inner === '' ? name : `${inner}/${name}`;
      const size = sizes[i]!;
      if (size === 'folder') await collect(root, inside, depth + 1, found);
      else if (size !== 'other' && isPictureName(name)) found.push({ name: inside, size });
    }
    checkPictureCount(root, found.length);
  }
}

/** Bytes of a file. One that cannot be looked at, such as a link to nowhere, counts as empty: reading it says what is wrong. */
async function look(path: string): Promise<number | 'folder' | 'other'> {
  const stats = await stat(path).catch(() => undefined);
  if (stats === undefined) return 0;
  if (stats.isDirectory()) return 'folder';
  return stats.isFile() ? stats.size : 'other';
}

async function pictureBytes(root: string, name: string): Promise<Uint8Array> {
  const path = join(root, name);
  try {
    const stats = await stat(path);
    // Another kind of file, such as a pipe, could block for ever.
    if (!stats.isFile()) throw new DataError('is no longer a file');
    if (stats.size > MOST_ENCODED_BYTES)
      throw new DataError(`has ${stats.size} bytes, expected at most ${MOST_ENCODED_BYTES}`);
    return await readFile(path);
  } catch (error) {
    const reason = error instanceof DataError ? error.message : messageOf(fileError('read', 'it', error));
    throw new ImageError(`${oneLine(name)}: ${reason}`, { cause: error });
  }
}
