/** Labels by folders: every picture below a folder is of the class that the folder is named after. */
import { DataError } from '../data/errors.js';

/** Pictures with labels among the files of a place. */
export interface LabelledPictures {
  /** Their numbers among the files, rising. */
  readonly files: Uint32Array;
  /** Label of each, 0 to classIds - 1. */
  readonly labels: Int32Array;
  readonly classIds: readonly string[];
  /** The folder that names are seen from, '' for the place itself: so an archive and the folder it unpacks to identify the same. */
  readonly inside: string;
}

/** More are in no set; a number from a file must not decide how much memory is taken. */
export const MOST_CLASSES = 100_000;

/**
 * Classes are the folders directly in `inside` that hold pictures at any depth, in order of their names. Pictures outside such a
 * folder have no class and are passed over.
 * @param names in order of their characters, with `/` between folders
 * @param inside a folder, '' for all
 * @throws DataError where there is no such folder
 */
export function classFolders(place: string, names: readonly string[], inside: string): LabelledPictures {
  const prefix = inside === '' ? '' : `${inside}/`;
  const files: number[] = [];
  const folders: string[] = [];
  for (const [file, name] of names.entries()) {
    const end = name.indexOf('/', prefix.length);
    if (!name.startsWith(prefix) || end < 0) continue;
    files.push(file);
    folders.push(name.slice(prefix.length, end));
  }
  if (files.length === 0)
    throw new DataError(
      `${place}: expected folders of pictures, one a class${inside === '' ? '' : `, in ${inside}`}`,
    );
  const classIds = [...new Set(folders)].sort();
  if (classIds.length > MOST_CLASSES)
    throw new DataError(
      `${place}: holds ${classIds.length} folders, expected at most ${MOST_CLASSES} classes`,
    );
  const labels = new Map(classIds.map((id, label) => [id, label]));
  return {
    files: Uint32Array.from(files),
    labels: Int32Array.from(folders, (folder) => labels.get(folder)!),
    classIds,
    inside,
  };
}

/**
 * The folder that all pictures of an archive lie in, '' where there is none. Where they all lie in one and the same folder, that
 * one is a class, and what is sought is the folder around it.
 */
export function commonFolder(names: readonly string[]): string {
  const folders = names.map((name) => name.split('/').slice(0, -1));
  let common = folders[0] ?? [];
  for (const folder of folders) {
    const differs = common.findIndex((part, i) => part !== folder[i]);
    if (differs >= 0) common = common.slice(0, differs);
  }
  const isOneClass = folders.every((folder) => folder.length === common.length);
  return common.slice(0, isOneClass ? -1 : undefined).join('/');
}
