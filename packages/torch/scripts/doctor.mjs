/**
 * Says what is found, what is missing, and the exact command that mends it.
 *
 *   node packages/torch/scripts/doctor.mjs [--json]
 */
import { spawnSync } from 'node:child_process';
import { existsSync, statfsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildKey, chooseAddon, isBuilt } from './addon.mjs';
import { explainNoLibtorch, findLibtorch, multiarch } from './libtorch.mjs';
import {
  describeMachine,
  findBlas,
  findBuildProgram,
  findCmake,
  findCompiler,
  findNvcc,
} from './machine.mjs';
import { buildCommand, buildRoot, isInstalled, packageRoot } from './place.mjs';
import { aptCommand } from './prerequisites.mjs';

/** @import { Finding } from './doctor.d.mts' */
/** @import { Libtorch, LibtorchSearch, MachineDescription } from './toolchain.d.mts' */

const lowestNode = 20;
const gib = 2 ** 30;
const enoughDisk = 2 * gib;
const enoughMemory = 2 * gib;

/** @param {string} name @param {string} found @returns {Finding} */
const ok = (name, found) => ({ name, status: 'ok', found, remedy: null });
/** @param {string} name @param {string} found @param {string | null} remedy @returns {Finding} */
const warn = (name, found, remedy) => ({ name, status: 'warn', found, remedy });
/** @param {string} name @param {string} found @param {string} remedy @returns {Finding} */
const fail = (name, found, remedy) => ({ name, status: 'fail', found, remedy });

/**
 * @param {{ env?: NodeJS.ProcessEnv }} [options]
 * @returns {Finding[]}
 */
export function diagnose({ env = process.env } = {}) {
  const search = findLibtorch({ env, all: true });
  const machine = describeMachine();
  return [
    diagnoseNode(),
    diagnoseDependencies(),
    diagnoseLibtorch(search),
    diagnoseCompiler(env),
    diagnoseCmake(),
    diagnoseBridge(search.chosen, env),
    diagnoseBlas(search.chosen),
    diagnoseThreads(machine, env),
    diagnoseSimd(machine),
    diagnoseGpu(search.chosen, machine),
    ...diagnoseCudaKernels(search.chosen, machine, env),
    diagnoseDisk(),
    diagnoseMemory(machine),
  ];
}

function diagnoseNode() {
  const version = process.versions.node;
  const enough = Number(version.split('.')[0]) >= lowestNode;
  return enough
    ? ok('Node', version)
    : fail('Node', `${version}, too old`, `install Node ${lowestNode} or newer`);
}

/** Any package of ours that is needed to build stands for the rest. */
function diagnoseDependencies() {
  for (let folder = packageRoot; folder !== dirname(folder); folder = dirname(folder)) {
    const place = join(folder, 'node_modules');
    if (existsSync(join(place, 'node-api-headers'))) return ok('npm packages', `installed in ${place}`);
  }
  return fail('npm packages', 'not installed', isInstalled() ? 'npm install' : buildCommand);
}

/** @param {LibtorchSearch} search */
function diagnoseLibtorch({ chosen, candidates }) {
  if (chosen === null) return fail('libtorch', explainNoLibtorch(candidates), remedyForLibtorch(candidates));
  const device = chosen.cuda === null ? 'CPU only' : `CUDA ${chosen.cuda}`;
  const others = candidates
    .filter((candidate) => candidate !== chosen)
    .map(({ origin, version, rejected }) => `${origin}: ${rejected ?? version}`);
  const rest = others.length === 0 ? '' : `; also ${others.join('; ')}`;
  return ok('libtorch', `${chosen.version} (${device}) from ${chosen.origin}, ${chosen.libDir}${rest}`);
}

/** @param {LibtorchSearch['candidates']} candidates */
function remedyForLibtorch(candidates) {
  const asked = candidates.find(({ origin }) => origin === 'LIBTORCH' || origin === 'TORCH_PYTHON');
  if (asked !== undefined) return `unset ${asked.origin} && ${buildCommand}`;
  // In a clone the set-up installs it.
  return isInstalled() ? aptCommand(['libtorch-dev', 'libopenblas0-pthread']) : buildCommand;
}

/** @param {NodeJS.ProcessEnv} env */
function diagnoseCompiler(env) {
  const { found, version, path, reason } = findCompiler(env);
  if (found) return ok('C++ compiler', `${version} (${path})`);
  return fail('C++ compiler', reason ?? 'not found', 'sudo apt-get install -y g++');
}

function diagnoseCmake() {
  const cmake = findCmake();
  if (!cmake.found) return fail('CMake', cmake.reason ?? 'not found', 'sudo apt-get install -y cmake');
  const program = findBuildProgram();
  if (!program.found)
    return fail('CMake', program.reason ?? 'not found', 'sudo apt-get install -y ninja-build');
  return ok('CMake', `${cmake.version} with ${program.path} ${program.version}`);
}

/**
 * Loads the bridge in a process of its own: a crash there is a finding, here it would be the end of the report.
 *
 * @param {Libtorch | null} libtorch @param {NodeJS.ProcessEnv} env
 */
function diagnoseBridge(libtorch, env) {
  const { path, key, attempts } = chooseAddon({ env });
  if (path === null) return fail('native bridge', attempts.join('; '), buildCommand);
  const child = spawnSync(process.execPath, ['-e', 'require(process.argv[1])', path], {
    encoding: 'utf8',
    env,
  });
  if (child.status !== 0) {
    const why =
      /Error: (.*)/.exec(child.stderr)?.[1] ??
      (child.signal ? `ended by ${child.signal}` : 'no reason given');
    return fail(
      'native bridge',
      `${path} does not load: ${why}`,
      `rm -r ${dirname(path)} && ${buildCommand}`,
    );
  }
  if (libtorch !== null && !isBuilt(libtorch)) {
    return warn(
      'native bridge',
      `${key} loads, but is not built from the present sources and libtorch`,
      buildCommand,
    );
  }
  if (libtorch !== null && key !== buildKey(libtorch)) {
    return warn(
      'native bridge',
      `${key} is loaded, but libtorch ${libtorch.version} is preferred now`,
      buildCommand,
    );
  }
  return ok('native bridge', `${key} loads`);
}

/** @param {Libtorch | null} libtorch */
function diagnoseBlas(libtorch) {
  if (libtorch === null) return warn('BLAS', 'unknown without libtorch', null);
  const { name, path, slow } = findBlas(libtorch);
  if (!slow) return ok('BLAS', path === null ? 'bundled with libtorch' : `${name} (${path})`);
  const triplet = multiarch() ?? '';
  const installed = existsSync(join(libtorch.libDir, 'openblas-pthread', 'libblas.so.3'));
  const remedy = installed
    ? `sudo update-alternatives --auto libblas.so.3-${triplet} && sudo update-alternatives --auto liblapack.so.3-${triplet}`
    : 'sudo apt-get install -y libopenblas0-pthread';
  return warn('BLAS', `the reference BLAS (${path}), some fifty times slower than OpenBLAS`, remedy);
}

/** @param {MachineDescription} machine @param {NodeJS.ProcessEnv} env */
function diagnoseThreads({ cores, cpu }, env) {
  const threads = env.OMP_NUM_THREADS ?? String(cores);
  const policy =
    env.OMP_WAIT_POLICY ?? 'not set (our processes set it to PASSIVE, and wait a little before they sleep)';
  const found = `${threads} of ${cores} cores (${cpu}), OMP_WAIT_POLICY ${policy}`;
  if (env.OMP_WAIT_POLICY !== undefined && env.OMP_WAIT_POLICY.toUpperCase() !== 'PASSIVE') {
    return warn('threads', `${found}: spinning threads fight those of OpenBLAS`, 'unset OMP_WAIT_POLICY');
  }
  const count = Number(threads.split(',')[0]);
  if (!Number.isInteger(count) || count < 1) {
    return warn(
      'threads',
      `OMP_NUM_THREADS is "${threads}", not a number of threads`,
      'unset OMP_NUM_THREADS',
    );
  }
  if (count > cores)
    return warn('threads', `${found}: more threads than cores`, `export OMP_NUM_THREADS=${cores}`);
  return ok('threads', found);
}

/** @param {MachineDescription} machine */
function diagnoseSimd({ simd, arch }) {
  const fast = simd.includes('avx2') || simd.includes('neon');
  const found = `${arch}: ${simd.join(', ') || 'none known'}`;
  return fast
    ? ok('SIMD', found)
    : warn('SIMD', `${found}; the portable kernels are used, which are slower`, null);
}

/** @param {Libtorch | null} libtorch @param {MachineDescription} machine */
function diagnoseGpu(libtorch, { gpus }) {
  const cuda = libtorch?.cuda ?? null;
  if (gpus.length === 0)
    return ok('GPU', cuda === null ? 'none, CPU is used' : `none, CPU is used (libtorch has CUDA ${cuda})`);
  const found = gpus.join('; ');
  if (cuda !== null) return ok('GPU', `${found}; CUDA ${cuda}`);
  const remedy = isInstalled()
    ? `pip install torch, then TORCH_PYTHON=/path/to/python ${buildCommand}`
    : `${buildCommand} -- --torch pip`;
  return warn('GPU', `${found}, but this libtorch is for CPUs only`, remedy);
}

/**
 * Nothing to say where libtorch is for CPUs.
 *
 * @param {Libtorch | null} libtorch @param {MachineDescription} machine @param {NodeJS.ProcessEnv} env
 * @returns {Finding[]}
 */
function diagnoseCudaKernels(libtorch, { gpus }, env) {
  if (libtorch === null || libtorch.cuda === null) return [];
  const { found, path, version, reason } = findNvcc(libtorch, env);
  if (found) return [ok('CUDA kernels', `compiled by nvcc ${version} (${path})`)];
  const left = `left out: ${reason}; attention on CUDA is composed of plain operators`;
  return [
    gpus.length === 0
      ? ok('CUDA kernels', left)
      : warn('CUDA kernels', left, `TLS_NVCC=/path/to/nvcc ${buildCommand}`),
  ];
}

function diagnoseDisk() {
  let place = buildRoot;
  while (!existsSync(place)) place = dirname(place);
  const { bavail, bsize } = statfsSync(place);
  const found = `${((bavail * bsize) / gib).toFixed(1)} GiB free at ${place}`;
  return bavail * bsize >= enoughDisk
    ? ok('disk', found)
    : warn('disk', `${found}; 2 GiB or more are advised`, null);
}

/** @param {MachineDescription} machine */
function diagnoseMemory({ memoryBytes, freeMemoryBytes }) {
  const found = `${(memoryBytes / gib).toFixed(1)} GiB, ${(freeMemoryBytes / gib).toFixed(1)} GiB free`;
  return memoryBytes >= enoughMemory
    ? ok('memory', found)
    : warn('memory', `${found}; 2 GiB or more are advised`, null);
}

/**
 * @param {readonly Finding[]} findings
 * @returns {string} one line per finding, remedies under it
 */
export function formatFindings(findings) {
  const width = Math.max(...findings.map(({ name }) => name.length));
  const lines = findings.map(({ name, status, found, remedy }) => {
    const line = `${status.padEnd(4)}  ${name.padEnd(width)}  ${found}`;
    return remedy === null ? line : `${line}\n${' '.repeat(width + 8)}mend it: ${remedy}`;
  });
  return lines.join('\n');
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const findings = diagnose();
  console.log(process.argv.includes('--json') ? JSON.stringify(findings, null, 2) : formatFindings(findings));
  process.exitCode = findings.some(({ status }) => status === 'fail') ? 1 : 0;
}
