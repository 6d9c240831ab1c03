// Processes that work together: what comes of each collective against plain sums, and what is said where one is gone.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { distributedBackends, membershipFrom } from '../src/index.js';
import { startRanks } from './programs/ranks.js';
import { transpiledSources } from './programs/transpile.js';

let sources: ReturnType<typeof transpiledSources>;
beforeAll(() => {
  sources = transpiledSources();
});
afterAll(() => sources.remove());

/** Runs a scenario of collectives.mjs to its end. */
async function run(world: number, ...scenario: string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'torch-ranks-'));
  try {
    const env = { OMP_NUM_THREADS: '1' };
    return await startRanks('collectives.mjs', [sources.index, ...scenario], { world, folder, env }).ended;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function runWell<Said>(world: number, ...scenario: string[]): Promise<Said[][]> {
  const ends = await run(world, ...scenario);
  for (const end of ends) expect([end.code, end.signal], end.error).toEqual([0, null]);
  return ends.map(({ said }) => said as Said[]);
}

interface Collected {
  readonly dtype: string;
  readonly count: number;
  readonly reduced: number[];
  readonly spread: number[];
  readonly all: number[][];
  readonly got: number[];
}

interface Summed {
  readonly gradients: number[][];
  readonly unused: null;
  readonly lonely: number[];
  readonly early: number;
  readonly count: number;
}

const element = (of: number, i: number) => ((of + 1) * (i + 3)) % 17;

describe.skipIf(!distributedBackends().gloo)('processes over Gloo', () => {
  it.each([2, 3])(
    '%s: all-reduce, broadcast, all-gather, send and receive give what plain sums give',
    async (world) => {
      const said = await runWell<Collected>(world, 'sums');
      for (const [rank, cases] of said.entries()) {
        expect(cases).toHaveLength(20);
        for (const { dtype, count, reduced, spread, all, got } of cases) {
          const values = (of: number) => Array.from({ length: count }, (_, i) => element(of, i));
          const rows = Array.from({ length: world }, (_, of) => values(of));
          const what = `rank ${rank}, ${dtype}, ${count}`;
          expect(reduced, what).toEqual(rows[0]!.map((_, i) => rows.reduce((sum, row) => sum + row[i]!, 0)));
          expect(spread, what).toEqual(rows[world - 1]);
          expect(all, what).toEqual(rows);
          expect(got, what).toEqual(rows[(rank + world - 1) % world]);
        }
      }
    },
  );

  it('sums of float32 are the same bits in every process and every time', async () => {
    const said = await runWell<{ sums: string[] }>(3, 'bits');
    const sums = said.flatMap(([only]) => only!.sums);
    expect(sums).toHaveLength(9);
    expect(new Set(sums).size).toBe(1);
  });

  it('texts go through the store, and waiting for them blocks nobody', async () => {
    const said = await runWell(2, 'store');
    for (const [only] of said) expect(only).toEqual({ greeting: 'naïve 你好 "quoted"', missing: null });
  });

  it('a process that does not answer is noticed in time, in one line', async () => {
    const [first] = await run(2, 'silent');
    expect(first!.said[0]).toMatchObject({
      name: 'DistributedError',
      message: 'rank 0 of 2, all-reduce: no answer from another process within 1.5 s',
      reason: 'timeout',
    });
    expect((first!.said[0] as { seconds: number }).seconds).toBeLessThan(10);
  });

  it('one wait may be shorter than the timeout of the group', async () => {
    const [first] = await run(2, 'impatient');
    expect([first!.code, first!.signal], first!.error).toEqual([0, null]);
    expect(first!.said).toEqual([
      { isDone: false },
      expect.objectContaining({
        message: 'rank 0 of 2, all-reduce: no answer from another process within 0.5 s',
      }),
    ]);
  });

  it('a process that is killed is noticed at once, in one line', async () => {
    const [first, second] = await run(2, 'gone');
    expect(second!.signal).toBe('SIGKILL');
    expect(first!.said[0]).toMatchObject({
      name: 'DistributedError',
      message: 'rank 0 of 2, all-reduce: the connection to another process broke; it has ended',
      reason: 'gone',
    });
    expect((first!.said[0] as { seconds: number }).seconds).toBeLessThan(20);
  });

  it('what cannot be done is refused in one line', async () => {
    const [said] = await runWell<{ message: string }>(2, 'refusals');
    expect(said!.map(({ message }) => message)).toEqual([
      'rank 0 of 2, broadcast: expected a rank below 2, received 2',
      'rank 0 of 2, all-reduce: expected a contiguous tensor',
      expect.stringMatching(/^rank 0 of 2, barrier: expected an open process group, received number -1$/),
    ]);
  });

  it.each([
    ['during backward', ['overlap'], 2],
    ['after it', [], 2],
    ['where one process alone uses a parameter', ['overlap', 'lonely'], 1],
  ])('gradients in buckets, %s: the sums of all processes; who has none gets none', async (_, how, users) => {
    const world = 2;
    const [[expected], said] = await Promise.all([
      runWell<Summed>(1, 'expected-buckets', String(world)),
      runWell<Summed>(world, 'buckets', ...how),
    ]);
    for (const steps of said)
      for (const [step, { gradients, unused, lonely, early, count }] of steps.entries()) {
        expect(unused).toBeNull();
        expect(lonely).toEqual([users, users]);
        expect(count).toBeGreaterThanOrEqual(3);
        // The first pass shows in which order gradients come. The last bucket has one that never comes: it stays until the end.
        if (users === world) expect(early).toBe(how.includes('overlap') && step > 0 ? count - 1 : 0);
        const [got, wanted] = [gradients.flat(), expected![step]!.gradients.flat()];
        for (const [i, value] of got.entries()) expect(value).toBeCloseTo(wanted[i]!, 14);
      }
    const sums = said.map((steps) => steps.map(({ gradients }) => gradients));
    expect(sums[0]).toEqual(sums[1]);
  });
});

describe('torch’s variables', () => {
  const ok = { RANK: '1', WORLD_SIZE: '4', LOCAL_RANK: '1', LOCAL_WORLD_SIZE: '2' };

  it('say which process this is', () => {
    expect(membershipFrom({})).toBeNull();
    expect(membershipFrom(ok)).toEqual({ rank: 1, world: 4, localRank: 1, localWorld: 2 });
    // An operator of Kubernetes starts one for each machine, and need not say so.
    expect(membershipFrom({ RANK: '0', WORLD_SIZE: '2' })).toEqual({
      rank: 0,
      world: 2,
      localRank: 0,
      localWorld: 1,
    });
  });

  it.each([
    [{ RANK: '0' }, 'WORLD_SIZE is not set, but RANK or WORLD_SIZE is: the processes cannot meet'],
    [{ ...ok, RANK: '4' }, 'RANK: expected a whole number from 0 to 3, received "4"'],
    [{ ...ok, WORLD_SIZE: 'two' }, 'WORLD_SIZE: expected a whole number from 1 to 65536, received "two"'],
    [{ ...ok, LOCAL_RANK: '-1' }, 'LOCAL_RANK: expected a whole number from 0 to 3, received "-1"'],
  ])('are refused in one line: %j', (env, message) => {
    expect(() => membershipFrom(env)).toThrow(message);
  });
});
