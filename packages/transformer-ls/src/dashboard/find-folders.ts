/** Walking below a folder without leaving it. */
import type { Dirent } from 'node:fs';
import { opendir, realpath, stat } from 'node:fs/promises';
import { basename, join, sep } from 'node:path';
import { reasonOf } from './errors.js';
import { unreadable } from './real-file.js';

/** A folder below the one that is searched. */
export interface FoundFolder {
  /** Names from the searched folder on, joined by `/`; its own name for itself. */
  readonly id: string;
  readonly path: string;
  readonly names: ReadonlySet<string>;
}

export interface Unreadable {
  readonly id: string;
  readonly reason: string;
}

/** Entries of one folder, and folders in all, that are looked at: a data folder may hold millions. */
const MOST_ENTRIES = 10_000;
const MOST_FOLDERS = 5000;

/**
 * Visits `root` and the folders below it, in the order of their names; `visit` says whether to go on below a folder. Links that lead
 * out of `root` are not followed and are reported; others lead to what is found anyway. Hidden folders are passed over.
 *
 * @param root a real path
 * @param deepest folders below `root` that are visited
 */
export async function walkFolders(
  root: string,
  deepest: number,
  visit: (folder: FoundFolder) => Promise<boolean>,
): Promise<Unreadable[]> {
  const problems: Unreadable[] = [];
  let left = MOST_FOLDERS;
  const walk = async (path: string, names: readonly string[]): Promise<void> => {
    const id = names.length === 0 ? basename(root) : names.join('/');
    left -= 1;
    if (left < 0) {
      if (left === -1)
        problems.push({ id, reason: `more than ${MOST_FOLDERS} folders; the rest is left out` });
      return;
    }
    try {
      const entries = await entriesOf(path);
      const goOn = await visit({ id, path, names: new Set(entries.map(({ name }) => name)) });
      if (!goOn || names.length === deepest) return;
      for (const entry of entries) {
        if (entry.name.startsWith('.')) continue;
        if (entry.isDirectory()) await walk(join(path, entry.name), [...names, entry.name]);
        else if (entry.isSymbolicLink() && (await leavesTo(join(path, entry.name), root)))
          problems.push({ id: [...names, entry.name].join('/'), reason: LEAVES });
      }
    } catch (error) {
      problems.push({ id, reason: reasonOf(unreadable(path, error)) });
    }
  };
  await walk(root, []);
  return problems;
}

const LEAVES = 'is a symbolic link that leads out of the folder, and is not followed';

async function entriesOf(path: string): Promise<Dirent[]> {
  const entries: Dirent[] = [];
  for await (const entry of await opendir(path)) {
    entries.push(entry);
    if (entries.length === MOST_ENTRIES) break;
  }
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Whether a link leads to a folder outside `root`. */
async function leavesTo(link: string, root: string): Promise<boolean> {
  try {
    const target = await realpath(link);
    return target !== root && !target.startsWith(root + sep) && (await stat(target)).isDirectory();
  } catch {
    return false;
  }
}
