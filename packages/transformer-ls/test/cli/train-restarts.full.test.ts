// Processes of a training killed or suspended at random moments, from their start to their end, under what starts them again: the run ends
// as one that nobody has disturbed.
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { distributedBackends } from '@transformer-ls/torch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { syntheticBytes } from '../../src/data/synthetic.js';
import { expectTheSame } from './finished-run.js';
import { type Program, program } from './program.js';
import { isThere, Restarting, type Strike } from './random-kills.js';
import { cannotRunTorchrun, smallTraining, torchrun } from './train-processes.js';

/** Until the last strike but one the run has no end; then it gets one that is this far away. */
const ENDLESS = 1_000_000;
const LAST_STEPS = 300;
const STRIKES = Number(process.env.TLS_STRIKES ?? 8);
/** Every fourth process is suspended, the others are killed. */
const signalOf = (strike: number): Strike['signal'] => (strike % 4 === 3 ? 'SIGSTOP' : 'SIGKILL');
/** Some strikes meet the start, some a step, some a checkpoint. */
const LONGEST_PAUSE_MS = 5000;
const TIMEOUT_SECONDS = 5;

let cli: Program;
beforeAll(() => {
  cli = program();
  writeFileSync(
    join(cli.folder, 'text.txt'),
    syntheticBytes('pattern', { bytes: 30_000, seed: 1, distance: 100 }),
  );
  writeFileSync(join(cli.folder, 'steps'), String(ENDLESS));
});
afterAll(() => cli.remove());

const training = [...smallTraining, '--set', 'schedule.name=constant'];

/** For bash: begins the run in $1, or goes on with it, to the step that the file says; further words are flags. */
function trainOrResume(): string {
  const quoted = training.map((word) => `'${word}'`).join(' ');
  return (
    'run=$1; shift; ' +
    `if [ -e "$run/config.json" ]; then set -- --resume "$run" "$@"; else set -- ${quoted} --out "$run" "$@"; fi; ` +
    `"${process.execPath}" "${cli.main}" train "$@" --steps $(cat steps) --rank-timeout ${TIMEOUT_SECONDS}s`
  );
}

async function disturb(run: string, restarting: Restarting): Promise<Strike[]> {
  const strikes: Strike[] = [];
  const seen = new Set<number>();
  writeFileSync(join(cli.folder, 'steps'), String(ENDLESS));
  while (strikes.length < STRIKES) {
    await wait(LONGEST_PAUSE_MS * Math.random());
    // Its end is near only when there is something to go on with.
    if (strikes.length === STRIKES - 1) {
      while (newestStep(run) === 0) await wait(100);
      writeFileSync(join(cli.folder, 'steps'), String(newestStep(run) + LAST_STEPS));
    }
    for (const { pid } of restarting.victims()) seen.add(pid);
    const strike = await restarting.strike(signalOf(strikes.length));
    if (strike !== null) strikes.push(strike);
    else expect(restarting.hasEnded, restarting.printed).toBe(false);
  }
  expect(await restarting.ended, restarting.printed).toBe(0);
  for (const pid of seen) expect(isThere(pid)).toBe(false);
  return strikes;
}

/** 0 where there is no checkpoint yet. */
function newestStep(run: string): number {
  const folder = join(cli.folder, run, 'checkpoints');
  if (!existsSync(folder)) return 0;
  return Math.max(0, ...readdirSync(folder).map((name) => Number(/^step-(\d{8})$/.exec(name)?.[1] ?? 0)));
}

/** Beside a run to the same step that nobody has disturbed. */
async function expectUndisturbed(run: string): Promise<number> {
  const last = newestStep(run);
  const [straight, steps] = [`${run} undisturbed`, String(last)];
  const { code, error } = await cli.run([
    ...['train', ...training, '--steps', steps, '--processes', '2', '--out', straight],
  ]);
  expect(code, error).toBe(0);
  expectTheSame(join(cli.folder, run), join(cli.folder, straight), last);
  return last;
}

/** Processes that were ended from outside are named by the command that started them, unless all was about to end already. */
function expectNames(strikes: readonly Strike[]): void {
  for (const { victim, signal, wasDoomed, printed } of strikes) {
    if (!victim.isWorker || wasDoomed) continue;
    const who = `rank ${victim.rank} \\(process ${victim.pid}\\)`;
    const killed = `${who} was ended by SIGKILL`;
    // By its own command, or by the other rank where torchrun has ended that command in the meantime.
    const suspended = `${who} did (not answer for|nothing for more than) ${TIMEOUT_SECONDS} s|missing: rank ${victim.rank}`;
    // One that was refused the run, which others still held, had nothing to say.
    if (printed.includes('has been using this run since')) continue;
    expect(printed).toMatch(new RegExp(signal === 'SIGKILL' ? killed : `${suspended}|${killed}`));
  }
}

function report(how: string, strikes: readonly Strike[], last: number): void {
  const list = strikes.map(({ victim: { rank = 'all', isWorker }, signal }) => {
    return `${signal} ${isWorker ? 'rank' : 'the command of rank'} ${rank}`;
  });
  console.log(`${how}, ${last} steps: ${list.join(', ')}`);
}

describe.skipIf(!distributedBackends().gloo)('struck at random', () => {
  it('a loop of the shell around --processes 2 comes to the same end', async () => {
    const script = trainOrResume().replaceAll("'", `'\\''`);
    const loop = `tries=0; until bash -c '${script}' - looped --processes 2; do tries=$((tries + 1)); [ $tries -lt 1000 ] || exit 1; done`;
    const strikes = await disturb('looped', new Restarting('bash', ['-c', loop], cli.folder));
    expectNames(strikes);
    report('a loop of the shell', strikes, await expectUndisturbed('looped'));
  });

  it.skipIf(torchrun === undefined)(
    `torchrun --max-restarts comes to the same end${cannotRunTorchrun}`,
    async () => {
      // torchrun waits for the process that it has started: that must be the command itself.
      const script = trainOrResume().replace(`"${process.execPath}"`, 'exec $&');
      const args = ['--no-python', '--nproc-per-node', '2', '--max-restarts', '1000'];
      const strikes = await disturb(
        'elastic',
        new Restarting(torchrun!, [...args, 'bash', '-c', script, '-', 'elastic'], cli.folder),
      );
      expectNames(strikes);
      report('torchrun', strikes, await expectUndisturbed('elastic'));
    },
  );
});
