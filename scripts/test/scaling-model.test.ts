// The formulae of the model of many processes, beside counting and simulating by hand.
import { expect, it } from 'vitest';
import {
  bestSeconds,
  dividesBatch,
  halvingSeconds,
  overlappedSeconds,
  pairsSeconds,
  ringSeconds,
  stepSeconds,
  strongEfficiency,
  treeSeconds,
  twoLevelSeconds,
  weakEfficiency,
} from '../../benches/scaling-model.formulas.mjs';
import { quickRun, tableRows } from './run-bench.js';

const network = { bandwidth: 100, latency: 0.5 };

/** Rounds of a ring, one after the other: in each every process sends one share of the bytes on. */
function countedRing(processes: number, bytes: number): number {
  let seconds = 0;
  for (let round = 0; round < 2 * (processes - 1); round++)
    seconds += bytes / processes / network.bandwidth + network.latency;
  return seconds;
}

it.each([1, 2, 3, 8, 1000])('a ring of %s', (processes) => {
  expect(ringSeconds(processes, 240, network)).toBeCloseTo(countedRing(processes, 240), 9);
});

it('halving sends as many bytes in fewer messages; trees send all bytes twice', () => {
  const free = { bandwidth: 100, latency: 0 };
  expect(halvingSeconds(64, 240, free)).toBeCloseTo(ringSeconds(64, 240, free), 9);
  expect(halvingSeconds(64, 0, network)).toBeCloseTo(2 * 6 * 0.5, 9);
  expect(halvingSeconds(65, 0, network)).toBeCloseTo(2 * 7 * 0.5, 9);
  expect(treeSeconds(64, 240, network)).toBeCloseTo((2 * 240) / 100 + 2 * 6 * 0.5, 9);
  expect([ringSeconds, halvingSeconds, treeSeconds].map((of) => of(1, 240, network))).toEqual([0, 0, 0]);
});

it('pairs need a message for each doubling, and two for strays', () => {
  expect([1, 2, 8, 9, 1024].map((processes) => pairsSeconds(processes, 0, network))).toEqual([
    0, 0.5, 1.5, 2.5, 5,
  ]);
});

it('the faster one is taken: rings for many bytes, trees for few', () => {
  expect(bestSeconds(64, 1e6, network)).toBe(ringSeconds(64, 1e6, network));
  expect(bestSeconds(64, 10, network)).toBe(treeSeconds(64, 10, network));
});

it('machines of several: shares within, between, within again', () => {
  const [inside, between] = [{ bandwidth: 1000, latency: 0 }, network];
  const two = twoLevelSeconds(16, 800, { perMachine: 8, inside, between });
  expect(two).toBeCloseTo((2 * 7 * 100) / 1000 + ringSeconds(2, 100, between), 9);
  expect(twoLevelSeconds(4, 800, { perMachine: 8, inside, between })).toBe(ringSeconds(4, 800, inside));
});

it('sums hide behind backward as far as they can', () => {
  // The last bucket is ready when backward is over.
  expect(overlappedSeconds(10, 5, 1)).toBe(11);
  // Slow sums: from the first bucket on one after the other.
  expect(overlappedSeconds(10, 5, 3)).toBe(2 + 5 * 3);
  expect(overlappedSeconds(10, 1, 3)).toBe(13);
  expect(overlappedSeconds(10, 5, 0)).toBe(10);
});

it('a step is its computation, what of the sums does not hide, and two small exchanges', () => {
  const work = { forward: 5, backward: 10, update: 1 };
  const gradients = { bytes: 50, bucketBytes: 10 };
  const allReduce = (_processes: number, bytes: number) => bytes / 10;
  const smallSum = () => 0.25;
  expect(stepSeconds(1, work, gradients, allReduce, { smallSum })).toBe(16);
  expect(stepSeconds(4, work, gradients, allReduce, { smallSum })).toBe(5 + 11 + 1 + 0.5);
  expect(stepSeconds(4, work, gradients, allReduce, { smallSum, overlap: false })).toBe(5 + 15 + 1 + 0.5);
});

it('efficiency, and what can be divided', () => {
  expect(weakEfficiency(10, 12.5)).toBe(0.8);
  expect(strongEfficiency(80, 8, 12.5)).toBe(0.8);
  expect([8, 32, 64].map((processes) => dividesBatch(32, processes))).toEqual([true, true, false]);
  expect([64, 128].map((processes) => dividesBatch(128, processes, 2))).toEqual([true, false]);
});

it('the table has a row for each recipe and a column for each number of processes', () => {
  const { status, stderr, report } = quickRun('scaling-model');
  expect(status, stderr).toBe(0);
  const [costs] = tableRows(report);
  expect(costs!.slice(0, 2)).toEqual(['lra/listops', '249,418']);
  expect(report.match(/weak, 64/g)).toHaveLength(3);
});
