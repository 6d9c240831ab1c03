// Several processes that hang, and torchrun when one is killed: long, since somebody has to wait in vain.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { distributedBackends } from '@transformer-ls/torch';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { GRACE_SECONDS } from '../../src/cli/train-crew.js';
import { ended, type Program } from './program.js';
import { descendants } from './random-kills.js';
import {
  cannotRunTorchrun,
  processesOf,
  programWithText,
  smallTraining,
  torchrun,
} from './train-processes.js';

let cli: Program;
beforeAll(() => {
  cli = programWithText();
});
afterAll(() => cli.remove());

const hasGloo = distributedBackends().gloo;
/** A port of this machine that nobody listens on. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

const untilSaved = async (run: string) => {
  while (!existsSync(join(cli.folder, run, 'checkpoints'))) await wait(100);
  await wait(300);
};

it.skipIf(!hasGloo)(
  'when one of them hangs, all end in the time that was set, and the message names it',
  async () => {
    const timeout = 5;
    const child = cli.start([
      ...['train', ...smallTraining, '--max-time', '1h', '--processes', '2'],
      ...['--rank-timeout', `${timeout}s`, '--out', 'hung', '--json'],
    ]);
    const end = ended(child);
    await untilSaved('hung');
    const pids = processesOf(child.pid!);
    const started = performance.now();
    process.kill(pids.get(1)!, 'SIGSTOP');
    const { code, error } = await end;
    expect(code).toBe(1);
    expect(error).toMatch(
      new RegExp(
        `rank 1 \\(process ${pids.get(1)}\\) did not answer for ${timeout} s and was ended; all 2 processes`,
      ),
    );
    expect((performance.now() - started) / 1000).toBeLessThan(timeout + GRACE_SECONDS + 20);
    for (const pid of pids.values()) expect(existsSync(`/proc/${pid}/status`)).toBe(false);
  },
);

it.skipIf(!hasGloo)(
  'when one hangs before the first step, for whose work the others wait, all end too',
  async () => {
    const timeout = 5;
    const args = ['--processes', '2', '--rank-timeout', `${timeout}s`, '--out', 'early', '--json'];
    const child = cli.start(['train', ...smallTraining, '--max-time', '1h', ...args]);
    const end = ended(child);
    while (processesOf(child.pid!).size < 2) await wait(5);
    await wait(1500 * Math.random());
    const pid = processesOf(child.pid!).get(0)!;
    process.kill(pid, 'SIGSTOP');
    const { code, error } = await end;
    expect(code).toBe(1);
    expect(error).toMatch(
      new RegExp(`rank 0 \\(process ${pid}\\) did (not answer|nothing) for .* ended; all 2 processes`),
    );
  },
);

it.skipIf(!hasGloo)('of three that launchers have started the others say which one hangs', async () => {
  const port = await freePort();
  const args = [
    ...smallTraining,
    '--batch',
    '6',
    '--max-time',
    '1h',
    '--rank-timeout',
    '5s',
    '--out',
    'three',
  ];
  const children = [0, 1, 2].map((rank) =>
    spawn(process.execPath, [cli.main, 'train', ...args], {
      cwd: cli.folder,
      env: {
        ...{ ...process.env, RANK: String(rank), WORLD_SIZE: '3', LOCAL_RANK: String(rank) },
        ...{ LOCAL_WORLD_SIZE: '3', MASTER_ADDR: '127.0.0.1', MASTER_PORT: String(port) },
      },
    }),
  );
  const ends = children.map(ended);
  await untilSaved('three');
  const [worker] = descendants(children[1]!.pid!).filter(({ isWorker }) => isWorker);
  process.kill(worker!.pid, 'SIGSTOP');
  const errors = (await Promise.all(ends)).map(({ error }) => error);
  expect(errors[1]).toContain(`rank 1 (process ${worker!.pid}) did nothing for more than 5 s`);
  // Who gives up last may find a connection broken that the other has given up.
  expect(errors.join('')).toMatch(
    /rank [02] of 3, .*: no answer from another process within 5 s; missing: rank 1$/m,
  );
});

it.skipIf(!hasGloo)('killed again and again at random moments, the run goes on and ends', async () => {
  const args = ['--max-time', '1h', '--processes', '2', '--json'];
  for (let round = 0; round < 5; round++) {
    const first = round === 0 ? [...smallTraining, '--out', 'often'] : ['--resume', 'often'];
    const child = cli.start(['train', ...first, ...args]);
    const end = ended(child);
    await untilSaved('often');
    while (processesOf(child.pid!).size < 2) await wait(20);
    await wait(Math.random() * 3000);
    const pids = [...processesOf(child.pid!)];
    const [rank, pid] = pids[Math.floor(pids.length * Math.random())]!;
    process.kill(pid, 'SIGKILL');
    const { code, error } = await end;
    expect(code).toBe(1);
    expect(error).toContain(`rank ${rank} (process ${pid}) was ended by SIGKILL`);
  }
  const last = await cli.run(['train', '--resume', 'often', '--max-time', '1s']);
  expect(last, last.error).toMatchObject({ code: 0 });
});

it.skipIf(torchrun === undefined || !hasGloo)(
  `torchrun ends all when one is killed, and starts them again where it may${cannotRunTorchrun}`,
  async () => {
    const child = spawn(
      torchrun!,
      [
        ...['--no-python', '--nproc-per-node', '2', '--max-restarts', '1', 'bash', '-c'],
        // Started again, the run is there already: go on with it.
        `if [ -e again/config.json ]; then set -- --resume again; else set -- ${smallTraining.join(' ')} --out again; fi; ` +
          `exec "${process.execPath}" "${cli.main}" train "$@" --steps 400`,
      ],
      { cwd: cli.folder },
    );
    const end = ended(child);
    await untilSaved('again');
    const commands = [...processesOf(child.pid!)];
    expect(commands).toHaveLength(2);
    process.kill(commands[1]![1], 'SIGKILL');
    const { code, out, error } = await end;
    expect(code, error).toBe(0);
    expect(out).toMatch(/^done: 400 steps/m);
  },
);
