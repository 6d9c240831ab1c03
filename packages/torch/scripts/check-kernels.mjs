/**
 * Compiles the loops of attention with the sanitizers of addresses and of undefined behaviour, and runs them against plain ones
 * (`native/test/`): no libtorch is needed, and every access to memory that is not theirs ends the program.
 *
 *   npm run check:kernels
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { arch, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findCompiler } from './machine.mjs';

const native = fileURLToPath(new URL('../native/', import.meta.url));
const sanitizers = [
  '-fsanitize=address,undefined',
  '-fno-sanitize-recover=undefined',
  '-g',
  '-O1',
  '-std=c++17',
];
const instructionSets = {
  portable: [],
  avx2: ['-mavx2', '-mfma'],
  avx512: ['-mavx512f', '-mavx512vl', '-mavx512dq', '-mavx512bw', '-mfma'],
};

/** @param {string} program @param {string[]} args */
function run(program, args) {
  const { status, error } = spawnSync(program, args, { stdio: 'inherit' });
  if (error || status !== 0)
    throw new Error(`check:kernels: ${program} failed (${error?.message ?? status})`);
}

function main() {
  const compiler = findCompiler();
  if (compiler.path === null) throw new Error(`check:kernels: ${compiler.reason}`);
  const folder = mkdtempSync(join(tmpdir(), 'tls-kernels-'));
  try {
    const objects = Object.entries(instructionSets)
      .filter(([name]) => name === 'portable' || arch() === 'x64')
      .map(([name, flags]) => {
        const object = join(folder, `${name}.o`);
        const source = join(native, 'kernels', 'attention', `${name}.cpp`);
        run(/** @type {string} */ (compiler.path), [...sanitizers, ...flags, '-c', source, '-o', object]);
        return object;
      });
    for (const name of ['window_and_pool', 'causal', 'layers']) {
      const program = join(folder, name);
      run(compiler.path, [...sanitizers, join(native, 'test', `${name}.cpp`), ...objects, '-o', program]);
      run(program, []);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

try {
  main();
} catch (error) {
  console.error(/** @type {Error} */ (error).message);
  process.exitCode = 1;
}
