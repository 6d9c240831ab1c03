// Several processes that hang, and torchrun when one is killed: long, since somebody has to wait in vain.
import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { distributedBackends } from '@transformer-ls/torch';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { GRACE_SECONDS } from '../../src/cli/train-crew.js';
import { syntheticBytes } from '../../src/data/synthetic.js';
import { ended, type Program, program } from './program.js';
import { cannotRunTorchrun, processesOf, smallTraining, torchrun } from './train-processes.js';

let cli: Program;
beforeAll(() => {
  cli = program();
  writeFileSync(
    join(cli.folder, 'text.txt'),
    syntheticBytes('pattern', { bytes: 30_000, seed: 1, distance: 100 }),
  );
});
afterAll(() => cli.remove());

const hasGloo = distributedBackends().gloo;
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
        `if [ -e again ]; then set -- --resume again; else set -- ${smallTraining.join(' ')} --out again; fi; ` +
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
