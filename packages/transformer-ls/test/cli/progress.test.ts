import { type EvaluationRecord, parseMetrics, type TrainRecord } from '@transformer-ls/formats';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createProgress, type ProgressOptions, progressMode } from '../../src/cli/progress.js';
import {
  type Paint,
  type ProgressState,
  progressOf,
  renderFrame,
  sparkline,
} from '../../src/cli/progress-frame.js';

const noPaint: Paint = (_, text) => text;

const train: TrainRecord = {
  type: 'train',
  step: 1234,
  tokens: 2_527_232,
  loss: 1.6083,
  bpc: 2.3203,
  accuracy: null,
  learningRate: 0.001,
  gradNorm: 0.85,
  tokensPerSecond: 8192,
  seconds: 309,
  memoryBytes: Math.round(1.2 * 2 ** 30),
};

const evaluation: EvaluationRecord = {
  type: 'evaluation',
  step: 1200,
  split: 'validation',
  tokens: 5000,
  loss: 1.615,
  bpc: 2.33,
  accuracy: null,
  top5: null,
  seconds: 3,
  best: true,
};

const state: ProgressState = {
  info: { title: 'wikipedia-small in runs/first', goals: { steps: 3000, seconds: 900 } },
  train,
  evaluation,
  best: 2.31,
  history: [7.97, 5.5, 4.1, 3.4, 2.9, 2.6, 2.45, 2.312],
  seconds: 309,
};

describe('renderFrame', () => {
  it('shows a training in 80 columns', () => {
    expect(renderFrame(state, 80, noPaint)).toEqual([
      'wikipedia-small in runs/first',
      `${'█'.repeat(30)}▊${'░'.repeat(44)}  41%`,
      'step 1,234/3,000   tokens 2.53M   time 5m 09s/15m 00s   ETA 7m 22s',
      'bpc 2.312   validation 2.330   best 2.310   loss 1.608',
      '7.97 █▅▃▂▂▁▁▁ 2.31',
      'speed 8.19k tok/s   lr 1.00e-3   grad 0.85   mem 1.2 GiB',
    ]);
  });

  it('counts images where pictures are trained on', () => {
    const { bpc: _, ...rest } = train;
    const pictures = {
      ...state,
      info: { ...state.info, counts: 'images' as const },
      train: { ...rest, bpc: null, accuracy: 0.25, tokensPerSecond: 85 },
    };
    const frame = renderFrame(pictures, 80, noPaint);
    expect(frame[2]).toContain('images 2.53M');
    expect(frame[5]).toContain('speed 85 img/s');
  });

  it('shows the same in 40 columns', () => {
    expect(renderFrame(state, 40, noPaint)).toEqual([
      'wikipedia-small in runs/first',
      `${'█'.repeat(14)}▍${'░'.repeat(20)}  41%`,
      'step 1,234/3,000   tokens 2.53M',
      'time 5m 09s/15m 00s   ETA 7m 22s',
      'bpc 2.312   validation 2.330',
      'best 2.310   loss 1.608',
      '7.97 █▅▃▂▂▁▁▁ 2.31',
      'speed 8.19k tok/s   lr 1.00e-3',
      'grad 0.85   mem 1.2 GiB',
    ]);
  });

  it('shows a training that has not begun', () => {
    const begun = {
      ...state,
      train: undefined,
      evaluation: undefined,
      best: undefined,
      history: [],
      seconds: 0,
    };
    expect(renderFrame(begun, 60, noPaint)).toEqual([
      'wikipedia-small in runs/first',
      `${'░'.repeat(55)}   0%`,
      'step 0/3,000   tokens 0   time 0.0s/15m 00s   ETA --',
      'bpc --   loss --',
    ]);
  });

  it('never writes wider than it may, whatever comes', () => {
    const text = fc.string({ maxLength: 80 });
    const number = fc.oneof(fc.double(), fc.double({ min: 0, max: 100, noNaN: true }));
    const values = fc.record({
      loss: number,
      gradNorm: number,
      learningRate: number,
      tokensPerSecond: number,
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 16, max: 200 }),
        text,
        text,
        values,
        (columns, title, split, measured) => {
          const odd: ProgressState = {
            ...state,
            info: { ...state.info, title },
            train: { ...train, ...measured },
            evaluation: { ...evaluation, split },
          };
          for (const line of renderFrame(odd, columns, noPaint))
            expect(line.length).toBeLessThanOrEqual(columns);
        },
      ),
    );
  });

  it('paints without changing the text', () => {
    const painted = renderFrame(state, 80, (style, text) => `<${style}>${text}</>`);
    expect(painted[3]).toContain('<faint>best</> <good>2.310</>');
    expect(painted.map((line) => line.replace(/<[^>]*>/g, ''))).toEqual(renderFrame(state, 80, noPaint));
  });
});

describe('progressOf', () => {
  it('follows the goal that is reached first, at the speed since this process began', () => {
    const goals = { steps: 10_000, seconds: 600 };
    const from = { step: 1134, tokens: 0, seconds: 259 };
    const { fraction, remaining } = progressOf({ ...state, info: { title: '', goals, from } });
    expect(fraction).toBeCloseTo(309 / 600, 12);
    expect(remaining).toBeCloseTo(291, 9);
    const fewer = progressOf({ ...state, info: { title: '', goals: { ...goals, steps: 1334 }, from } });
    expect(fewer.remaining).toBeCloseTo(50, 9);
  });

  it('stays within 0 and 1', () => {
    expect(progressOf({ ...state, info: { title: '', goals: { steps: 10 } } })).toEqual({
      fraction: 1,
      remaining: 0,
    });
    expect(progressOf({ ...state, info: { title: '', goals: {} } }).fraction).toBe(0);
  });
});

it('sparkline averages many values into few bars', () => {
  expect(sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8)).toBe('▁▂▃▄▅▆▇█');
  expect(sparkline([0, 0, 7, 7], 2)).toBe('▁█');
  expect(sparkline([3, 3, 3], 3)).toBe('▁▁▁');
});

it('progressMode chooses plain lines where there is no terminal', () => {
  const write = () => true;
  expect(progressMode({ write, isTTY: true }, false, {})).toBe('live');
  expect(progressMode({ write, isTTY: true }, false, { TERM: 'dumb' })).toBe('plain');
  expect(progressMode({ write }, false, {})).toBe('plain');
  expect(progressMode({ write, isTTY: true }, true, {})).toBe('json');
});

/** Shows three records, an evaluation, an event and a message; returns what was written. */
function show(options: Omit<ProgressOptions, 'stream'>): string[] {
  const written: string[] = [];
  let clock = 0;
  const stream = { write: (text: string) => written.push(text) };
  const progress = createProgress({ stream, now: () => clock, ...options });
  progress.start({ title: 'small', goals: { steps: 200 } });
  for (const step of [10, 20, 100]) {
    clock += 1000;
    progress.record({ ...train, step, seconds: clock / 1000 });
  }
  progress.record({ ...evaluation, step: 100 });
  progress.record({ type: 'event', step: 100, event: 'checkpoint', message: 'saved\u001b[2J' });
  progress.message('a word\non the side');
  progress.finish();
  progress.finish();
  return written;
}

describe('plain lines', () => {
  it('come every so many steps, without control codes', () => {
    const tail = 'bpc 2.320  loss 1.608  speed 8.19k tok/s  lr 1.00e-3  grad 0.85  mem 1.2 GiB';
    const lines = show({ mode: 'plain' });
    expect(lines[0]).toBe('small: until 200 steps\n');
    expect(lines[1]).toBe(`5%  step 10/200  tokens 2.53M  time 1.0s  ETA 19s  ${tail}\n`);
    expect(lines[2]).toMatch(/^50% {2}step 100\/200 .*\n$/);
    expect(lines[3]).toBe('step 100  validation: bpc 2.330  loss 1.615  in 3.0s  (best so far)\n');
    expect(lines[4]).toBe('step 100  saved [2J\n');
    expect(lines.slice(5)).toEqual(['a word on the side\n']);
    expect(lines.join('')).not.toMatch(/[^\P{Cc}\n]/u);
  });
});

describe('json', () => {
  it('is nothing but metrics lines', () => {
    const { records, truncated } = parseMetrics(show({ mode: 'json' }).join(''));
    expect(truncated).toBeNull();
    expect(records.map(({ type, step }) => `${type} ${step}`)).toEqual([
      'train 10',
      'train 20',
      'train 100',
      'evaluation 100',
      'event 100',
      'event 100',
    ]);
  });
});

describe('live lines', () => {
  afterEach(() => vi.useRealTimers());

  it('are drawn over the old ones and keep messages above', () => {
    const written = show({ mode: 'live', columns: 80, colour: false });
    const screen = new Screen(80);
    for (const text of written) screen.write(text);
    expect(screen.lines.slice(0, 4)).toEqual([
      'step 100  saved [2J',
      'a word on the side',
      'small',
      `${'█'.repeat(37)}${'░'.repeat(37)}  50%`,
    ]);
    expect(screen.lines).toHaveLength(2 + 6 + 1);
    expect(written.join('')).not.toContain('\u001b[1m');
  });

  it('are redrawn cleanly in a terminal made narrower', () => {
    vi.useFakeTimers();
    const screen = new Screen(80);
    const stream = { write: (text: string) => screen.write(text), columns: 80 };
    const progress = createProgress({ mode: 'live', stream, colour: true, now: () => 0 });
    progress.start({ title: 'small', goals: { steps: 2000 } });
    progress.record(evaluation);
    progress.record(train);
    screen.resize(40);
    stream.columns = 40;
    vi.advanceTimersByTime(1000);
    progress.finish();
    expect(screen.lines.filter((line) => line === 'small')).toHaveLength(1);
    expect(screen.lines[0]).toBe('small');
  });

  it('carry colours only where they are wanted', () => {
    expect(show({ mode: 'live', colour: true }).join('')).toContain('\u001b[1msmall\u001b[0m');
    vi.stubEnv('NO_COLOR', '1');
    expect(show({ mode: 'live' }).join('')).not.toMatch(/\[\d+m/);
    vi.unstubAllEnvs();
  });
});

/** The small part of a terminal that the display uses; wraps lines as terminals do. */
class Screen {
  lines: string[] = [''];

  constructor(private width: number) {}

  write(text: string): void {
    const plain = text.replace(/\p{Cc}\[\d+m/gu, '');
    for (const [, up, rest] of plain.matchAll(/(?:\p{Cc}\[(\d+)A\r\p{Cc}\[J)?((?:\P{Cc}|\n)*)/gu)) {
      if (up !== undefined) this.lines.splice(this.lines.length - 1 - Number(up), Number(up) + 1, '');
      for (const [index, line] of (rest ?? '').split('\n').entries()) {
        if (index > 0) this.lines.push('');
        this.put(line);
      }
    }
  }

  resize(width: number): void {
    this.width = width;
    const before = this.lines;
    this.lines = [];
    for (const line of before) {
      this.lines.push('');
      this.put(line);
    }
  }

  private put(line: string): void {
    this.lines[this.lines.length - 1] += line;
    for (let last = this.lines.at(-1)!; last.length > this.width; last = this.lines.at(-1)!) {
      this.lines.splice(-1, 1, last.slice(0, this.width), last.slice(this.width));
    }
  }
}
