import { randomBytes } from 'node:crypto';
import { open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileError } from './errors.js';

/** Marks files that are still being written: a reader never opens them, a later call clears them away. */
const unfinishedSuffix = '.unfinished';

/**
 * Writes the chunks to a temporary file beside `path`, makes it durable and renames it into place, so that
 * `path` is always absent, the old file, or the whole new file. On failure the temporary file is removed.
 * `beforeRename` runs when the bytes are on the disk; it throws to refuse them.
 */
export async function writeDurably(
  path: string,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  beforeRename?: () => Promise<void> | void,
): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}${unfinishedSuffix}`;
  try {
    await writeAndSync(temporary, chunks);
    await beforeRename?.();
    await renameDurably(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw fileError('write', path, error);
  }
}

/** Renames and makes the new name durable. Both names must be in one folder. */
export async function renameDurably(from: string, to: string): Promise<void> {
  await rename(from, to);
  const folder = await open(dirname(to), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/**
 * Removes what an earlier, killed process left of `path`. A file touched within the last hour may belong to a
 * process that is still writing, so it stays.
 */
export async function removeAbandonedWrites(path: string): Promise<void> {
  const anHourAgo = Date.now() - 3_600_000;
  const prefix = `${basename(path)}.`;
  for (const name of await readdir(dirname(path))) {
    if (!name.startsWith(prefix) || !name.endsWith(unfinishedSuffix)) continue;
    const abandoned = join(dirname(path), name);
    if ((await stat(abandoned)).mtimeMs < anHourAgo) await rm(abandoned, { force: true });
  }
}

async function writeAndSync(path: string, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) {
  const file = await open(path, 'wx');
  try {
    for await (const chunk of chunks) await writeFully(file, chunk);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function writeFully(file: Awaited<ReturnType<typeof open>>, chunk: Uint8Array): Promise<void> {
  let done = 0;
  while (done < chunk.length) done += (await file.write(chunk, done)).bytesWritten;
}
