/**
 * Builds, checks and times the CUDA kernels of attention in one call, on a machine with a GPU, nvcc and a libtorch with CUDA. Needs no
 * network: compiled TypeScript (`npm run build`) and node_modules/node-api-headers have to be there.
 *
 *   node scripts/cuda.mjs --out folder [--only check|time|sanitize]
 *
 * Writes check.txt, times.txt, times.json and, where compute-sanitizer is found, sanitizer.txt. Which libtorch: as everywhere,
 * TORCH_PYTHON or LIBTORCH; which compiler: TLS_NVCC, CUDACXX, or nvcc on the path.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createWriteStream, mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildNative } from '../packages/torch/scripts/build-native.mjs';
import {
  describeMachine,
  explainNoLibtorch,
  findLibtorch,
  findNvcc,
} from '../packages/torch/scripts/toolchain.mjs';

const parts = join(dirname(fileURLToPath(import.meta.url)), 'cuda');
const steps = ['check', 'time', 'sanitize'];

function readArguments() {
  const { values } = parseArgs({ options: { out: { type: 'string' }, only: { type: 'string' } } });
  if (values.out === undefined) throw new Error('check:cuda: expected --out folder');
  if (values.only !== undefined && !steps.includes(values.only))
    throw new Error(`check:cuda: expected --only ${steps.join('|')}, received ${values.only}`);
  return { out: values.out, wanted: values.only === undefined ? steps : [values.only] };
}

/** What is missing, all of it in one line. */
function findParts() {
  const { chosen, candidates } = findLibtorch();
  const missing = [];
  if (describeMachine().gpus.length === 0) missing.push('no GPU');
  if (chosen === null) missing.push(explainNoLibtorch(candidates));
  else if (chosen.cuda === null)
    missing.push(`the libtorch of ${chosen.origin} (${chosen.libDir}) has no CUDA`);
  else {
    const nvcc = findNvcc(chosen);
    if (!nvcc.found) missing.push(nvcc.reason);
  }
  if (missing.length > 0) throw new Error(`check:cuda: ${missing.join('; ')}`);
  return chosen;
}

/** Runs a program, its output here and in a file; resolves with its exit code. */
function tee(command, args, file) {
  const log = createWriteStream(file);
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (bytes) => {
      process.stdout.write(bytes);
      log.write(bytes);
    });
  return new Promise((done, fail) => {
    child.on('error', fail);
    child.on('close', (code) => log.end(() => done(code ?? 1)));
  });
}

/** Memory, then threads that meet at barriers; of our kernels alone, the others are not ours to check. */
async function sanitize(out) {
  const found = spawnSync('compute-sanitizer', ['--version']);
  if (found.error) {
    console.log('compute-sanitizer is not there: left out');
    return 0;
  }
  const args = ['--error-exitcode', '9', '--kernel-name', 'kernel_substring=tls3gpu', '--tool'];
  const check = [process.execPath, join(parts, 'check.mjs'), '--few'];
  const memory = await tee('compute-sanitizer', [...args, 'memcheck', ...check], join(out, 'memcheck.txt'));
  return memory !== 0
    ? memory
    : tee('compute-sanitizer', [...args, 'racecheck', ...check], join(out, 'racecheck.txt'));
}

async function main() {
  const { out, wanted } = readArguments();
  const libtorch = findParts();
  mkdirSync(out, { recursive: true });
  const { key, seconds } = await buildNative({ libtorch, jobs: availableParallelism(), log: console.log });
  console.log(`${key}: built in ${seconds.toFixed(0)} s`);
  let failed = 0;
  for (const step of wanted) {
    const run = (name, ...args) =>
      tee(process.execPath, [join(parts, `${name}.mjs`), ...args], join(out, `${name}.txt`));
    const code =
      step === 'sanitize'
        ? await sanitize(out)
        : await run(step, ...(step === 'time' ? [join(out, 'times.json')] : []));
    if (code !== 0) failed = 1;
    // Times of wrong results say nothing.
    if (step === 'check' && code !== 0) break;
  }
  process.exitCode = failed;
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
