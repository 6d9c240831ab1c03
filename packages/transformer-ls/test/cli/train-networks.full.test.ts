// A training over two networks whose cable is cut: both ends stop in time and say why, and the run goes on when it is mended.
import type { ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { distributedBackends } from '@transformer-ls/torch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cannotMakeNetworks, INTERFACE, TwoNetworks } from '../../../../benches/networks.parts.mjs';
import { GRACE_SECONDS } from '../../src/cli/train-crew.js';
import { syntheticBytes } from '../../src/data/synthetic.js';
import { expectTheSame } from './finished-run.js';
import { type Ended, ended, type Program, program } from './program.js';
import { descendants } from './random-kills.js';
import { smallTraining } from './train-processes.js';

const why = cannotMakeNetworks();
const TIMEOUT_SECONDS = 5;
const ENDLESS = 1_000_000;
/** Beyond what is promised, for a machine that has other things to do. */
const SLACK_SECONDS = 60;
const training = [...smallTraining, '--set', 'schedule.name=constant'];

let cli: Program;
let networks: TwoNetworks;
let port = 29_500;
beforeAll(() => {
  cli = program();
  writeFileSync(
    join(cli.folder, 'text.txt'),
    syntheticBytes('pattern', { bytes: 30_000, seed: 1, distance: 100 }),
  );
  if (why === '') networks = new TwoNetworks();
});
afterAll(() => {
  networks?.remove();
  cli.remove();
});

/** Starts the same command on both machines, with torch's variables. */
function startBoth(...args: string[]): ChildProcess[] {
  port += 1;
  return [0, 1].map((rank) =>
    networks.start(rank, process.execPath, [cli.main, 'train', ...args], {
      cwd: cli.folder,
      env: {
        ...{ RANK: String(rank), WORLD_SIZE: '2', LOCAL_RANK: '0', LOCAL_WORLD_SIZE: '1' },
        ...{ MASTER_ADDR: networks.addresses[0], MASTER_PORT: String(port), GLOO_SOCKET_IFNAME: INTERFACE },
      },
    }),
  );
}

const limits = ['--rank-timeout', `${TIMEOUT_SECONDS}s`];

/** Both ends, and the seconds until they had ended, from now on. */
async function bothEnd(children: readonly ChildProcess[], ends: Promise<Ended>[]) {
  const began = performance.now();
  const seconds = children.map(() => Number.POSITIVE_INFINITY);
  await Promise.all(
    ends.map(async (end, rank) => {
      await end;
      seconds[rank] = (performance.now() - began) / 1000;
    }),
  );
  return { seconds, ends: await Promise.all(ends) };
}

const newestStep = (run: string) =>
  Math.max(
    ...readdirSync(join(cli.folder, run, 'checkpoints')).map((name) => Number(/\d{8}/.exec(name)?.[0])),
  );

describe.skipIf(why !== '' || !distributedBackends().gloo)(
  `two networks${why === '' ? '' : ` (skipped: ${why})`}`,
  () => {
    it.each(['down', 'silent'] as const)(
      'a cable that is cut (%s) while they train ends both in time; mended, the run goes on as if nothing had been',
      async (how) => {
        const children = startBoth(...training, ...limits, '--steps', String(ENDLESS), '--out', how);
        const endings = children.map(ended);
        while (!existsSync(join(cli.folder, how, 'checkpoints'))) await wait(50);
        await wait(1000 * Math.random());
        networks.cut(how);
        const { seconds, ends } = await bothEnd(children, endings);
        networks.mend(how);
        console.log(`${how}: ended after ${seconds.map((one) => one.toFixed(1)).join(' and ')} s`);
        for (const [rank, { code, error }] of ends.entries()) {
          expect(code).toBe(1);
          const nobody = `no answer from another process within ${TIMEOUT_SECONDS} s; missing: rank ${1 - rank}`;
          expect(error).toMatch(
            new RegExp(`^transformer-ls train: rank ${rank} of 2, [a-z -]+: ${nobody}$`, 'm'),
          );
        }
        expect(Math.max(...seconds)).toBeLessThan(TIMEOUT_SECONDS + GRACE_SECONDS + SLACK_SECONDS);
        // Some steps more, then beside a run that nobody has cut.
        const last = newestStep(how) + 20;
        const again = startBoth('--resume', how, ...limits, '--steps', String(last));
        for (const end of await Promise.all(again.map(ended))) expect(end.code, end.error).toBe(0);
        const undisturbed = await cli.run([
          ...['train', ...training, '--steps', String(last)],
          ...['--processes', '2', '--out', `${how} undisturbed`],
        ]);
        expect(undisturbed, undisturbed.error).toMatchObject({ code: 0 });
        expectTheSame(join(cli.folder, how), join(cli.folder, `${how} undisturbed`), last);
      },
    );

    it('a cable that is cut from the beginning: both say that they could not meet', async () => {
      networks.cut('silent');
      const children = startBoth(...training, ...limits, '--steps', '5', '--out', 'apart');
      const { seconds, ends } = await bothEnd(children, children.map(ended));
      networks.mend('silent');
      console.log(`never met: ended after ${seconds.map((one) => one.toFixed(1)).join(' and ')} s`);
      for (const { code, error } of ends) {
        expect(code).toBe(1);
        expect(error).toMatch(
          /^transformer-ls train: (joining 2 processes as rank 0|meeting at [\d.:]+): no answer .*; missing: rank [01]$/m,
        );
      }
      expect(Math.max(...seconds)).toBeLessThan(TIMEOUT_SECONDS + GRACE_SECONDS + SLACK_SECONDS);
      expect(existsSync(join(cli.folder, 'apart'))).toBe(false);
    });

    it('a process that is killed: its own command names it, the other side the address', async () => {
      const children = startBoth(...training, ...limits, '--steps', String(ENDLESS), '--out', 'killed');
      const endings = children.map(ended);
      while (!existsSync(join(cli.folder, 'killed', 'checkpoints'))) await wait(50);
      const worker = descendants(children[1]!.pid!).find(({ isWorker }) => isWorker)!.pid;
      process.kill(worker, 'SIGKILL');
      const { ends } = await bothEnd(children, endings);
      expect(ends[0]!.error).toContain(
        `the connection to a process at ${networks.addresses[1]} broke; it has ended`,
      );
      expect(ends[1]!.error).toContain(`rank 1 (process ${worker}) was ended by SIGKILL`);
    });

    it('a process that is suspended ends both, though nobody sees both', async () => {
      const children = startBoth(...training, ...limits, '--steps', String(ENDLESS), '--out', 'suspended');
      const endings = children.map(ended);
      while (!existsSync(join(cli.folder, 'suspended', 'checkpoints'))) await wait(50);
      const worker = descendants(children[1]!.pid!).find(({ isWorker }) => isWorker)!.pid;
      process.kill(worker, 'SIGSTOP');
      const { seconds, ends } = await bothEnd(children, endings);
      console.log(`suspended: ended after ${seconds.map((one) => one.toFixed(1)).join(' and ')} s`);
      expect(ends[0]!.error).toMatch(/^transformer-ls train: rank 0 of 2, .*missing: rank 1$/m);
      expect(ends[1]!.error).toContain(
        `rank 1 (process ${worker}) did nothing for more than ${TIMEOUT_SECONDS} s, suspended or hung, and was ended`,
      );
      expect(Math.max(...seconds)).toBeLessThan(TIMEOUT_SECONDS + 2 * GRACE_SECONDS + SLACK_SECONDS);
    });
  },
);
