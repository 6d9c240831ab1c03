import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NewMetrics } from '@transformer-ls/formats';
import { describe, expect, it } from 'vitest';
import { EventFeed, placesOfFeedId } from '../../src/dashboard/event-feed.js';
import { MetricsTail } from '../../src/dashboard/metrics-tail.js';
import { RunCatalogue } from '../../src/dashboard/run-catalogue.js';
import { measuredRecords } from '../../src/dashboard/run-metrics.js';
import { scratchFolder } from '../data/scratch-folder.js';
import { append, evaluated, linesOf, steps, trained, write, writeRun } from './small-runs.js';

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

describe('the tail of a run', () => {
  it('gives new records once, and no half lines', async () => {
    const folder = writeRun(join(scratchFolder(), 'a'), steps(1, 3));
    const end = linesOf(steps(1, 3)).length;
    const tail = new MetricsTail({ id: 'a', folder }, { offset: end, identity: undefined });
    expect(await tail.next()).toBeUndefined();
    append(folder, steps(4, 5));
    expect(await tail.next()).toEqual({ id: 'a', records: steps(4, 5) });
    expect(await tail.next()).toBeUndefined();
    const line = linesOf([trained(6)]);
    writeFileSync(join(folder, 'metrics.jsonl'), line.slice(0, 20), { flag: 'a' });
    expect(await tail.next()).toBeUndefined();
    writeFileSync(join(folder, 'metrics.jsonl'), `${line.slice(20)}nonsense\n`, { flag: 'a' });
    expect(stepsOf(await tail.next())).toEqual([6]);
    expect(tail.place.offset).toBe(linesOf(steps(1, 6)).length + 9);
  });

  it('begins shortly before the end where nobody says from where', async () => {
    const folder = writeRun(join(scratchFolder(), 'a'), steps(1, 2000));
    const tail = new MetricsTail({ id: 'a', folder }, undefined);
    const found = stepsOf(await tail.next())!;
    expect(found.at(-1)).toBe(2000);
    expect(found.length).toBeGreaterThan(100);
    expect(found.length).toBeLessThan(1000);
    expect(found).toEqual(steps(found[0]!, 2000).map(({ step }) => step));
  });

  it('starts anew where a resumed run has cut the file back, or where very much is new', async () => {
    const folder = writeRun(join(scratchFolder(), 'a'), steps(1, 10));
    const tail = new MetricsTail({ id: 'a', folder }, { offset: 0, identity: undefined });
    expect(stepsOf(await tail.next())).toHaveLength(10);
    // Longer than before: only the file itself tells that it is another one.
    replaceMetrics(folder, linesOf([...steps(1, 6), ...steps(7, 20)]));
    expect(await tail.next()).toEqual({ id: 'a', records: steps(1, 20), anew: true });
    writeFileSync(join(folder, 'metrics.jsonl'), linesOf(steps(1, 4)));
    expect(await tail.next()).toEqual({ id: 'a', records: steps(1, 4), anew: true });
    append(folder, steps(5, 20_000));
    const much = await tail.next();
    expect(much?.anew).toBe(true);
    expect(much?.records.length).toBeLessThan(5000);
    append(folder, [trained(20_001)]);
    expect(await tail.next()).toEqual({ id: 'a', records: [trained(20_001)] });
  });

  it('waits for a file that is not there yet', async () => {
    const folder = scratchFolder();
    const tail = new MetricsTail({ id: 'a', folder }, undefined);
    expect(await tail.next()).toBeUndefined();
    write(join(folder, 'metrics.jsonl'), linesOf(steps(1, 2)));
    expect(stepsOf(await tail.next())).toEqual([1, 2]);
  });
});

describe('an event feed', () => {
  const pace = { freshMs: 0, restRatio: 0 };
  const timing = { pollMs: 5, heartbeatMs: 20 };
  const parts = (text: string | undefined) =>
    Object.fromEntries(
      (text ?? '')
        .trim()
        .split('\n')
        .map((line) => line.split(/: (.*)/s).slice(0, 2)),
    );

  it('begins with records and the list, goes on with what is new, and breathes in silence', async () => {
    const root = scratchFolder();
    const folder = writeRun(join(root, 'a'), steps(1, 3));
    const feed = new EventFeed(
      [new MetricsTail({ id: 'a', folder }, undefined)],
      new RunCatalogue(root, pace),
      timing,
    );
    expect(await feed.next()).toMatch(/^retry: \d+\n\n$/);
    const first = parts(await feed.next());
    expect(first.event).toBe('metrics');
    expect(JSON.parse(first.data)).toEqual({ id: 'a', records: steps(1, 3) });
    const list = parts(await feed.next());
    expect(list.event).toBe('runs');
    expect(JSON.parse(list.data).runs[0].step).toBe(3);
    expect(await feed.next()).toBe(': still here\n\n');
    append(folder, [trained(4)]);
    const next = parts(await feed.next());
    expect(JSON.parse(next.data).records).toEqual([trained(4)]);
    const places = placesOfFeedId(next.id, 1)!;
    const again = new MetricsTail({ id: 'a', folder }, places[0]);
    expect(await again.next()).toBeUndefined();
    expect(again.place).toEqual({ ...places[0] });
    feed.end();
    await feed.next();
    expect(await feed.next()).toBeUndefined();
  });

  it('serves each of its runs, however busy one is', async () => {
    const root = scratchFolder();
    const [a, b] = ['a', 'b'].map((id) => ({ id, folder: writeRun(join(root, id), steps(1, 1)) }));
    const tails = [a!, b!].map((run) => new MetricsTail(run, undefined));
    const feed = new EventFeed(tails, new RunCatalogue(root, pace), timing);
    await feed.next();
    const seen = new Set<string>();
    for (let step = 2; step < 4; step++) {
      append(a!.folder, [trained(step)]);
      append(b!.folder, [trained(step)]);
      seen.add(JSON.parse(parts(await feed.next()).data).id);
    }
    expect(seen).toEqual(new Set(['a', 'b']));
    feed.end();
  });

  it('takes back its own ids only', () => {
    expect(placesOfFeedId('12-34,5-', 2)).toEqual([
      { offset: 12, identity: '34' },
      { offset: 5, identity: '' },
    ]);
    for (const id of ['12-34', '', '1-2,3-4,5-6', '-1-2,3-4', '1e9-2,3-4', 'a,b', '9'.repeat(20)])
      expect(placesOfFeedId(id, 2)).toBeUndefined();
    expect(placesOfFeedId(undefined, 0)).toEqual([]);
  });
});
