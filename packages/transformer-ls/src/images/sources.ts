/** Where pictures come from, as plain data: a source can be written into a record, or sent to a thread that opens it for itself. */
import { DataError } from '../data/errors.js';
import type { CifarCopy } from './cifar-batches.js';
import { cifarArchive, cifarCopiesIn } from './cifar-batches.js';
import type { StripPart } from './cifar-strips.js';
import { classFolders, commonFolder } from './class-folders.js';
import { readClassTable } from './class-table.js';
import { openCifar, openStrips } from './colour-images.js';
import { folderFiles } from './folder-files.js';
import { type HeldOut, heldOut } from './held-out.js';
import type { ImageSet } from './image-set.js';
import { listedLabels } from './label-list.js';
import { labelledFiles } from './labelled-files.js';
import { openParquetImages } from './parquet-images.js';
import type { PictureFiles } from './picture-files.js';
import { relabelled } from './relabelled.js';
import { openTarFiles } from './tar-files.js';
import { openZipFiles } from './zip-files.js';

/** Encoded pictures in files, labelled by folders or by a list. */
export interface FilesSource {
  readonly kind: 'folder' | 'tar' | 'zip';
  readonly path: string;
  /** The folder in it that holds the folders of classes. Default: in a folder itself, in an archive what all pictures lie in. */
  readonly inside?: string;
  /** File with a name and a label a line. */
  readonly list?: string;
}

/** CIFAR-10 or CIFAR-100 as published: an archive or a folder of batches. */
export interface CifarSource {
  readonly kind: 'cifar';
  readonly path: string;
  readonly part: 'train' | 'test';
}

/** CIFAR-10 as strips of a folder. */
export interface StripsSource {
  readonly kind: 'cifar-strips';
  readonly path: string;
  readonly part: StripPart;
}

export interface ParquetSource {
  readonly kind: 'parquet';
  /** The files of one part, in their order. */
  readonly paths: readonly string[];
}

export interface ImageSource {
  /** What the pictures are called in records: `tiny-imagenet valid`. */
  readonly name: string;
  readonly from: FilesSource | CifarSource | StripsSource | ParquetSource;
  /** Table with names of classes for people. */
  readonly classTable?: string;
  /** Identifiers of the classes by label, where another part or a model decides on them. */
  readonly classIds?: readonly string[];
  /** Some of the pictures, or all but these. */
  readonly heldOut?: HeldOut;
}

/** @throws DataError in one line where the pictures are not there, damaged, or of classes other than those of the source */
export async function openImageSet(source: ImageSource): Promise<ImageSet> {
  let set = await opened(source);
  if (source.classIds !== undefined) set = relabelled(set, source.classIds);
  return source.heldOut === undefined ? set : heldOut(set, source.heldOut);
}

async function opened(source: ImageSource): Promise<ImageSet> {
  const { name, from } = source;
  switch (from.kind) {
    case 'folder':
    case 'tar':
    case 'zip':
      return openFiles(source, from);
    case 'cifar':
      return openCifar(name, cifarCopy(from.path), from.part);
    case 'cifar-strips':
      return openStrips(name, from.path, from.part);
    case 'parquet':
      return openParquetImages(name, from.paths);
  }
}

async function openFiles({ name, classIds, classTable }: ImageSource, from: FilesSource): Promise<ImageSet> {
  const table = classTable === undefined ? undefined : await readClassTable(classTable);
  const files = await pictureFiles(from);
  const pictures =
    from.list === undefined
      ? classFolders(
          from.path,
          files.names,
          from.inside ?? (from.kind === 'folder' ? '' : commonFolder(files.names)),
        )
      : await listedLabels(from.list, from.path, files.names, classIds ?? table?.ids);
  return labelledFiles(name, files, pictures, table?.names);
}

/** The pictures of a folder or archive. @throws DataError where it is damaged */
export function pictureFiles({ kind, path }: Pick<FilesSource, 'kind' | 'path'>): Promise<PictureFiles> {
  return { folder: folderFiles, tar: openTarFiles, zip: openZipFiles }[kind](path);
}

function cifarCopy(path: string): CifarCopy {
  const copy = cifarArchive(path) ?? cifarCopiesIn(path)[0];
  if (copy === undefined) throw new DataError(`${path}: holds no batches of CIFAR-10 or CIFAR-100`);
  return copy;
}
