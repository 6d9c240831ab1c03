/** New records of one run, for one reader. */
import { join } from 'node:path';
import type { MetricsRecord, NewMetrics } from '@transformer-ls/formats';
import { METRICS_NAME } from '../run/metrics-log.js';
import { LineFollower } from './line-follower.js';
import { recordsOf } from './metrics-lines.js';
import { openRealFile, type RealFile, realFileFacts } from './real-file.js';
import { type MetricsPlace, measuredRecords } from './run-metrics.js';

/** A reader who does not say where it begins has just asked for all records: what came in between is among these bytes. */
const LOOK_BACK = 64 * 1024;
/** A reader who is further behind gets a sample of all records instead of every one. */
const MOST_BEHIND = 1024 * 1024;

export interface TailedRun {
  readonly id: string;
  readonly folder: string;
}

/** Where a reader begins; the identity is undefined where only the place is known. */
export interface TailStart {
  readonly offset: number;
  readonly identity: string | undefined;
}

export class MetricsTail {
  private readonly path: string;
  private follower: LineFollower | undefined;
  private identity: string | undefined;

  constructor(
    private readonly run: TailedRun,
    start: TailStart | undefined,
  ) {
    this.path = join(run.folder, METRICS_NAME);
    if (start === undefined) return;
    this.follower = LineFollower.from(start.offset);
    this.identity = start.identity;
  }

  /** Where the next records begin. */
  get place(): MetricsPlace {
    return { offset: this.follower?.offset ?? 0, identity: this.identity ?? '' };
  }

  /** What was written since the last call; undefined where there is nothing. A file that cannot be read has nothing. */
  async next(): Promise<NewMetrics | undefined> {
    try {
      return await this.read();
    } catch {
      // The list of runs says why.
      return undefined;
    }
  }

  private async read(): Promise<NewMetrics | undefined> {
    const facts = await realFileFacts(this.path);
    if (facts === undefined) return undefined;
    this.follower ??= LineFollower.from(Math.max(0, facts.size - LOOK_BACK));
    this.identity ??= facts.identity;
    const { readTo } = this.follower;
    if (facts.identity !== this.identity || facts.size < readTo || facts.size - readTo > MOST_BEHIND)
      return this.anew();
    if (facts.size === readTo) return undefined;
    const file = await openRealFile(this.path);
    try {
      if (file.identity !== this.identity) return undefined;
      const records = await this.newRecords(this.follower, file);
      return records.length === 0 ? undefined : { id: this.run.id, records };
    } finally {
      await file.handle.close();
    }
  }

  private async newRecords(follower: LineFollower, { handle, size }: RealFile): Promise<MetricsRecord[]> {
    const texts: string[] = [];
    const end = Math.min(size, follower.readTo + MOST_BEHIND);
    for await (const lines of follower.read(handle, end))
      for (const line of lines) if (line !== undefined) texts.push(line.toString());
    return recordsOf(texts);
  }

  /** A resumed run cuts its metrics back: what the reader knows may not have happened. */
  private async anew(): Promise<NewMetrics> {
    const { records, place } = await measuredRecords(this.path);
    this.follower = LineFollower.from(place.offset);
    this.identity = place.identity;
    return { id: this.run.id, records, anew: true };
  }
}
