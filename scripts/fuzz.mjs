/**
 * Feeds parsers with damaged files, guided by the code that they reach:
 *
 *   npm run fuzz                                          lists the targets
 *   npm run fuzz -- <target | all> [--minutes 1] [--seed 1]
 *
 * Inputs that reach new code stay in fuzz/corpus/<target>, which `npm test` runs again; what breaks a promise goes to fuzz/findings and
 * makes the exit code 1. docs/fuzzing.md says more.
 */
import { fork } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { TARGETS } from '../fuzz/targets.mjs';

const here = fileURLToPath(new URL('./fuzz/', import.meta.url));
const findings = fileURLToPath(new URL('../fuzz/findings/', import.meta.url));
/** Megabytes of JavaScript objects that a parser may need. */
const MOST_HEAP = 512;
/** Silence of a batch of inputs after which the last one is taken to hang. */
const HANG_MS = 30_000;
/** Silence of a process that has not run any input yet: loading takes long on a busy machine. */
const SLOWEST_START_MS = 300_000;

/** @returns {Promise<number>} how many findings */
async function fuzz(name, milliseconds, seed) {
  const running = join(findings, `${name}.running`);
  const worker = fork(join(here, 'worker.mjs'), [name, String(seed), findings], {
    execArgv: ['--import', join(here, 'register-typescript.mjs'), `--max-old-space-size=${MOST_HEAP}`],
  });
  let found = 0;
  const report = (path, what) => {
    found += 1;
    console.log(`${name}: ${path}\n${what.slice(0, 1500)}\n`);
  };
  const begun = performance.now();
  let last = { alive: 0, kept: 0, covered: 0 };
  let ended = false;
  let stop;
  let hang;
  const watch = (milliseconds) => {
    clearTimeout(hang);
    hang = setTimeout(() => worker.kill('SIGKILL'), milliseconds);
  };
  watch(SLOWEST_START_MS);
  worker.on('message', (message) => {
    watch(HANG_MS);
    // The time counts from here: loading and the first look at the corpus can take long on a busy machine.
    if (message.started !== undefined)
      stop = setTimeout(() => {
        ended = true;
        worker.kill('SIGKILL');
      }, milliseconds);
    if (message.finding !== undefined) report(message.finding, message.what);
    else if (message.covered !== undefined) last = message;
  });
  const code = await new Promise((resolve) => worker.once('exit', (code, signal) => resolve(signal ?? code)));
  clearTimeout(stop);
  clearTimeout(hang);
  if (!existsSync(running)) throw new Error(`fuzz: the process of ${name} did not start (${code})`);
  if (!ended) {
    const path = join(findings, `${name}-ended`);
    const noted = readFileSync(running);
    writeFileSync(path, noted.subarray(4, 4 + noted.readUInt32LE(0)));
    report(path, `the process ended with ${code}: a hang, too much memory or a crash`);
  }
  rmSync(running, { force: true });
  const seconds = (performance.now() - begun) / 1000;
  console.log(
    `${name}: ${last.alive} inputs in ${seconds.toFixed(0)} s, ${last.kept} kept, ${last.covered} characters of source reached, ${found} finding(s)`,
  );
  return found;
}

/** @param {string[]} args @returns {Promise<number>} exit code */
async function main(args) {
  const names = Object.keys(TARGETS);
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { minutes: { type: 'string', default: '1' }, seed: { type: 'string', default: '1' } },
  });
  const [name] = positionals;
  if (name === undefined) {
    console.log(`usage: npm run fuzz -- <target | all> [--minutes 1] [--seed 1]\n\n  ${names.join('\n  ')}`);
    return 0;
  }
  const minutes = Number(values.minutes);
  const seed = Number(values.seed);
  if (!(minutes > 0) || !Number.isSafeInteger(seed))
    throw new Error(
      `fuzz: expected --minutes above 0 and a whole --seed, received ${values.minutes} and ${values.seed}`,
    );
  if (name !== 'all' && !names.includes(name))
    throw new Error(`fuzz: expected all or one of ${names.join(', ')}, received ${name}`);
  mkdirSync(findings, { recursive: true });
  const chosen = name === 'all' ? names : [name];
  let found = 0;
  for (const one of chosen) found += await fuzz(one, (minutes * 60_000) / chosen.length, seed);
  return found === 0 ? 0 : 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
