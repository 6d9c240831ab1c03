/**
 * What the machine offers besides libtorch: compiler, CMake, BLAS, processor, memory, GPU.
 * Plain JavaScript without dependencies, because it runs before any package is installed.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { availableParallelism, cpus, freemem, totalmem } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { compareVersions, multiarch } from './libtorch.mjs';

/** @import { Blas, CudaCompiler, Libtorch, MachineDescription, Tool } from './toolchain.d.mts' */

/** The first with vectors whose lanes can be exchanged (GCC) or chosen by comparisons (Clang), as the kernels need. */
const lowestCompiler = { gcc: '12.0', clang: '14.0' };
const lowestCmake = '3.18';

/** @param {string} command @param {string[]} args @returns {string | null} standard output, or null if it failed */
function ask(command, args) {
  const answer = spawnSync(command, args, { encoding: 'utf8', timeout: 30_000 });
  return answer.error || answer.status !== 0 ? null : answer.stdout;
}

/**
 * The C++ compiler: `CXX` if set, else g++, c++, clang++ in this order (libtorch's OpenMP is GCC's).
 *
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Tool}
 */
export function findCompiler(env = process.env) {
  const names = env.CXX ? [env.CXX] : ['g++', 'c++', 'clang++'];
  /** @type {string | null} */
  let reason = null;
  for (const name of names) {
    const text = ask(name, ['--version']);
    if (text === null) continue;
    const family = /clang/i.test(text) ? 'clang' : 'gcc';
    const version = /([0-9]+\.[0-9]+(\.[0-9]+)?)/.exec(text)?.[1] ?? 'unknown';
    const lowest = lowestCompiler[family];
    if (version === 'unknown' || compareVersions(version, lowest) >= 0) {
      return { found: true, path: name, version: `${family} ${version}`, reason: null };
    }
    reason = `${name} is ${family} ${version}, but the kernels need ${family} ${lowest} or newer`;
  }
  return {
    found: false,
    path: null,
    version: null,
    reason: reason ?? `no C++ compiler found (tried ${names.join(', ')})`,
  };
}

/** @returns {Tool} */
export function findCmake() {
  const text = ask('cmake', ['--version']);
  if (text === null) return { found: false, path: null, version: null, reason: 'cmake not found' };
  const version = /version ([0-9.]+)/.exec(text)?.[1] ?? '0';
  const enough = compareVersions(version, lowestCmake) >= 0;
  const reason = enough ? null : `cmake is ${version}, but ${lowestCmake} or newer is needed`;
  return { found: enough, path: 'cmake', version, reason };
}

/** What CMake hands the work to: ninja, else make. Debian's cmake package brings neither. @returns {Tool} */
export function findBuildProgram() {
  for (const name of ['ninja', 'make']) {
    const text = ask(name, ['--version']);
    if (text === null) continue;
    return {
      found: true,
      path: name,
      version: /([0-9]+\.[0-9.]+)/.exec(text)?.[1] ?? 'unknown',
      reason: null,
    };
  }
  return { found: false, path: null, version: null, reason: 'neither ninja nor make found' };
}

/**
 * The compiler of the CUDA kernels: `TLS_NVCC`, `CUDACXX`, or nvcc on the path, of the CUDA that this libtorch was built for.
 *
 * @param {Pick<Libtorch, 'cuda'>} libtorch @param {NodeJS.ProcessEnv} [env]
 * @returns {CudaCompiler}
 */
export function findNvcc({ cuda }, env = process.env) {
  /** @param {string} reason @returns {CudaCompiler} */
  const none = (reason) => ({
    found: false,
    path: null,
    version: null,
    reason,
    runtime: null,
    includeDir: null,
  });
  if (cuda === null) return none('this libtorch has no CUDA');
  const name = env.TLS_NVCC || env.CUDACXX || 'nvcc';
  const version = /release ([0-9]+\.[0-9]+)/.exec(ask(name, ['--version']) ?? '')?.[1];
  if (version === undefined) return none(`${name} not found (TLS_NVCC may name it)`);
  if (version.split('.')[0] !== cuda.split('.')[0])
    return none(`${name} is of CUDA ${version}, but libtorch of CUDA ${cuda}`);
  const path = name.includes('/') ? name : (ask('sh', ['-c', `command -v ${name}`])?.trim() ?? name);
  const root = dirname(dirname(realpathSync(path)));
  const runtime = ['lib64', 'lib', 'targets/x86_64-linux/lib', 'targets/sbsa-linux/lib']
    .map((folder) => join(root, folder, 'libcudart_static.a'))
    .find((file) => existsSync(file));
  if (runtime === undefined) return none(`${path} has no libcudart_static.a beside it`);
  return { found: true, path, version, reason: null, runtime, includeDir: join(root, 'include') };
}

/**
 * The BLAS a libtorch multiplies matrices with. Debian's links to whatever `libblas.so.3` points to, and its default
 * is the reference BLAS, some fifty times slower than OpenBLAS; Python wheels and archives carry MKL or OpenBLAS inside.
 *
 * @param {Pick<Libtorch, 'libDir'>} libtorch
 * @returns {Blas}
 */
export function findBlas({ libDir }) {
  const systemBlas = join(libDir, 'libblas.so.3');
  if (!existsSync(systemBlas)) return { name: 'bundled', path: null, slow: false };
  const path = realpathSync(systemBlas);
  const name = blasName(path);
  return { name, path, slow: name === 'reference' };
}

/** @param {string} path a resolved `libblas.so.3` */
function blasName(path) {
  const known = ['openblas', 'mkl', 'blis', 'atlas'];
  return known.find((name) => path.toLowerCase().includes(name)) ?? 'reference';
}

/** @returns {MachineDescription} */
export function describeMachine() {
  return {
    platform: process.platform,
    arch: process.arch,
    triplet: multiarch(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    simd: readSimd(),
    memoryBytes: totalmem(),
    freeMemoryBytes: freemem(),
    gpus: findGpus(),
  };
}

/** @returns {string[]} the vector extensions that matter to the kernels, in ascending order */
function readSimd() {
  if (process.arch === 'arm64') return ['neon'];
  if (!existsSync('/proc/cpuinfo')) return [];
  const flags = new Set(
    /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]?.trim().split(' '),
  );
  return ['avx', 'avx2', 'fma', 'avx512f', 'avx512_bf16', 'amx_tile'].filter((name) => flags.has(name));
}

/** @returns {string[]} one name per NVIDIA GPU; the kernel's own list serves where nvidia-smi is absent */
function findGpus() {
  const listed = ask('nvidia-smi', ['--query-gpu=name,memory.total', '--format=csv,noheader']);
  if (listed !== null) return listed.trim().split('\n').filter(Boolean);
  const folder = '/proc/driver/nvidia/gpus';
  if (!existsSync(folder)) return [];
  return readdirSync(folder).map((id) => {
    const information = readFileSync(join(folder, id, 'information'), 'utf8');
    return /^Model:\s*(.*)$/m.exec(information)?.[1] ?? basename(id);
  });
}
