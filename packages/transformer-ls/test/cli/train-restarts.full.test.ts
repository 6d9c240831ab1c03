// Processes of a training killed or suspended at random moments, from their start to their end, under what starts them again: the run ends
// as one that nobody has disturbed.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { distributedBackends } from '@transformer-ls/torch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { syntheticBytes } from '../../src/data/synthetic.js';
import { expectTheSame } from './finished-run.js';
import { type Program, program } from './program.js';
import { isThere, Restarting, type Strike } from './random-kills.js';
import { cannotRunTorchrun, smallTraining, torchrun } from './train-processes.js';

const STEPS = 600;
const STRIKES = Number(process.env.TLS_STRIKES ?? 8);
/** Every fourth process is suspended, the others are killed. */
const signalOf = (strike: number): Strike['signal'] => (strike % 4 === 3 ? 'SIGSTOP' : 'SIGKILL');
/** Some strikes meet the start, some a step, some a checkpoint. */
const LONGEST_PAUSE_MS = 6000;
const TIMEOUT_SECONDS = 5;

let cli: Program;
beforeAll(async () => {
  cli = program();
  writeFileSync(
    join(cli.folder, 'text.txt'),
    syntheticBytes('pattern', { bytes: 30_000, seed: 1, distance: 100 }),
  );
  if (!distributedBackends().gloo) return;
  const { code, error } = await cli.run(['train', ...training, '--processes', '2', '--out', 'undisturbed']);
  expect(code, error).toBe(0);
});
afterAll(() => cli.remove());

const training = [...smallTraining, '--set', 'schedule.name=constant', '--steps', String(STEPS)];

/** For bash: begins the run in $1, or goes on with it; further words are flags. */
function trainOrResume(): string {
  const quoted = training.map((word) => `'${word}'`).join(' ');
  return (
    'run=$1; shift; ' +
    `if [ -e "$run/config.json" ]; then set -- --resume "$run" --steps ${STEPS} "$@"; ` +
    `else set -- ${quoted} --out "$run" "$@"; fi; ` +
    `"${process.execPath}" "${cli.main}" train "$@" --rank-timeout ${TIMEOUT_SECONDS}s`
  );
}

async function disturb(restarting: Restarting): Promise<Strike[]> {
  const strikes: Strike[] = [];
  const seen = new Set<number>();
  while (strikes.length < STRIKES && !restarting.hasEnded) {
    await wait(LONGEST_PAUSE_MS * Math.random());
    for (const { pid } of restarting.victims()) seen.add(pid);
    const strike = await restarting.strike(signalOf(strikes.length));
    if (strike !== null) strikes.push(strike);
  }
  expect(await restarting.ended, restarting.printed).toBe(0);
  for (const pid of seen) expect(isThere(pid)).toBe(false);
  return strikes;
}

/** Processes that were ended from outside are named by the command that started them. */
function expectNames(strikes: readonly Strike[]): void {
  for (const { victim, signal, printed } of strikes) {
    if (!victim.isWorker) continue;
    const who = `rank ${victim.rank} \\(process ${victim.pid}\\)`;
    const killed = `${who} was ended by SIGKILL`;
    const suspended = `${who} did (not answer for|nothing for more than) ${TIMEOUT_SECONDS} s`;
    // One that was refused the run, which others still held, had nothing to say.
    if (printed.includes('has been using this run since')) continue;
    expect(printed).toMatch(new RegExp(signal === 'SIGKILL' ? killed : `${suspended}|${killed}`));
  }
}

const table = (strikes: readonly Strike[]) =>
  strikes.map(
    ({ victim, signal }) => `${signal} ${victim.isWorker ? 'rank' : 'command of rank'} ${victim.rank}`,
  );

describe.skipIf(!distributedBackends().gloo)('struck at random', () => {
  it('a loop of the shell around --processes 2 comes to the same end', async () => {
    const loop = `tries=0; until bash -c '${trainOrResume().replaceAll("'", `'\\''`)}' - looped --processes 2; do tries=$((tries + 1)); [ $tries -lt 100 ] || exit 1; done`;
    const strikes = await disturb(new Restarting('bash', ['-c', loop], cli.folder));
    console.log(`the shell: ${table(strikes).join(', ')}`);
    expectNames(strikes);
    expectTheSame(join(cli.folder, 'looped'), join(cli.folder, 'undisturbed'), STEPS);
  });

  it.skipIf(torchrun === undefined)(
    `torchrun --max-restarts comes to the same end${cannotRunTorchrun}`,
    async () => {
      const strikes = await disturb(
        new Restarting(
          torchrun!,
          [
            ...['--no-python', '--nproc-per-node', '2', '--max-restarts', '100'],
            ...[
              'bash',
              '-c',
              `${trainOrResume().replace(/"[^"]*" "[^"]*main\.js"/, 'exec $&')}`,
              '-',
              'elastic',
            ],
          ],
          cli.folder,
        ),
      );
      console.log(`torchrun: ${table(strikes).join(', ')}`);
      expectNames(strikes);
      expectTheSame(join(cli.folder, 'elastic'), join(cli.folder, 'undisturbed'), STEPS);
    },
  );
});
