/** The built page: the files that were there when the server started, and no others. */
import { existsSync } from 'node:fs';
import { lstat, readdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface PageFile {
  readonly path: string;
  readonly bytes: number;
  /** Milliseconds since 1970. */
  readonly modified: number;
  /** Whether its name changes with its content. */
  readonly isHashed: boolean;
}

export const PAGE_INDEX = '/index.html';

const DEEPEST = 4;
const MOST_FILES = 1000;

/** Paths of requests, such as `/assets/index.js`, to files; empty where there is no page. Links are left out. */
export async function pageFiles(folder: string): Promise<ReadonlyMap<string, PageFile>> {
  const files = new Map<string, PageFile>();
  const walk = async (path: string, place: string, depth: number): Promise<void> => {
    for (const name of (await readdir(path)).sort()) {
      const stats = await lstat(join(path, name));
      if (stats.isDirectory() && depth < DEEPEST) await walk(join(path, name), `${place}${name}/`, depth + 1);
      else if (stats.isFile() && files.size < MOST_FILES) {
        const isHashed = /-[A-Za-z0-9_-]{8}\.[a-z0-9]+$/.test(name) && depth > 0;
        const { size: bytes, mtimeMs: modified } = stats;
        files.set(`${place}${name}`, { path: join(path, name), bytes, modified, isHashed });
      }
    }
  };
  if (existsSync(join(folder, PAGE_INDEX))) await walk(await realpath(folder), '/', 0);
  return files;
}

/** Where the page lies: inside the installed package, or where a clone builds it. */
export function usualPageFolder(): string {
  const places = ['../../page', '../../../../apps/dashboard/dist'].map((place) =>
    fileURLToPath(new URL(place, import.meta.url)),
  );
  return places.find((place) => existsSync(place)) ?? places[0]!;
}
