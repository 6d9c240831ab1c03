import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NewMetrics } from '@transformer-ls/formats';
import { describe, expect, it } from 'vitest';
import { MetricsSamples, type TailedRun } from '../../src/dashboard/metrics-samples.js';
import { LARGEST_MESSAGE, newsAfter, type TailPlace } from '../../src/dashboard/metrics-tail.js';
import { measuredRecords } from '../../src/dashboard/run-metrics.js';
import { scratchFolder } from '../data/scratch-folder.js';
import { append, evaluated, linesOf, steps, trained, write, writeRun } from './small-runs.js';

/** A reader that keeps its place, as a client does. */
class Reader {
  private readonly samples = new MetricsSamples();
  hasMore = false;

  constructor(
    private readonly run: TailedRun,
    public place: TailPlace | undefined,
  ) {}

  async next(): Promise<NewMetrics | undefined> {
    const { metrics, place, hasMore } = await newsAfter(this.run, this.place, this.samples);
    this.place = place;
    this.hasMore = hasMore;
    return metrics === undefined ? undefined : (JSON.parse(metrics) as NewMetrics);
  }
}

const stepsOf = (metrics: NewMetrics | undefined) => metrics?.records.map(({ step }) => step);

function replaceMetrics(folder: string, text: string): void {
  writeFileSync(join(folder, 'new'), text);
  renameSync(join(folder, 'new'), join(folder, 'metrics.jsonl'));
}

describe('all records of a run', () => {
  it('are thinned where there are very many, but no evaluation and no event is left out', async () => {
    const count = 30_000;
    const all = steps(1, count).flatMap((record) =>
      record.step % 100 === 0 ? [record, evaluated(record.step, 2, false)] : [record],
    );
    const event = { type: 'event', step: 77, event: 'skipped', message: 'x' } as const;
    const run = writeRun(join(scratchFolder(), 'a'), [...all, event]);
    const { records, place } = await measuredRecords(join(run, 'metrics.jsonl'));
    const kept = records.filter(({ type }) => type === 'train');
    expect(kept.length).toBeGreaterThan(2000);
    expect(kept.length).toBeLessThan(5000);
    expect(kept[0]?.step).toBe(1);
    expect(kept.at(-1)?.step).toBe(count);
    expect(records.filter(({ type }) => type === 'evaluation')).toHaveLength(count / 100);
    expect(records.at(-1)).toEqual(event);
    const order = records.slice(0, -1).map(({ step }) => step);
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(place.offset).toBe(linesOf([...all, event]).length);
  });

  it('end with the last complete line, and leave out what is no record', async () => {
    const run = writeRun(join(scratchFolder(), 'a'));
    const bad = `{"type":"train","step":-1}\nnonsense\n${'x'.repeat(1e6)}\n`;
    const text = linesOf(steps(1, 2)) + bad;
    write(join(run, 'metrics.jsonl'), `${text}{"type":"tr`);
    const { records, place } = await measuredRecords(join(run, 'metrics.jsonl'));
    expect(records).toEqual(steps(1, 2));
    expect(place.offset).toBe(text.length);
    expect((await measuredRecords(join(run, 'none.jsonl'))).records).toEqual([]);
  });

  it('keep an answer small for a file made of nothing but evaluations', async () => {
    const run = writeRun(join(scratchFolder(), 'a'), []);
    write(join(run, 'metrics.jsonl'), linesOf([evaluated(1, 2, false)]).repeat(100_000));
    const { records } = await measuredRecords(join(run, 'metrics.jsonl'));
    expect(records.length).toBeLessThanOrEqual(20_001);
  });
});

describe('a sample', () => {
  it('of a file made of long records is as small as one of short ones', async () => {
    const run = writeRun(join(scratchFolder(), 'a'), []);
    const long = { type: 'event', step: 1, event: 'x', message: 'y'.repeat(60_000) } as const;
    for (let part = 0; part < 10; part++) append(run, Array(100).fill(long));
    append(run, [evaluated(2, 3, true)]);
    const { records } = await measuredRecords(join(run, 'metrics.jsonl'));
    expect(JSON.stringify(records).length).toBeLessThan(9e6);
    expect(records.length).toBeGreaterThan(50);
    expect(records.at(-1)).toEqual(evaluated(2, 3, true));
  });

  it('is made once for all who ask while the file stays as it is, and anew when it does not', async () => {
    const folder = writeRun(join(scratchFolder(), 'a'), steps(1, 3));
    const samples = new MetricsSamples();
    const run = { id: 'a', folder };
    const [one, two] = await Promise.all([samples.of(run), samples.of(run)]);
    expect(one).toBe(two);
    expect(await samples.of(run)).toBe(one);
    append(folder, [trained(4)]);
    expect(await samples.of(run, 1000)).toBe(one);
    const grown = await samples.of(run);
    expect(JSON.parse(grown.records)).toEqual(steps(1, 4));
    replaceMetrics(folder, linesOf([...steps(1, 3), trained(5)]));
    expect(JSON.parse((await samples.of(run, 1000)).records)).toEqual([...steps(1, 3), trained(5)]);
  });
});

describe('the tail of a run', () => {
  it('gives new records once, and no half lines', async () => {
    const folder = writeRun(join(scratchFolder(), 'a'), steps(1, 3));
    const end = linesOf(steps(1, 3)).length;
    const tail = new Reader({ id: 'a', folder }, { offset: end, identity: undefined });
    expect(await tail.next()).toBeUndefined();
    append(folder, steps(4, 5));
    expect(await tail.next()).toEqual({ id: 'a', records: steps(4, 5) });
    expect(await tail.next()).toBeUndefined();
    const line = linesOf([trained(6)]);
    writeFileSync(join(folder, 'metrics.jsonl'), line.slice(0, 20), { flag: 'a' });
    expect(await tail.next()).toBeUndefined();
    writeFileSync(join(folder, 'metrics.jsonl'), `${line.slice(20)}nonsense\n`, { flag: 'a' });
    expect(stepsOf(await tail.next())).toEqual([6]);
    expect(tail.place?.offset).toBe(linesOf(steps(1, 6)).length + 9);
  });

  it('begins shortly before the end where nobody says from where', async () => {
    const folder = writeRun(join(scratchFolder(), 'a'), steps(1, 2000));
    const tail = new Reader({ id: 'a', folder }, undefined);
    const found = stepsOf(await tail.next())!;
    expect(found.at(-1)).toBe(2000);
    expect(found.length).toBeGreaterThan(100);
    expect(found.length).toBeLessThan(1000);
    expect(found).toEqual(steps(found[0]!, 2000).map(({ step }) => step));
  });

  it('starts anew where a resumed run has cut the file back, or where very much is new', async () => {
    const folder = writeRun(join(scratchFolder(), 'a'), steps(1, 10));
    const tail = new Reader({ id: 'a', folder }, { offset: 0, identity: undefined });
    expect(stepsOf(await tail.next())).toHaveLength(10);
    // Longer than before: only the file itself tells that it is another one.
    replaceMetrics(folder, linesOf([...steps(1, 6), ...steps(7, 20)]));
    expect(await tail.next()).toEqual({ id: 'a', records: steps(1, 20), anew: true });
    expect(await tail.next()).toBeUndefined();
    writeFileSync(join(folder, 'metrics.jsonl'), linesOf(steps(1, 4)));
    expect(await tail.next()).toEqual({ id: 'a', records: steps(1, 4), anew: true });
    append(folder, steps(5, 20_000));
    const much = await tail.next();
    expect(much?.anew).toBe(true);
    expect(much?.records.length).toBeLessThan(5000);
    append(folder, [trained(20_001)]);
    expect(await tail.next()).toEqual({ id: 'a', records: [trained(20_001)] });
  });

  it('comes in pieces of which none is large, with every record once', async () => {
    const folder = writeRun(join(scratchFolder(), 'a'), steps(1, 3000));
    const tail = new Reader({ id: 'a', folder }, { offset: 0, identity: undefined });
    const found: (number | undefined)[] = [];
    for (let pieces = 1; ; pieces++) {
      const metrics = await tail.next();
      expect(JSON.stringify(metrics).length).toBeLessThan(LARGEST_MESSAGE * 1.5);
      found.push(...stepsOf(metrics)!);
      if (tail.hasMore) continue;
      expect(pieces).toBeGreaterThan(2);
      break;
    }
    expect(found).toEqual(steps(1, 3000).map(({ step }) => step));
  });

  it('goes on behind a line that is longer than a piece', async () => {
    const folder = writeRun(join(scratchFolder(), 'a'), []);
    write(join(folder, 'metrics.jsonl'), `${'x'.repeat(3 * LARGEST_MESSAGE)}\n${linesOf(steps(1, 2))}`);
    const tail = new Reader({ id: 'a', folder }, { offset: 0, identity: undefined });
    const found = [];
    do found.push(...((await tail.next())?.records ?? []));
    while (tail.hasMore);
    expect(found).toEqual(steps(1, 2));
  });

  it('waits for a file that is not there yet', async () => {
    const folder = scratchFolder();
    const tail = new Reader({ id: 'a', folder }, undefined);
    expect(await tail.next()).toBeUndefined();
    write(join(folder, 'metrics.jsonl'), linesOf(steps(1, 2)));
    expect(stepsOf(await tail.next())).toEqual([1, 2]);
  });
});
