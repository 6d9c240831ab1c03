// Whose fault it was that a training of several processes ended.
import { expect, it } from 'vitest';
import { type Fate, faultOf } from '../../src/cli/train-failure.js';

const fate = (
  rank: number,
  end: Partial<Fate['end']>,
  failed?: Partial<NonNullable<Fate['failed']>>,
): Fate => ({
  rank,
  pid: 100 + rank,
  end: { code: null, signal: null, wasEnded: false, wasIdle: false, ...end },
  failed:
    failed === undefined
      ? undefined
      : {
          type: 'failed',
          name: 'DistributedError',
          message: `rank ${rank} of 3: broken`,
          isUsage: false,
          ...failed,
        },
});
const good = (rank: number) => fate(rank, { code: 0 });
const gone = (rank: number) => fate(rank, { code: 1 }, { reason: 'gone' });
const waitedInVain = (rank: number) => fate(rank, { code: 1 }, { reason: 'timeout' });
const wasEnded = (rank: number) => fate(rank, { signal: 'SIGKILL', wasEnded: true });

const wasIdle = (rank: number) => fate(rank, { signal: 'SIGKILL', wasIdle: true });

const cases: [what: string, fates: Fate[], message: string | undefined][] = [
  ['none', [good(0), good(1)], undefined],
  [
    'one was killed, the others noticed',
    [gone(0), fate(1, { signal: 'SIGKILL' }), wasEnded(2)],
    'rank 1 (process 101) was ended by SIGKILL (the system does this when memory runs out)',
  ],
  ['one ended by itself', [gone(0), fate(1, { code: 7 })], 'rank 1 (process 101) ended with code 7'],
  [
    'one failed by itself, the others noticed',
    [gone(0), fate(1, { code: 1 }, { name: 'DataError', message: 'the data have changed' }), wasEnded(2)],
    'rank 1: the data have changed',
  ],
  [
    'one hung, the others waited in vain',
    [waitedInVain(0), waitedInVain(1), wasEnded(2)],
    'rank 2 (process 102) did not answer for 30 s and was ended',
  ],
  [
    'one was suspended, and its own launcher noticed',
    [gone(0), wasIdle(1)],
    'rank 1 (process 101) did nothing for more than 30 s, suspended or hung, and was ended',
  ],
  ['nobody knows', [waitedInVain(0), waitedInVain(1)], 'rank 0 of 3: broken'],
  [
    'a process alone that died',
    [fate(0, { signal: 'SIGSEGV' })],
    'the training process was ended by SIGSEGV',
  ],
  [
    'a process alone that failed',
    [fate(0, { code: 1 }, { name: 'TrainingError', message: '3 updates in a row were not finite' })],
    '3 updates in a row were not finite',
  ],
];

it('names the rank where the others are of other machines', () => {
  const [killed] = [fate(3, { signal: 'SIGKILL' })];
  expect(faultOf([killed], 30, { isOneOfSeveral: true })?.message).toMatch(
    /^rank 3 \(process 103\) was ended by SIGKILL/,
  );
});

it.each(cases)('%s', (_, fates, message) => {
  expect(faultOf(fates, 30)?.message).toBe(message);
});
