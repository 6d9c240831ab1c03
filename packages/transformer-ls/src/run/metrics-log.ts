import { join } from 'node:path';
import {
  encodeFileVersion,
  encodeScalars,
  formatMetricsLine,
  MetricsError,
  type MetricsRecord,
  parseMetricsLine,
} from '@transformer-ls/formats';
import { Appender } from './appender.js';
import { readSmallFile, replaceFile } from './durable.js';
import { runFolderError } from './errors.js';
import { errorCode, type FileSystem, nodeFileSystem } from './file-system.js';

/** What a run measures, as JSON lines and as TensorBoard events. */
export interface MetricsLog {
  /** Records of earlier sessions of this run, up to the step it was resumed from. */
  readonly earlier: readonly MetricsRecord[];
  /** Returns at once; a failing disk is reported once and does not stop the caller. */
  append(record: MetricsRecord): void;
  /** Waits until the records are on the disk. Call it before a checkpoint, so that no step is missing after a resume. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

export interface MetricsLogOptions {
  /** Records after this step are cut off: the run repeats them. Default: none is kept, the run begins. */
  readonly resumeStep?: number;
  /** Receives one line per problem. */
  readonly onProblem: (line: string) => void;
  readonly fileSystem?: FileSystem;
  readonly now?: () => Date;
}

export const METRICS_NAME = 'metrics.jsonl';
const EVENTS_PREFIX = 'events.out.tfevents.';
export const LARGEST_METRICS = 1024 * 1024 * 1024;

/**
 * Opens the log of a run folder.
 *
 * Errors: RunFolderError where the records of earlier sessions cannot be read or cut back.
 */
export async function openMetricsLog(folder: string, options: MetricsLogOptions): Promise<MetricsLog> {
  const { onProblem, fileSystem = nodeFileSystem, now = () => new Date(), resumeStep = -1 } = options;
  const path = join(folder, METRICS_NAME);
  const earlier = await cutBackMetrics(path, resumeStep, onProblem, fileSystem);
  const eventsPath = await restartEvents(folder, earlier, now(), fileSystem);
  const lines = new Appender(fileSystem, path, onProblem);
  const events = new Appender(fileSystem, eventsPath, onProblem);
  return {
    earlier,
    append: (record) => {
      lines.append(encode(formatMetricsLine(record)));
      const event = encodeRecord(record, now());
      if (event !== undefined) events.append(event);
    },
    flush: async () => {
      await Promise.all([lines.flush(), events.flush()]);
    },
    close: async () => {
      await Promise.all([lines.close(), events.close()]);
    },
  };
}

/**
 * Keeps the records at or before `step` and returns them. A last line that was cut short is dropped; so are other
 * lines that are no records, with a word to `onProblem`. The file is replaced as a whole, or left as it is where nothing changes.
 */
export async function cutBackMetrics(
  path: string,
  step: number,
  onProblem: (line: string) => void,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<MetricsRecord[]> {
  try {
    const before = await readText(path, fileSystem);
    const kept = recordsOf(before, path, onProblem).filter((record) => record.step <= step);
    const after = kept.map(formatMetricsLine).join('');
    if (after !== before) await replaceFile(fileSystem, path, [encode(after)]);
    return kept;
  } catch (error) {
    throw await runFolderError(error, `cut the metrics back to step ${step}`, path, fileSystem);
  }
}

async function readText(path: string, fileSystem: FileSystem): Promise<string> {
  try {
    return new TextDecoder().decode(await readSmallFile(fileSystem, path, LARGEST_METRICS));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return '';
    throw error;
  }
}

function recordsOf(text: string, path: string, onProblem: (line: string) => void): MetricsRecord[] {
  const lines = text.split('\n');
  // What follows the last line end was cut short, or is nothing.
  lines.pop();
  const records: MetricsRecord[] = [];
  lines.forEach((line, index) => {
    try {
      records.push(parseMetricsLine(line));
    } catch (error) {
      if (!(error instanceof MetricsError)) throw error;
      onProblem(`${path}: line ${index + 1} is not a metrics record and is dropped: ${error.message}`);
    }
  });
  return records;
}

/**
 * Event files cannot be cut, and TensorBoard reads all of them: one new file with the kept records takes the place of
 * those of earlier sessions. They are removed only when the new one is whole.
 */
async function restartEvents(
  folder: string,
  earlier: readonly MetricsRecord[],
  now: Date,
  fileSystem: FileSystem,
): Promise<string> {
  const name = `${EVENTS_PREFIX}${Math.floor(now.getTime() / 1000)}.${process.pid}`;
  const path = join(folder, name);
  try {
    const old = (await fileSystem.list(folder)).filter(
      (one) => one.startsWith(EVENTS_PREFIX) && one !== name,
    );
    await replaceFile(fileSystem, path, [
      encodeFileVersion(now.getTime() / 1000),
      ...earlierEvents(earlier, now),
    ]);
    for (const one of old) await fileSystem.remove(join(folder, one));
  } catch (error) {
    throw await runFolderError(error, 'write the TensorBoard events', path, fileSystem);
  }
  return path;
}

/** Earlier records carry training seconds, not dates: they are laid out backwards from now. */
function earlierEvents(earlier: readonly MetricsRecord[], now: Date): Uint8Array[] {
  const total = earlier.reduce((most, record) => (record.type === 'train' ? record.seconds : most), 0);
  let seconds = 0;
  return earlier.flatMap((record) => {
    if (record.type === 'train') seconds = record.seconds;
    const at = new Date(now.getTime() - finiteOr(total - seconds, 0) * 1000);
    return encodeRecord(record, at) ?? [];
  });
}

function encodeRecord(record: MetricsRecord, at: Date): Uint8Array | undefined {
  const scalars = scalarsOf(record);
  return scalars === undefined ? undefined : encodeScalars(at.getTime() / 1000, record.step, scalars);
}

function scalarsOf(record: MetricsRecord): Record<string, number> | undefined {
  if (record.type === 'event') return undefined;
  if (record.type === 'evaluation') {
    const { split, loss, top5 } = record;
    const ofFive = top5 === null ? {} : { [`${split}/top5`]: top5 };
    return { [`${split}/loss`]: loss, ...qualities(split, record), ...ofFive };
  }
  const { loss, learningRate, gradNorm, tokensPerSecond } = record;
  const scalars: Record<string, number> = { 'train/loss': loss, ...qualities('train', record) };
  scalars['train/learningRate'] = learningRate;
  scalars['train/tokensPerSecond'] = tokensPerSecond;
  if (gradNorm !== null) scalars['train/gradNorm'] = gradNorm;
  return scalars;
}

/** Bits per character or accuracy, whichever there is. */
function qualities(
  split: string,
  { bpc, accuracy }: { bpc: number | null; accuracy: number | null },
): Record<string, number> {
  const found: Record<string, number> = {};
  if (bpc !== null) found[`${split}/bpc`] = bpc;
  if (accuracy !== null) found[`${split}/accuracy`] = accuracy;
  return found;
}

function finiteOr(value: number, fallback: number): number {
  return Number.isFinite(value) ? value : fallback;
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
