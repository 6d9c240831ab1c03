/** New records of one run behind a place in its file. The place is all that there is to know of a reader: readers at the same place share what is read. */
import { join } from 'node:path';
import type { MetricsRecord } from '@transformer-ls/formats';
import { METRICS_NAME } from '../run/metrics-log.js';
import { LineFollower } from './line-follower.js';
import { recordsOf } from './metrics-lines.js';
import type { MetricsSamples, TailedRun } from './metrics-samples.js';
import { type FileFacts, openRealFile, type RealFile, realFileFacts } from './real-file.js';

/** A reader who does not say where it begins has just asked for all records: what came in between is among these bytes. */
const LOOK_BACK = 64 * 1024;
/** A reader who is further behind gets a sample of all records instead of every one. */
const MOST_BEHIND = 1024 * 1024;
/** Bytes of a file in one message: so much may wait for a client that is slow. Above the longest line, or nothing would move. */
export const LARGEST_MESSAGE = 128 * 1024;

/** Where a reader is in a file. */
export interface TailPlace {
  /** Where the first line begins that it has not been given. */
  readonly offset: number;
  /** Which file it was; undefined where only the offset is known. */
  readonly identity: string | undefined;
  /** How long the file was at the last look, where it was read to its end. */
  readonly readTo?: number | undefined;
}

export interface RunNews {
  /** NewMetrics as JSON; undefined where there is nothing new. */
  readonly metrics: string | undefined;
  /** Where the reader is then. Undefined: nowhere yet. */
  readonly place: TailPlace | undefined;
  /** Whether there is more already. */
  readonly hasMore: boolean;
}

/** What was written behind a place. A file that cannot be read has nothing: the list of runs says why. */
export async function newsAfter(
  run: TailedRun,
  place: TailPlace | undefined,
  samples: MetricsSamples,
): Promise<RunNews> {
  try {
    return await read(run, place, samples);
  } catch {
    return nothing(place);
  }
}

function nothing(place: TailPlace | undefined): RunNews {
  return { metrics: undefined, place, hasMore: false };
}

async function read(run: TailedRun, place: TailPlace | undefined, samples: MetricsSamples): Promise<RunNews> {
  const path = join(run.folder, METRICS_NAME);
  const facts = await realFileFacts(path);
  if (facts === undefined) return nothing(place);
  const { offset, identity, readTo } = placeIn(facts, place);
  const isOther = identity !== facts.identity || facts.size < offset;
  if (isOther || facts.size - offset > MOST_BEHIND) return anew(run, samples);
  if (facts.size === readTo || facts.size === offset) return nothing({ offset, identity, readTo });
  const file = await openRealFile(path);
  try {
    if (file.identity !== identity) return nothing({ offset, identity, readTo });
    return await newRecords(run, offset, file);
  } finally {
    await file.handle.close();
  }
}

function placeIn({ size, identity }: FileFacts, place: TailPlace | undefined): TailPlace {
  if (place === undefined) return { offset: Math.max(0, size - LOOK_BACK), identity };
  return { ...place, identity: place.identity ?? identity };
}

async function newRecords({ id }: TailedRun, offset: number, file: RealFile): Promise<RunNews> {
  const { handle, size, identity } = file;
  const follower = LineFollower.from(offset);
  const end = Math.min(size, offset + LARGEST_MESSAGE);
  const texts: string[] = [];
  for await (const lines of follower.read(handle, end))
    for (const line of lines) if (line !== undefined) texts.push(line.toString());
  const records: MetricsRecord[] = recordsOf(texts);
  const hasMore = end < size && follower.offset > offset;
  return {
    metrics: records.length === 0 ? undefined : JSON.stringify({ id, records }),
    place: { offset: follower.offset, identity, readTo: end < size ? undefined : end },
    hasMore,
  };
}

/** A resumed run cuts its metrics back: what the reader knows may not have happened. */
async function anew(run: TailedRun, samples: MetricsSamples): Promise<RunNews> {
  const { records, place } = await samples.of(run, MOST_BEHIND / 2);
  const metrics = `{"id":${JSON.stringify(run.id)},"records":${records},"anew":true}`;
  return { metrics, place, hasMore: true };
}
