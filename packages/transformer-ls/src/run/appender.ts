import { writeAll } from './durable.js';
import { runFolderError } from './errors.js';
import type { FileSystem, OpenFile } from './file-system.js';

const MOST_PENDING = 10_000;

/**
 * Appends records to a file that is not worth stopping a training for. Where the disk refuses, it says so once, keeps
 * the records, and tries again with the next one; a record that was written in part is cut off first.
 */
export class Appender {
  private file: OpenFile | undefined;
  private pending: Uint8Array[] = [];
  private lost = 0;
  private goodSize = 0;
  private failing = false;
  private work: Promise<void> = Promise.resolve();

  constructor(
    private readonly fileSystem: FileSystem,
    private readonly path: string,
    private readonly onProblem: (line: string) => void,
  ) {}

  /** Returns at once; records reach the file in the order of the calls. */
  append(record: Uint8Array): void {
    this.pending.push(record);
    if (this.pending.length > MOST_PENDING) {
      this.pending.shift();
      this.lost++;
    }
    this.work = this.work.then(() => this.attempt(false));
  }

  /** Waits until everything appended so far is on the disk, or the disk has refused it. */
  async flush(): Promise<void> {
    this.work = this.work.then(() => this.attempt(true));
    await this.work;
  }

  async close(): Promise<void> {
    await this.flush();
    this.lost += this.pending.length;
    if (this.lost > 0) this.onProblem(`${this.path}: ${this.lost} records were lost`);
    this.pending = [];
    await this.file?.close().catch(() => undefined);
    this.file = undefined;
  }

  private async attempt(sync: boolean): Promise<void> {
    try {
      await this.writePending();
      if (sync) await this.file?.sync();
      this.failing = false;
    } catch (error) {
      if (!this.failing) await this.report(error);
      this.failing = true;
    }
  }

  private async writePending(): Promise<void> {
    if (this.pending.length === 0) return;
    if (this.file === undefined) {
      this.file = await this.fileSystem.open(this.path, 'append');
      this.goodSize = await this.file.size();
    }
    if (this.failing) await this.file.truncate(this.goodSize);
    while (this.pending.length > 0) {
      const record = this.pending[0]!;
      await writeAll(this.file, record);
      this.goodSize += record.length;
      this.pending.shift();
    }
  }

  private async report(error: unknown): Promise<void> {
    const problem = await runFolderError(error, 'write metrics', this.path, this.fileSystem);
    this.onProblem(`${problem.message}; training goes on and the records are kept for a later attempt`);
  }
}
