/** `transformer-ls build`: compiles the native bridge of an installed package against the libtorch that is found. */
import { availableParallelism, totalmem } from 'node:os';
import { buildNative } from '@transformer-ls/torch/build';
import {
  buildRoot,
  chooseAddon,
  explainMissing,
  findBlas,
  findLibtorch,
  type Libtorch,
} from '@transformer-ls/torch/toolchain';
import { Command } from 'commander';
import { exitCodes } from './errors.js';
import { wholeNumber } from './flags.js';

interface BuildFlags {
  readonly jobs?: number;
  readonly json?: boolean;
}

/** What one compiler takes of libtorch's headers, at most. */
const BYTES_A_JOB = 2 * 2 ** 30;

const EXAMPLES = `
The bridge is compiled once for each libtorch, into ${buildRoot}
(TLS_BUILD_FOLDER names another folder). Looked for, in this order: LIBTORCH, TORCH_PYTHON, an activated Python environment, Debian's
libtorch-dev, the python3 on the path.

Examples:
  transformer-ls build
  transformer-ls build --jobs 1
  LIBTORCH=/opt/libtorch transformer-ls build
  TORCH_PYTHON=venv/bin/python transformer-ls build`;

export function buildCommand(): Command {
  return new Command('build')
    .description('Compile the native bridge against libtorch. Exported models run without it.')
    .option(
      '--jobs <n>',
      'compilers at a time (default: as many as cores and memory allow)',
      wholeNumber({ min: 1 }),
    )
    .option('--json', 'print what was built as JSON')
    .addHelpText('after', EXAMPLES)
    .action(runBuild);
}

async function runBuild({ jobs = jobsHere(), json }: BuildFlags): Promise<void> {
  const search = findLibtorch();
  const missing = explainMissing(search);
  if (search.chosen === null || missing.length > 0) {
    for (const line of missing) console.error(`transformer-ls build: ${line}`);
    process.exitCode = exitCodes.failed;
    return;
  }
  const { chosen: libtorch } = search;
  const log = json ? () => undefined : (line: string) => console.log(line);
  const { status, key, path, seconds } = await buildNative({ libtorch, jobs, log });
  const { version, origin, libDir } = libtorch;
  if (json)
    console.log(JSON.stringify({ status, key, path, seconds, libtorch: { version, origin, libDir } }));
  else
    console.log(status === 'built' ? `built in ${seconds.toFixed(0)} s: ${path}` : `built already: ${path}`);
  for (const hint of hints(libtorch, key)) console.error(`transformer-ls build: ${hint}`);
}

function jobsHere(): number {
  return Math.max(1, Math.min(availableParallelism(), Math.floor(totalmem() / BYTES_A_JOB)));
}

function hints(libtorch: Libtorch, key: string): string[] {
  const found: string[] = [];
  const byDefault = chooseAddon({ env: {} }).key;
  if (byDefault !== key)
    found.push(`${byDefault} stays the default; this one is used where ${libtorch.origin} is set as now`);
  if (findBlas(libtorch).slow)
    found.push('libtorch uses the slow reference BLAS; `npx transformer-ls doctor` says how to change it');
  return found;
}
