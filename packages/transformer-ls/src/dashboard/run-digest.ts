/** What a run's metrics come to, kept up to date by reading only what is new. */
import { type EvaluationRecord, MetricsError, type TrainRecord } from '@transformer-ls/formats';
import { reasonOf } from './errors.js';
import { LineFollower } from './line-follower.js';
import { isTrainingLine, recordOf } from './metrics-lines.js';
import { openRealFile, realFileFacts } from './real-file.js';

export class RunDigest {
  /** The newest record of training; null before the first. */
  trained: TrainRecord | null = null;
  /** The newest evaluation that was the best so far. */
  best: EvaluationRecord | null = null;
  /** Updates done. */
  step = 0;
  /** When the file was last written; null where there is none yet. */
  modified: Date | null = null;
  /** Lines that are no records. */
  private badLines = 0;
  private firstBad = '';
  private follower = LineFollower.fromStart();
  private identity = '';

  /** @param path of a metrics.jsonl, which need not be there yet */
  constructor(private readonly path: string) {}

  /** What is wrong with the file, in one line; null where every line is a record. */
  get problem(): string | null {
    const others = this.badLines > 1 ? ` (and ${this.badLines - 1} other lines)` : '';
    return this.badLines === 0 ? null : `${this.firstBad}${others}; left out`;
  }

  /** Reads what was appended; all of it anew where another file has taken its place. @throws UnreadableError */
  async update(): Promise<void> {
    const facts = await realFileFacts(this.path);
    this.modified = facts?.modified ?? null;
    if (facts === undefined) {
      this.restart('');
      return;
    }
    if (facts.identity === this.identity && facts.size === this.follower.readTo) return;
    const { handle, size, identity } = await openRealFile(this.path);
    try {
      if (identity !== this.identity || size < this.follower.readTo) this.restart(identity);
      for await (const lines of this.follower.read(handle, size)) this.take(lines);
    } finally {
      await handle.close();
    }
  }

  private restart(identity: string): void {
    this.trained = null;
    this.best = null;
    this.step = 0;
    this.badLines = 0;
    this.follower = LineFollower.fromStart();
    this.identity = identity;
  }

  private take(lines: readonly (Buffer | undefined)[]): void {
    const first = this.follower.lines - lines.length + 1;
    // Of the records of training only the newest says something here.
    const newest = lines.findLastIndex((line) => line !== undefined && isTrainingLine(line));
    lines.forEach((line, index) => {
      if (line === undefined) this.refuse(first + index, 'is too long');
      else if (index === newest || !isTrainingLine(line)) this.read(line.toString(), first + index);
    });
  }

  private read(line: string, number: number): void {
    const record = recordOf(line);
    if (record instanceof MetricsError) {
      this.refuse(number, reasonOf(record));
      return;
    }
    this.step = record.step;
    if (record.type === 'train') this.trained = record;
    if (record.type === 'evaluation' && record.best) this.best = record;
  }

  private refuse(number: number, reason: string): void {
    this.badLines += 1;
    if (this.badLines === 1) this.firstBad = `metrics.jsonl: line ${number}: ${reason}`;
  }
}
