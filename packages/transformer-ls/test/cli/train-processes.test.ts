// `train --processes N`, and the same under torchrun: what a user sees, and what is left when one of the processes is gone.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { distributedBackends } from '@transformer-ls/torch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ended, type Program, untilItTrains } from './program.js';
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

const start = (...args: string[]) => cli.start(['train', ...args]);

const inFolder = (...path: string[]) => join(cli.folder, ...path);

describe.skipIf(!distributedBackends().gloo)('train --processes', () => {
  it('trains in two, writes one run, and goes on in one', async () => {
    const two = await cli.run([
      'train',
      ...smallTraining,
      '--steps',
      '6',
      '--processes',
      '2',
      '--out',
      'two',
    ]);
    expect(two, two.error).toMatchObject({ code: 0 });
    expect(two.out).toContain('2 processes: until 6 steps');
    expect(readdirSync(inFolder('two/checkpoints'))).toContain('step-00000006');
    const steps = readFileSync(inFolder('two/metrics.jsonl'), 'utf8').match(/"type":"train"/g);
    expect(steps).toHaveLength(6);
    const one = await cli.run(['train', '--resume', 'two', '--steps', '8']);
    expect(one, one.error).toMatchObject({ code: 0 });
    expect(one.out).toContain('until 8 steps, from step 6');
  });

  it('refuses in one line what cannot be divided, and to start processes under another launcher', async () => {
    const three = await cli.run(['train', ...smallTraining, '--processes', '3', '--out', 'three']);
    expect(three).toMatchObject({
      code: 2,
      error:
        'transformer-ls train: batchSize: 4 lanes cannot be divided among 3 processes; take a multiple of 3\n',
    });
    expect(existsSync(inFolder('three'))).toBe(false);
    const child = spawn(process.execPath, [cli.main, 'train', ...smallTraining, '--processes', '2'], {
      cwd: cli.folder,
      env: { ...process.env, RANK: '0', WORLD_SIZE: '2' },
    });
    expect(await ended(child)).toMatchObject({
      code: 2,
      error:
        'transformer-ls train: --processes starts them itself, but this one was started as rank 0 of 2\n',
    });
  });

  it('when one of them is killed, at any moment, all end and the message names it', async () => {
    const rank = Math.floor(2 * Math.random());
    const child = start(
      ...smallTraining,
      '--max-time',
      '1h',
      '--processes',
      '2',
      '--out',
      'killed',
      '--json',
    );
    const end = ended(child);
    await untilItTrains(child);
    const pids = processesOf(child.pid!);
    expect([...pids.keys()].sort()).toEqual([0, 1]);
    await wait(Math.random() * 500);
    const started = performance.now();
    process.kill(pids.get(rank)!, 'SIGKILL');
    const { code, error } = await end;
    expect(code).toBe(1);
    expect(error).toMatch(
      new RegExp(
        `^transformer-ls train: rank ${rank} \\(process ${pids.get(rank)}\\) was ended by SIGKILL .*; all 2 processes have ended; .*; continue with: npx transformer-ls train --resume killed --data-folder data --processes 2 --json\n$`,
      ),
    );
    expect(performance.now() - started).toBeLessThan(30_000);
    for (const pid of pids.values()) expect(existsSync(`/proc/${pid}/status`)).toBe(false);
    // What was saved is whole: two go on where they stopped.
    const again = await cli.run(['train', '--resume', 'killed', '--max-time', '1s', '--processes', '2']);
    expect(again, again.error).toMatchObject({ code: 0 });
  });

  it('Ctrl-C saves once and ends all', async () => {
    const child = start(
      ...smallTraining,
      '--max-time',
      '1h',
      '--processes',
      '2',
      '--out',
      'stopped',
      '--json',
    );
    const end = ended(child);
    await untilItTrains(child);
    const pids = processesOf(child.pid!);
    child.kill('SIGINT');
    const { code, out } = await end;
    expect(code).toBe(130);
    expect(out).toMatch(
      /stopped, saved step [\d,]+; continue with: npx transformer-ls train --resume stopped --data-folder data --processes 2 --json/,
    );
    expect(existsSync(inFolder('stopped/lock'))).toBe(false);
    for (const pid of pids.values()) expect(existsSync(`/proc/${pid}/status`)).toBe(false);
  });
});

it.skipIf(torchrun === undefined || !distributedBackends().gloo)(
  `torchrun 2.x starts the same processes unchanged${cannotRunTorchrun}`,
  async () => {
    const child = spawn(
      torchrun!,
      [
        ...['--no-python', '--nproc-per-node', '2', process.execPath, cli.main, 'train'],
        ...[...smallTraining, '--steps', '6', '--out', 'torchrun'],
      ],
      { cwd: cli.folder },
    );
    const { code, out, error } = await ended(child);
    expect(code, error).toBe(0);
    expect(out.match(/2 processes: until 6 steps/g)).toHaveLength(1);
    expect(out.match(/^done: 6 steps/gm)).toHaveLength(1);
    expect(readdirSync(inFolder('torchrun/checkpoints'))).toContain('step-00000006');
  },
);
