import { EventEmitter } from 'node:events';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { EventHub } from '../../src/dashboard/event-hub.js';
import { placesOfId } from '../../src/dashboard/event-state.js';
import { MetricsSamples } from '../../src/dashboard/metrics-samples.js';
import { RunCatalogue } from '../../src/dashboard/run-catalogue.js';
import { scratchFolder } from '../data/scratch-folder.js';
import { append, steps, trained, writeRun } from './small-runs.js';

/** A connection that takes what it likes. */
class Sink extends EventEmitter {
  /** While false, all that is written waits. */
  takes = true;
  writableLength = 0;
  ended: 'end' | 'destroy' | undefined;
  readonly written: Buffer[] = [];

  write(bytes: Buffer): boolean {
    this.written.push(bytes);
    if (!this.takes) this.writableLength += bytes.length;
    this.emit('written');
    return this.takes;
  }

  end(): void {
    this.ended = 'end';
    this.emit('written');
  }

  destroy(): void {
    this.ended = 'destroy';
    this.emit('written');
  }

  drain(): void {
    this.takes = true;
    this.writableLength = 0;
    this.emit('drain');
  }

  get text(): string {
    return Buffer.concat(this.written).toString();
  }

  /** Steps of all records, in the order in which they came. */
  get steps(): number[] {
    const datas = [...this.text.matchAll(/^event: metrics\nid: .*\ndata: (.*)$/gm)];
    return datas.flatMap(([, data]) =>
      (JSON.parse(data!).records as { step: number }[]).map(({ step }) => step),
    );
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise((resolve) => this.once('written', resolve));
  }
}

const leaving: (() => void)[] = [];
afterEach(() => {
  for (const leave of leaving.splice(0)) leave();
});

function hubOf(changes: object = {}) {
  const root = scratchFolder();
  const folder = writeRun(join(root, 'a'), steps(1, 3));
  const timing = { pollMs: 5, eventRestRatio: 0, heartbeatMs: 20, streamMs: 1e9, ...changes };
  const hub = new EventHub(
    new RunCatalogue(root, { freshMs: 0, restRatio: 0 }),
    new MetricsSamples(),
    timing,
  );
  const open = (ids = ['a'], places = ids.map(() => undefined as { offset: number } | undefined)) => {
    const sink = new Sink();
    const runs = ids.map((id) => ({ id, folder: join(root, id) }));
    const starts = places.map((place) => place && { identity: undefined, ...place });
    const leave = hub.open(sink, runs, starts);
    leaving.push(leave);
    return { sink, leave };
  };
  return { root, folder, hub, open };
}

describe('clients of live events', () => {
  it('get records and the list at first, then what is new, and a sign of life in silence', async () => {
    const { folder, open } = hubOf();
    const { sink } = open();
    await sink.until(() => sink.text.includes('event: runs'));
    // On a busy machine signs of life may come first.
    const said = sink.text.replaceAll(': still here\n\n', '');
    expect(said).toMatch(/^retry: \d+\n\nevent: metrics\nid: .*\ndata: .*\n\nevent: runs\nid: /);
    expect(sink.steps).toEqual([1, 2, 3]);
    await sink.until(() => sink.text.endsWith(': still here\n\n'));
    append(folder, [trained(4)]);
    await sink.until(() => sink.steps.includes(4));
    const ids = [...sink.text.matchAll(/^id: (.*)$/gm)].map(([, id]) => id);
    const again = open(['a'], placesOfId(ids.at(-1), 1)!).sink;
    append(folder, [trained(5)]);
    await again.until(() => again.steps.length > 0);
    expect(again.steps).toEqual([5]);
  });

  it('at the same place are sent the same bytes, which exist once', async () => {
    const { folder, open } = hubOf();
    const sinks = Array.from({ length: 5 }, () => open().sink);
    await Promise.all(sinks.map((sink) => sink.until(() => sink.steps.length === 3)));
    append(folder, [trained(4)]);
    await Promise.all(sinks.map((sink) => sink.until(() => sink.steps.includes(4))));
    const [first, ...others] = sinks.map(({ written }) =>
      written.find((bytes) => bytes.includes('"step":4')),
    );
    for (const bytes of others) expect(bytes).toBe(first);
  });

  it('that take nothing hold one message and keep nobody waiting; later they get all of it', async () => {
    const { folder, open } = hubOf();
    const slow = open().sink;
    const quick = open().sink;
    await slow.until(() => slow.steps.length === 3);
    slow.takes = false;
    append(folder, [trained(4)]);
    await slow.until(() => slow.writableLength > 0);
    const held = slow.written.length;
    for (let step = 5; step < 40; step++) {
      append(folder, [trained(step)]);
      await quick.until(() => quick.steps.includes(step));
    }
    expect(slow.written.length).toBe(held);
    slow.drain();
    await slow.until(() => slow.steps.includes(39));
    expect(slow.steps).toEqual(steps(1, 39).map(({ step }) => step));
  });

  it('that are far behind catch up without waiting for the next round', async () => {
    const { folder, open } = hubOf({ pollMs: 1e6 });
    append(folder, steps(4, 3000));
    const { sink } = open(['a'], [{ offset: 0 }]);
    await sink.until(() => sink.steps.includes(3000));
    expect(sink.steps).toEqual(steps(1, 3000).map(({ step }) => step));
  });

  it('get news of each of their runs, however busy one is', async () => {
    const { root, folder, open } = hubOf();
    const quiet = writeRun(join(root, 'b'), []);
    const { sink } = open(['a', 'b']);
    await sink.until(() => sink.steps.length === 3);
    append(folder, steps(4, 2000));
    append(quiet, [trained(7777)]);
    await sink.until(() => sink.steps.includes(7777) && sink.steps.includes(2000));
  });

  it('are looked after by one round at a time, also where the last leaves during one and another comes', async () => {
    const { open } = hubOf({ pollMs: 2, heartbeatMs: 0 });
    for (let i = 0; i < 40; i++) {
      const { sink, leave } = open();
      await sink.until(() => sink.written.length > 3);
      // In the midst of a round: heartbeats are its last words.
      leave();
    }
    const { sink } = open();
    await sink.until(() => sink.steps.length === 3);
    const count = sink.written.length;
    const began = performance.now();
    await sink.until(() => sink.written.length > count + 20);
    expect((performance.now() - began) / 20).toBeGreaterThan(1);
  });

  it('leave nothing behind, and are ended when their time is over', async () => {
    const { hub, open } = hubOf({ streamMs: 30 });
    const living = open().sink;
    const stalled = open().sink;
    await stalled.until(() => stalled.steps.length === 3);
    stalled.takes = false;
    stalled.write(Buffer.from('x'));
    await Promise.all([living, stalled].map((sink) => sink.until(() => sink.ended !== undefined)));
    expect([living.ended, stalled.ended]).toEqual(['end', 'destroy']);
    expect(hub.size).toBe(0);
    const { leave } = open();
    leave();
    leave();
    expect(hub.size).toBe(0);
  });
});

describe('the id of an event', () => {
  it('is taken back, and no other', () => {
    expect(placesOfId('12-34,5-', 2)).toEqual([
      { offset: 12, identity: '34' },
      { offset: 5, identity: '' },
    ]);
    for (const id of ['12-34', '', '1-2,3-4,5-6', '-1-2,3-4', '1e9-2,3-4', 'a,b', '9'.repeat(20)])
      expect(placesOfId(id, 2)).toBeUndefined();
    expect(placesOfId(undefined, 0)).toEqual([]);
  });
});
