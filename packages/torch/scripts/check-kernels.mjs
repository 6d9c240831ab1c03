/**
 * Compiles the loops of attention with the sanitizers of addresses and of undefined behaviour, and runs them against plain ones
 * (`native/test/`): no libtorch is needed, and every access to memory that is not theirs ends the program. Then the CUDA kernels, run
 * on the CPU by an emulation of what they use: some cases under the sanitizers, more without, which is faster.
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

const cudaSources = ['float32', 'bfloat16', 'float16', 'launch'];

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
    checkCpu(compiler.path, folder);
    checkCuda(compiler.path, folder, sanitizers, 1);
    checkCuda(compiler.path, folder, ['-O2', '-std=c++17'], 12);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param {string} compiler @param {string} folder */
function checkCpu(compiler, folder) {
  const objects = Object.entries(instructionSets)
    .filter(([name]) => name === 'portable' || arch() === 'x64')
    .map(([name, flags]) => {
      const object = join(folder, `${name}.o`);
      const source = join(native, 'kernels', `${name}.cpp`);
      run(compiler, [...sanitizers, ...flags, '-c', source, '-o', object]);
      return object;
    });
  for (const name of ['window_and_pool', 'causal', 'layers']) {
    const program = join(folder, name);
    run(compiler, [...sanitizers, join(native, 'test', `${name}.cpp`), ...objects, '-o', program]);
    run(program, []);
  }
}

/** @param {string} compiler @param {string} folder @param {string[]} flags @param {number} cases */
function checkCuda(compiler, folder, flags, cases) {
  const objects = cudaSources.map((name) => {
    const object = join(folder, `cuda-${name}.o`);
    const source = join(native, 'kernels', 'attention', 'cuda', `${name}.cu`);
    run(compiler, [
      ...flags,
      '-DTLS_CUDA_EMULATION',
      '-Wno-unknown-pragmas',
      '-x',
      'c++',
      '-c',
      source,
      '-o',
      object,
    ]);
    return object;
  });
  const program = join(folder, 'cuda');
  run(compiler, [...flags, join(native, 'test', 'cuda.cpp'), ...objects, '-o', program]);
  run(program, [String(cases)]);
}

try {
  main();
} catch (error) {
  console.error(/** @type {Error} */ (error).message);
  process.exitCode = 1;
}
