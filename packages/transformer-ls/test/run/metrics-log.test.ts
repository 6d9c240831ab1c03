import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  encodeFileVersion,
  encodeScalars,
  formatMetricsLine,
  parseMetrics,
  type TrainRecord,
} from '@transformer-ls/formats';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cutBackMetrics, openMetricsLog } from '../../src/run/metrics-log.js';
import { faultyFileSystem } from './faulty-file-system.js';

let folder = '';
let path = '';
const problems: string[] = [];
const onProblem = (line: string) => problems.push(line);

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'metrics-'));
  path = join(folder, 'metrics.jsonl');
  problems.length = 0;
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

function train(step: number): TrainRecord {
  const rates = { learningRate: 0.5, gradNorm: null, tokensPerSecond: 10, seconds: step, memoryBytes: 1 };
  return { type: 'train', step, tokens: step * 10, loss: Number.NaN, bpc: 3, accuracy: null, ...rates };
}

const scalars = {
  'train/loss': Number.NaN,
  'train/bpc': 3,
  'train/learningRate': 0.5,
  'train/tokensPerSecond': 10,
};
const lines = (...steps: number[]) => steps.map((step) => formatMetricsLine(train(step))).join('');

describe('cutBackMetrics', () => {
  it('keeps whole records up to the step, wherever the file was cut', async () => {
    const whole = lines(1, 2, 3, 4, 5);
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length), fc.integer({ min: -1, max: 6 }), async (length, step) => {
        writeFileSync(path, whole.slice(0, length));
        const complete = whole.slice(0, length).split('\n').length - 1;
        const kept = Math.max(0, Math.min(complete, step));
        await cutBackMetrics(path, step, onProblem);
        expect(readFileSync(path, 'utf8')).toBe(lines(...[1, 2, 3, 4, 5].slice(0, kept)));
        expect(readdirSync(folder)).toEqual(['metrics.jsonl']);
      }),
    );
    expect(problems).toEqual([]);
  });

  it('drops a damaged line and says which', async () => {
    writeFileSync(path, `${lines(1)}{"type":"tr\u0000ain"}\n${lines(2)}`);
    expect(await cutBackMetrics(path, 9, onProblem)).toEqual([train(1), train(2)]);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(`${path}: line 2 is not a metrics record and is dropped: `);
  });

  it('leaves the old file whole when the disk refuses the new one', async () => {
    writeFileSync(path, lines(1, 2));
    const fileSystem = faultyFileSystem((operation) => (operation === 'sync' ? 'EIO' : undefined));
    await expect(cutBackMetrics(path, 1, onProblem, fileSystem)).rejects.toThrow(
      `cannot cut the metrics back to step 1 at ${path}: the disk reports an input/output error`,
    );
    expect(readFileSync(path, 'utf8')).toBe(lines(1, 2));
  });
});

describe('the log', () => {
  const now = () => new Date(1_700_000_000_000);

  it('writes JSON lines and TensorBoard events side by side', async () => {
    const log = await openMetricsLog(folder, { onProblem, now });
    log.append(train(1));
    log.append({ type: 'event', step: 1, event: 'note', message: 'not a curve' });
    log.append({
      type: 'evaluation',
      step: 1,
      split: 'test',
      tokens: 1,
      loss: 1,
      bpc: 2,
      accuracy: null,
      top5: null,
      seconds: 1,
      best: true,
    });
    await log.close();
    expect(parseMetrics(readFileSync(path, 'utf8')).records.map(({ type }) => type)).toEqual([
      'train',
      'event',
      'evaluation',
    ]);
    const events = readFileSync(join(folder, `events.out.tfevents.1700000000.${process.pid}`));
    const expected = [
      encodeFileVersion(1_700_000_000),
      encodeScalars(1_700_000_000, 1, scalars),
      encodeScalars(1_700_000_000, 1, { 'test/loss': 1, 'test/bpc': 2 }),
    ];
    expect(Buffer.compare(events, Buffer.concat(expected))).toBe(0);
  });

  it('carries on one events file with each step once after a resume', async () => {
    const first = await openMetricsLog(folder, { onProblem, now: () => new Date(0) });
    for (const step of [1, 2, 3]) first.append(train(step));
    await first.close();
    const second = await openMetricsLog(folder, { onProblem, now, resumeStep: 2 });
    second.append(train(3));
    await second.close();
    expect(readFileSync(path, 'utf8')).toBe(lines(1, 2, 3));
    const [events, ...others] = readdirSync(folder).filter((name) => name.startsWith('events.'));
    expect(others).toEqual([]);
    const at = 1_700_000_000;
    const expected = [
      encodeFileVersion(at),
      ...[at - 1, at, at].map((time, i) => encodeScalars(time, i + 1, scalars)),
    ];
    expect(Buffer.compare(readFileSync(join(folder, events!)), Buffer.concat(expected))).toBe(0);
  });

  it('says once that the disk is full, goes on, and catches up when there is room', async () => {
    let full = false;
    const fileSystem = faultyFileSystem((operation, index) => {
      // Every third write goes half through before the next fails: records are cut in the middle.
      return full && operation === 'write' && index % 3 !== 0 ? 'ENOSPC' : undefined;
    });
    const log = await openMetricsLog(folder, { onProblem, fileSystem });
    log.append(train(1));
    await log.flush();
    full = true;
    for (const step of [2, 3, 4]) {
      log.append(train(step));
      await log.flush();
    }
    expect(problems).toHaveLength(2);
    expect(problems[0]).toMatch(
      /^cannot write metrics at .*: the disk is full \(.* free\); training goes on and /,
    );
    full = false;
    log.append(train(5));
    await log.close();
    expect(readFileSync(path, 'utf8')).toBe(lines(1, 2, 3, 4, 5));
    expect(problems).toHaveLength(2);
  });

  it('counts what was lost when the disk never comes back', async () => {
    let broken = false;
    const fileSystem = faultyFileSystem((operation) => (broken && operation === 'write' ? 'EIO' : undefined));
    const log = await openMetricsLog(folder, { onProblem, fileSystem });
    broken = true;
    log.append(train(1));
    log.append(train(2));
    await log.close();
    expect(problems.filter((line) => line.endsWith(': 2 records were lost'))).toHaveLength(2);
  });
});
