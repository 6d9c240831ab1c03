/** From raw data to a prepared set, once. */
import { rmdir, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { DataError, fileError } from '../data/errors.js';
import type { PrepareProgress } from '../data/prepare.js';
import { type ExampleSet, ExampleSetWriter, openExampleSet, readExampleSetRecord } from './example-set.js';
import { type SetDefinition, setDefinition } from './sets.js';

export interface PrepareSetOptions {
  /** Folder that holds all prepared data. */
  readonly folder: string;
  /** File or folder of raw data. */
  readonly from?: string | undefined;
  /** Of generated data and held-out examples. */
  readonly seed?: number | undefined;
  /** Examples to generate for training; null: as many as published. */
  readonly examples?: number | null | undefined;
  /** That generate, at most; default: one per core. The examples are the same for every number. */
  readonly threads?: number | undefined;
  /** Check the SHA-256 of what is already prepared, not only its size. */
  readonly verify?: boolean | undefined;
  readonly onProgress?: ((progress: PrepareProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Of generated data where none is asked for: the same data for everybody. */
const SEED = 0;

/**
 * Makes `<folder>/<name>` and opens it. What was made before is returned at once where it was made from the same source with the
 * same settings, or where no source and no settings are given: training must not replace what the user prepared. An interrupted
 * preparation leaves nothing that looks finished. Throws DataError in one line.
 */
export async function prepareSet(name: string, options: PrepareSetOptions): Promise<ExampleSet> {
  const definition = setDefinition(name);
  const {
    seed = SEED,
    examples = null,
    threads = availableParallelism(),
    verify,
    onProgress,
    signal,
  } = options;
  const folder = join(options.folder, name);
  const from = options.from === undefined ? undefined : resolve(options.from);
  const before = await readExampleSetRecord(folder).catch(() => undefined);
  const stamp = JSON.stringify({ seed, examples, from: await stampOf(from) });
  const isAnyGood = from === undefined && options.seed === undefined && examples === null;
  if (before !== undefined && (isAnyGood || before.stamp === stamp)) return openExampleSet(folder, verify);
  if (from === undefined && !definition.generated)
    throw new DataError(`${name} is not prepared: pass --from <${definition.expects}>`);
  return write(definition, folder, { from, seed, examples, threads, stamp, onProgress, signal });
}

interface Writing {
  readonly from: string | undefined;
  readonly seed: number;
  readonly examples: number | null;
  readonly threads: number;
  readonly stamp: string;
  readonly onProgress: PrepareSetOptions['onProgress'];
  readonly signal: AbortSignal | undefined;
}

async function write(definition: SetDefinition, folder: string, writing: Writing): Promise<ExampleSet> {
  const { from, seed, examples, threads, stamp, onProgress, signal } = writing;
  const tick = (bytes: number, total: number | undefined) => {
    signal?.throwIfAborted();
    onProgress?.({ stage: 'write', bytes, total });
  };
  const source = { from, seed, examples, threads, tick };
  const writer = new ExampleSetWriter(folder, {
    task: definition.name,
    ...definition.description,
    ...(await definition.standing(source)),
    source: from ?? `generated, seed ${seed}`,
    stamp,
  });
  try {
    await definition.fill(writer, source);
    return await writer.finish();
  } catch (error) {
    writer.abandon();
    // Removes the folder only while it is empty.
    await rmdir(folder).catch(() => undefined);
    throw error;
  }
}

async function stampOf(from: string | undefined): Promise<unknown> {
  if (from === undefined) return null;
  const { size, mtimeMs } = await stat(from).catch((error) => {
    throw fileError('read', from, error);
  });
  return [from, size, mtimeMs];
}
