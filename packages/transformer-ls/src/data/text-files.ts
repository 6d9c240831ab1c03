import { createReadStream, type Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError, fileError } from './errors.js';
import { firstBytes } from './unpack.js';

export interface TextFile {
  /** Path below the folder, with `/` between the parts. */
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
  /** Time of the last change, milliseconds since 1970. */
  readonly modified: number;
}

/** What a folder gave, and what was passed over and why. */
export interface TextFolder {
  readonly files: readonly TextFile[];
  readonly skipped: { binary: number; links: number; special: number; hidden: number };
}

const mostFiles = 1_000_000;
const inspectedBytes = 1 << 16;

/**
 * All text files below a folder, sorted by path. Not followed or read: symbolic links, pipes and devices, binary
 * files, `node_modules`, and everything whose name begins with a dot. Empty files are left out.
 */
export async function listTextFiles(folder: string): Promise<TextFolder> {
  const files: TextFile[] = [];
  const skipped = { binary: 0, links: 0, special: 0, hidden: 0 };
  for await (const { name, entry } of entriesBelow(folder, '')) {
    const path = join(folder, name);
    if (entry.name.startsWith('.') || entry.name === 'node_modules') skipped.hidden += 1;
    else if (entry.isSymbolicLink()) skipped.links += 1;
    else if (!entry.isFile()) skipped.special += 1;
    else if (binaryProblem(await firstBytes(path, inspectedBytes)) !== undefined) skipped.binary += 1;
    else await addFile(files, name, path);
    if (files.length > mostFiles) throw new DataError(`${folder}: holds more than ${mostFiles} text files`);
  }
  files.sort((a, b) => (a.name < b.name ? -1 : 1));
  return { files, skipped };
}

/** The files one after another with a newline between, so that two never grow into one word. */
export async function* joinedFiles(files: readonly TextFile[]): AsyncGenerator<Uint8Array> {
  for (const [index, { path }] of files.entries()) {
    if (index > 0) yield Uint8Array.of(10);
    try {
      for await (const chunk of createReadStream(path, { highWaterMark: 1 << 18 })) {
        if (chunk instanceof Uint8Array) yield chunk;
      }
    } catch (error) {
      throw fileError('read', path, error);
    }
  }
}

/** Why the first bytes of a file are not those of a text, or undefined where they may be. */
export function binaryProblem(head: Uint8Array): string | undefined {
  if (String.fromCharCode(...head.subarray(257, 262)) === 'ustar') {
    return 'is a tar archive; unpack it and give the folder';
  }
  const zero = head.subarray(0, inspectedBytes).indexOf(0);
  if (zero >= 0) return `is not text: byte ${zero} is zero (UTF-16 must be turned into UTF-8 first)`;
  return undefined;
}

async function addFile(files: TextFile[], name: string, path: string): Promise<void> {
  const stats = await stat(path);
  if (stats.size > 0) files.push({ name, path, bytes: stats.size, modified: stats.mtimeMs });
}

/** Every entry that is not an ordinary folder, and the hidden folders themselves. */
async function* entriesBelow(root: string, below: string): AsyncGenerator<{ name: string; entry: Dirent }> {
  let entries: Dirent[];
  try {
    entries = await readdir(join(root, below), { withFileTypes: true });
  } catch (error) {
    throw fileError('read', join(root, below), error);
  }
  for (const entry of entries) {
    const name = below === '' ? entry.name : `${below}/${entry.name}`;
    const descend = entry.isDirectory() && !entry.name.startsWith('.') && entry.name !== 'node_modules';
    if (descend) yield* entriesBelow(root, name);
    else yield { name, entry };
  }
}
