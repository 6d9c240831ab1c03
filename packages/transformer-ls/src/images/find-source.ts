/** Finds out what a folder or file with pictures is, and which parts for training, validation and tests it has. */
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { DataError, fileError } from '../data/errors.js';
import { cifarArchive, cifarCopiesIn } from './cifar-batches.js';
import { isStrip } from './cifar-strips.js';
import { commonFolder } from './class-folders.js';
import { findClassTable } from './class-table.js';
import { findLabelList, plainPartList } from './find-label-list.js';
import { dividesIntoParts, type ImagePart, partOf, partWord } from './image-parts.js';
import { isPictureName } from './picture-files.js';
import { type FilesSource, type ImageSource, pictureFiles } from './sources.js';

/** What a place holds: some of the parts, or `all` alone. */
export type FoundImages = Partial<Readonly<Record<ImagePart, ImageSource>>>;

const expectedPlaces =
  'expected folders of pictures, one a class, or train and val with such folders; a tar, zip or parquet file of them; pictures with a list of labels; or CIFAR-10 or CIFAR-100 as published';

/**
 * Tells by names, and by a look into archives, what is there. Parts without labels, such as the published test pictures of
 * ImageNet, are passed over.
 * @throws DataError where there are no labelled pictures, or several things of which one is to be chosen
 */
export async function findImages(path: string): Promise<FoundImages> {
  const stats = await stat(path).catch((error) => {
    throw fileError('read', path, error);
  });
  const place = new Place(path, basename(resolve(path)));
  const found = stats.isDirectory() ? await inFolder(place) : await inFile(place);
  if (found !== undefined && Object.keys(found).length > 0) return found;
  throw new DataError(`${path}: holds no labelled pictures: ${expectedPlaces}`);
}

/** A file or folder that is looked at, and what its pictures are called. */
class Place {
  constructor(
    readonly path: string,
    readonly title: string,
  ) {}

  at(path: string): Place {
    return new Place(path, this.title);
  }

  source(part: ImagePart, from: ImageSource['from'], classTable?: string): ImageSource {
    const name = part === 'all' ? this.title : `${this.title} ${part}`;
    return { name, from, ...(classTable === undefined ? {} : { classTable }) };
  }
}

async function inFile(place: Place): Promise<FoundImages | undefined> {
  const { path } = place;
  if (isStrip(basename(path))) return stripsIn(dirname(path));
  if (cifarArchive(path) !== undefined) return cifarAt(place);
  if (path.endsWith('.parquet')) return { all: place.source('all', { kind: 'parquet', paths: [path] }) };
  return archiveKind(path) === undefined ? undefined : inArchive(place);
}

function archiveKind(path: string): 'tar' | 'zip' | undefined {
  if (/\.(?:tar|tar\.gz|tgz)$/i.test(path)) return 'tar';
  return /\.zip$/i.test(path) ? 'zip' : undefined;
}

function cifarAt(place: Place): FoundImages {
  const source = (part: 'train' | 'test') => place.source(part, { kind: 'cifar', path: place.path, part });
  return { train: source('train'), test: source('test') };
}

/** A picked strip stands for all of its folder. */
async function stripsIn(folder: string): Promise<FoundImages> {
  const place = new Place(folder, basename(resolve(folder)));
  const names = (await readdir(folder)).filter(isStrip);
  const parts = (['train', 'test'] as const).filter((part) => names.some((name) => name.startsWith(part)));
  return Object.fromEntries(
    parts.map((part) => [part, place.source(part, { kind: 'cifar-strips', path: place.path, part })]),
  );
}

/** An archive that may hold several parts. */
async function inArchive(place: Place): Promise<FoundImages> {
  const whole = await archivePart(place, 'all');
  const { kind, path, list } = whole.from as FilesSource;
  if (list !== undefined) return { all: whole };
  const files = await pictureFiles({ kind, path });
  await files.close();
  const around = commonFolder(files.names);
  const prefix = around === '' ? '' : `${around}/`;
  const inner = files.names.map((name) => name.slice(prefix.length).split('/'));
  const folders = [...new Set(inner.filter((parts) => parts.length > 1).map(([folder]) => folder!))];
  if (!dividesIntoParts(folders)) return { all: whole };
  const hasClasses = (folder: string) => inner.some((parts) => parts[0] === folder && parts.length > 2);
  return byPart(path, folders.filter(hasClasses), (folder, part) =>
    place.source(part, { kind, path, inside: `${prefix}${folder}` }, whole.classTable),
  );
}

/** An archive as one part: labelled by the list beside it, or by the folders inside. */
async function archivePart(place: Place, part: ImagePart): Promise<ImageSource> {
  const { path } = place;
  const kind = archiveKind(path)!;
  const list = (await findLabelList(path, false)) ?? (await plainPartList(path));
  const table = await findClassTable(path, false);
  return place.source(part, { kind, path, ...(list === undefined ? {} : { list }) }, table);
}

async function inFolder(place: Place): Promise<FoundImages | undefined> {
  const { path } = place;
  const copies = cifarCopiesIn(path);
  if (copies.length > 0) {
    if (copies.some(({ set }) => set !== copies[0]!.set))
      throw new DataError(
        `${path}: holds CIFAR-10 and CIFAR-100, expected one of them: give its archive or folder`,
      );
    return cifarAt(place);
  }
  const { folders, files } = await contentOf(path);
  if (dividesIntoParts(folders)) {
    const found = await partFolders(place, folders);
    if (Object.keys(found).length > 0) return found;
  }
  return (
    (await partFiles(place, files)) ??
    (await undivided(place)) ??
    (await onlyFile(place, files)) ??
    (folders.includes('data') ? inFolder(place.at(join(path, 'data'))) : undefined)
  );
}

interface Content {
  readonly folders: readonly string[];
  readonly files: readonly string[];
}

/** Names of what is in a folder, links followed, hidden ones left out. */
async function contentOf(path: string): Promise<Content> {
  const entries = await readdir(path, { withFileTypes: true }).catch((error) => {
    throw fileError('read', path, error);
  });
  const [folders, files]: [string[], string[]] = [[], []];
  for (const entry of entries.filter(({ name }) => !name.startsWith('.'))) {
    const kind = entry.isSymbolicLink() ? await stat(join(path, entry.name)).catch(() => entry) : entry;
    if (kind.isDirectory()) folders.push(entry.name);
    else if (kind.isFile()) files.push(entry.name);
  }
  return { folders: folders.sort(), files: files.sort() };
}

/** One source a part. @throws DataError where two things are the same part */
async function byPart(
  path: string,
  names: readonly string[],
  source: (name: string, part: ImagePart) => ImageSource | undefined | Promise<ImageSource | undefined>,
): Promise<FoundImages> {
  const found: Partial<Record<ImagePart, ImageSource>> = {};
  const from = new Map<ImagePart, string>();
  for (const name of names) {
    const part = partOf(partWord(name) ?? '');
    if (part === undefined) continue;
    const made = await source(name, part);
    if (made === undefined) continue;
    if (from.has(part))
      throw new DataError(
        `${path}: expected one ${part} part, found ${from.get(part)} and ${name}: give one of them`,
      );
    from.set(part, name);
    found[part] = made;
  }
  return found;
}

function partFolders(place: Place, folders: readonly string[]): Promise<FoundImages> {
  const named = folders.filter((folder) => partOf(folder) !== undefined);
  return byPart(place.path, named, (folder, part) => folderPart(place.at(join(place.path, folder)), part));
}

/** A folder as one part; undefined where its pictures have no labels. */
async function folderPart(place: Place, part: ImagePart): Promise<ImageSource | undefined> {
  const { path } = place;
  const { folders, files } = await contentOf(path);
  const tables = files.filter((name) => name.endsWith('.parquet'));
  if (tables.length > 0)
    return place.source(part, { kind: 'parquet', paths: tables.map((name) => join(path, name)) });
  const list = await findLabelList(path, true);
  const table = await findClassTable(path, true);
  const listed = (list: string) => place.source(part, { kind: 'folder', path, list }, table);
  if (list !== undefined && (await holdsPicture(path))) return listed(list);
  // Tiny ImageNet keeps all its test pictures in one folder of this name.
  const hasClasses = folders.join() !== 'images' && (await anyHoldsPicture(path, folders));
  if (hasClasses) return place.source(part, { kind: 'folder', path }, table);
  const plain = files.some(isPictureName) ? await plainPartList(path) : undefined;
  return plain === undefined ? undefined : listed(plain);
}

/** Archives or tables whose names say which part they are. */
async function partFiles(place: Place, files: readonly string[]): Promise<FoundImages | undefined> {
  const named = files.filter((name) => partWord(name) !== undefined);
  const archives = named.filter((name) => archiveKind(name) !== undefined);
  if (archives.length > 0)
    return byPart(place.path, archives, (name, part) => archivePart(place.at(join(place.path, name)), part));
  const tables = named.filter((name) => name.endsWith('.parquet'));
  if (tables.length === 0) return undefined;
  return byPart(place.path, [...new Set(tables.map((name) => partWord(name)!))], (word, part) => {
    const shards = tables.filter((name) => partWord(name) === word);
    return place.source(part, { kind: 'parquet', paths: shards.map((name) => join(place.path, name)) });
  });
}

/** Folders of classes, or pictures with a list. */
async function undivided(place: Place): Promise<FoundImages | undefined> {
  const all = await folderPart(place, 'all');
  return all === undefined || all.from.kind === 'parquet' ? undefined : { all };
}

/** The only archive of a folder, or all its tables together. */
async function onlyFile(place: Place, files: readonly string[]): Promise<FoundImages | undefined> {
  const archives = files.filter((name) => archiveKind(name) !== undefined);
  if (archives.length > 1)
    throw new DataError(`${place.path}: holds ${archives.join(', ')}: give one of them`);
  if (archives.length === 1) return inArchive(place.at(join(place.path, archives[0]!)));
  const tables = files.filter((name) => name.endsWith('.parquet')).map((name) => join(place.path, name));
  return tables.length === 0 ? undefined : { all: place.source('all', { kind: 'parquet', paths: tables }) };
}

/** Names that are looked at before a folder is taken to be without pictures. */
const MOST_LOOKED_AT = 10_000;

async function anyHoldsPicture(path: string, folders: readonly string[]): Promise<boolean> {
  for (const folder of folders) if (await holdsPicture(join(path, folder))) return true;
  return false;
}

/** Whether there is a picture in a folder or below it. */
async function holdsPicture(path: string): Promise<boolean> {
  const open = [path];
  for (let looked = 0; open.length > 0 && looked < MOST_LOOKED_AT; ) {
    const folder = open.shift()!;
    const { folders, files } = await contentOf(folder);
    if (files.some(isPictureName)) return true;
    looked += folders.length + files.length + 1;
    open.push(...folders.map((name) => join(folder, name)));
  }
  return false;
}
