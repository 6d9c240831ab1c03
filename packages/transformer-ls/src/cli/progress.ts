import {
  type EvaluationRecord,
  formatMetricsLine,
  type MetricsRecord,
  qualityOf,
  type TrainRecord,
} from '@transformer-ls/formats';
import { ExponentialAverage } from '../charts/smoothing.js';
import { formatCount, formatDuration, formatInteger } from '../text/numbers.js';
import {
  evaluationLine,
  type Paint,
  type ProgressInfo,
  plainLine,
  renderFrame,
  type Style,
} from './progress-frame.js';

export type { ProgressInfo } from './progress-frame.js';

/** `live`: lines redrawn in place; `plain`: one line now and then, no control codes; `json`: records as JSON lines. */
export type ProgressMode = 'live' | 'plain' | 'json';

/** What a terminal or a file is to the display. */
export interface ProgressStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface ProgressOptions {
  readonly mode: ProgressMode;
  readonly stream: ProgressStream;
  /** Width in characters. Default: that of the stream, asked for again at each frame, or 80. */
  readonly columns?: number;
  /** Default: unless the environment sets NO_COLOR. */
  readonly colour?: boolean;
  /** In `plain` mode, steps from one training line to the next. Default 50. */
  readonly everySteps?: number;
  /** Milliseconds. Default: the clock. */
  readonly now?: () => number;
}

/** Shows a training to whoever watches it. */
export interface Progress {
  start(info: ProgressInfo): void;
  record(record: MetricsRecord): void;
  /** A line that stays, above the live lines. */
  message(line: string): void;
  /** Draws the last state and leaves it standing. Safe to call twice. */
  finish(): void;
}

/** The mode that suits an output stream. */
export function progressMode(stream: ProgressStream, json: boolean, env: NodeJS.ProcessEnv): ProgressMode {
  if (json) return 'json';
  return stream.isTTY === true && env.TERM !== 'dumb' ? 'live' : 'plain';
}

export function createProgress(options: ProgressOptions): Progress {
  switch (options.mode) {
    case 'json':
      return jsonProgress(options.stream);
    case 'plain':
      return plainProgress(options);
    case 'live':
      return liveProgress(options);
  }
}

/** One line per record, exactly as in metrics.jsonl; messages become event records, so that every line is one. */
function jsonProgress(stream: ProgressStream): Progress {
  let step = 0;
  return {
    start: ({ from }) => {
      step = from?.step ?? 0;
    },
    record: (record) => {
      step = record.step;
      stream.write(formatMetricsLine(record));
    },
    message: (message) => {
      stream.write(formatMetricsLine({ type: 'event', step, event: 'message', message }));
    },
    finish: () => undefined,
  };
}

function plainProgress({ stream, everySteps = 50, now = Date.now }: ProgressOptions): Progress {
  const tracker = new ProgressTracker(now);
  let printed = Number.NEGATIVE_INFINITY;
  const print = (line: string) => stream.write(`${printable(line)}\n`);
  const printTrain = (record: TrainRecord) => {
    printed = record.step;
    print(plainLine(tracker.state()));
  };
  return {
    start: (info) => {
      tracker.start(info);
      print(startLine(info));
    },
    record: (record) => {
      tracker.record(record);
      if (record.type === 'evaluation') print(evaluationLine(record));
      else if (record.type === 'event') print(eventLine(record.step, record.message));
      else if (record.step - printed >= everySteps) printTrain(record);
    },
    message: print,
    finish: () => {
      const { train } = tracker.state();
      if (train !== undefined && train.step > printed) printTrain(train);
    },
  };
}

const FRAME_MILLISECONDS = 100;
const TICK_MILLISECONDS = 500;

function liveProgress({ stream, columns, colour, now = Date.now }: ProgressOptions): Progress {
  const tracker = new ProgressTracker(now);
  const paint = painter(colour ?? !process.env.NO_COLOR);
  const screen = new LiveLines(stream, () => columns ?? stream.columns ?? 80);
  let timer: NodeJS.Timeout | undefined;
  let drawnAt = Number.NEGATIVE_INFINITY;
  const draw = () => {
    drawnAt = now();
    screen.draw(renderFrame(tracker.state(), screen.width(), paint));
  };
  return {
    start: (info) => {
      tracker.start({ ...info, title: printable(info.title) });
      draw();
      // Time and ETA move on between records. The timer must not keep a finished program alive.
      timer ??= setInterval(draw, TICK_MILLISECONDS).unref();
    },
    record: (record) => {
      tracker.record(record);
      if (record.type === 'event') screen.printAbove(printable(eventLine(record.step, record.message)));
      if (record.type !== 'train' || now() - drawnAt >= FRAME_MILLISECONDS) draw();
    },
    message: (line) => {
      screen.printAbove(printable(line));
    },
    finish: () => {
      if (timer === undefined) return;
      clearInterval(timer);
      timer = undefined;
      draw();
      screen.release();
    },
  };
}

/** A block of lines at the bottom of a terminal that is drawn over itself, each time in a single write. */
class LiveLines {
  private drawn: readonly string[] = [];

  constructor(
    private readonly stream: ProgressStream,
    private readonly currentWidth: () => number,
  ) {}

  /** One less than the terminal: a line that fills it would wrap on some. */
  width(): number {
    return Math.max(1, this.currentWidth() - 1);
  }

  draw(lines: readonly string[]): void {
    this.stream.write(`${this.erase()}${lines.join('\n')}\n`);
    this.drawn = lines;
  }

  printAbove(line: string): void {
    const below = this.drawn.length > 0 ? `${this.drawn.join('\n')}\n` : '';
    this.stream.write(`${this.erase()}${line}\n${below}`);
  }

  /** What is drawn stays; the next drawing begins below it. */
  release(): void {
    this.drawn = [];
  }

  /** A terminal made narrower since has wrapped the old lines: they take more rows than were written. */
  private erase(): string {
    const width = Math.max(1, this.currentWidth());
    const rows = this.drawn.reduce(
      (sum, line) => sum + Math.max(1, Math.ceil(visibleLength(line) / width)),
      0,
    );
    return rows === 0 ? '' : `\u001b[${rows}A\r\u001b[J`;
  }
}

/** What the display knows, brought up to date record by record. */
class ProgressTracker {
  private info: ProgressInfo = { title: '', goals: {} };
  private train: TrainRecord | undefined;
  private evaluation: EvaluationRecord | undefined;
  private best: number | undefined;
  private history: number[] = [];
  private readonly average = new ExponentialAverage(0.9);
  private secondsThen = 0;
  private heardAt = 0;

  constructor(private readonly now: () => number) {}

  start(info: ProgressInfo): void {
    this.info = info;
    this.best = info.from?.best;
    this.secondsThen = info.from?.seconds ?? 0;
    this.heardAt = this.now();
  }

  record(record: MetricsRecord): void {
    if (record.type === 'train') this.recordTrain(record);
    if (record.type !== 'evaluation') return;
    this.evaluation = record;
    const { name, value } = qualityOf(record);
    const better = name === 'accuracy' ? Math.max : Math.min;
    if (Number.isFinite(value)) this.best = better(value, this.best ?? value);
  }

  state() {
    const seconds = this.secondsThen + (this.now() - this.heardAt) / 1000;
    const { info, train, evaluation, best, history } = this;
    return { info, train, evaluation, best, history, seconds };
  }

  private recordTrain(record: TrainRecord): void {
    this.train = record;
    if (Number.isFinite(record.seconds)) {
      this.secondsThen = record.seconds;
      this.heardAt = this.now();
    }
    const smoothed = this.average.add(qualityOf(record).value);
    if (smoothed !== undefined) this.history.push(smoothed);
    // No terminal is this wide: dropping every second value keeps the shape, and the memory bounded.
    if (this.history.length > 2048) this.history = this.history.filter((_, index) => index % 2 === 1);
  }
}

const CODES: Readonly<Record<Style, number>> = { strong: 1, faint: 2, good: 32, accent: 36, warning: 31 };

function painter(colour: boolean): Paint {
  return colour
    ? (style, text) => (text === '' ? '' : `\u001b[${CODES[style]}m${text}\u001b[0m`)
    : (_, text) => text;
}

function startLine({ title, goals, from, counts = 'tokens' }: ProgressInfo): string {
  const ends = [
    goals.steps === undefined ? undefined : `${formatInteger(goals.steps)} steps`,
    goals.tokens === undefined ? undefined : `${formatCount(goals.tokens)} ${counts}`,
    goals.seconds === undefined ? undefined : formatDuration(goals.seconds),
  ].filter((end) => end !== undefined);
  const until = ends.length === 0 ? '' : `: until ${ends.join(' or ')}`;
  return `${title}${until}${from === undefined ? '' : `, from step ${formatInteger(from.step)}`}`;
}

function eventLine(step: number, message: string): string {
  return `step ${formatInteger(step)}  ${message}`;
}

/** Text from elsewhere must not move the cursor or break the line. */
function printable(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ');
}

function visibleLength(line: string): number {
  return line.replace(CODE, '').length;
}

const CODE = /\p{Cc}\[[0-9;]*m/gu;
