// A process that computes, one that does not, and one that is gone.
import { expect, it } from 'vitest';
import { IdleClock, processorTicks } from '../../src/cli/idle-process.js';

it('counts looks at which a process had used no more time', () => {
  const ticks = new Map<number, number | null>([
    [1, 5],
    [2, 5],
  ]);
  const clock = new IdleClock((pid) => ticks.get(pid) ?? null);
  const looks = () => [clock.look(1), clock.look(2)];
  expect(looks()).toEqual([0, 0]);
  ticks.set(1, 6);
  expect(looks()).toEqual([0, 1]);
  expect(looks()).toEqual([1, 2]);
  ticks.set(2, 7);
  expect(looks()).toEqual([2, 0]);
  ticks.set(1, null);
  expect(looks()).toEqual([0, 1]);
});

it.skipIf(process.platform !== 'linux')('reads the time that a process has used', () => {
  const before = processorTicks(process.pid)!;
  while (processorTicks(process.pid)! <= before) Math.sqrt(Math.random());
  expect(processorTicks(process.pid)).toBeGreaterThan(before);
  expect(processorTicks(2 ** 22 + 1)).toBeNull();
});
