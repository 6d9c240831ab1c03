/** One line that is written over itself while something long goes on: on a terminal only, so that files and pipes stay clean. */

export interface StatusStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

const LEAST_MILLISECONDS = 100;
/** Elsewhere than on a terminal, a plain line now and then tells that the work goes on. */
const PLAIN_MILLISECONDS = 30_000;

export class StatusLine {
  private shown = 0;
  private at = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly stream: StatusStream,
    private readonly now: () => number = Date.now,
  ) {}

  /** Shows a line, unless the last one is too fresh to be replaced. */
  show(line: string): void {
    const now = this.now();
    if (!this.stream.isTTY) {
      if (this.at === Number.NEGATIVE_INFINITY) this.at = now;
      if (now - this.at < PLAIN_MILLISECONDS) return;
      this.at = now;
      this.stream.write(`${line}\n`);
      return;
    }
    if (now - this.at < LEAST_MILLISECONDS) return;
    this.at = now;
    const cut = line.slice(0, Math.max(1, (this.stream.columns ?? 80) - 1));
    this.stream.write(`\r${cut.padEnd(this.shown)}`);
    this.shown = cut.length;
  }

  /** Removes the line. */
  clear(): void {
    if (this.shown > 0) this.stream.write(`\r${' '.repeat(this.shown)}\r`);
    this.shown = 0;
  }
}
