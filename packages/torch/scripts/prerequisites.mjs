/**
 * What is missing to build the bridge, and the commands that mend it.
 * Plain JavaScript without dependencies, because it runs before any package is installed.
 */
import { spawnSync } from 'node:child_process';
import { explainNoLibtorch, minimumTorch } from './libtorch.mjs';
import { findBuildProgram, findCmake, findCompiler } from './machine.mjs';
import { buildCommand } from './place.mjs';

/** @import { LibtorchSearch, MissingPackage } from './toolchain.d.mts' */

/** The programs that compile the bridge. @returns {MissingPackage[]} */
export function missingTools() {
  const compiler = findCompiler();
  const cmake = findCmake();
  const program = findBuildProgram();
  return [
    ...(compiler.found ? [] : [{ name: 'g++', reason: compiler.reason ?? 'no C++ compiler' }]),
    ...(cmake.found ? [] : [{ name: 'cmake', reason: cmake.reason ?? 'no cmake' }]),
    ...(program.found ? [] : [{ name: 'ninja-build', reason: program.reason ?? 'no build program' }]),
  ];
}

/**
 * All that keeps the bridge from being built; where libtorch is missing, so is the BLAS that Debian's needs to be fast.
 *
 * @param {LibtorchSearch} search @returns {MissingPackage[]}
 */
export function missingForBuild({ chosen, candidates }) {
  const tools = missingTools();
  if (chosen !== null) return tools;
  return [
    ...tools,
    { name: 'libtorch-dev', reason: explainNoLibtorch(candidates) },
    { name: 'libopenblas0-pthread', reason: "Debian's own BLAS is some fifty times slower" },
  ];
}

/** @param {readonly string[]} names */
export function aptCommand(names) {
  return `sudo apt-get update && sudo apt-get install -y --no-install-recommends ${names.join(' ')}`;
}

export function hasApt() {
  return !spawnSync('apt-get', ['--version']).error;
}

/**
 * A variable that names an unusable libtorch has to be corrected: installing another would hide the mistake.
 *
 * @param {LibtorchSearch} search @param {NodeJS.ProcessEnv} [env] @returns {string | null}
 */
export function findBrokenRequest({ chosen, candidates }, env = process.env) {
  if (chosen !== null) return null;
  const broken = candidates.find(({ origin }) => origin === 'LIBTORCH' || origin === 'TORCH_PYTHON');
  if (broken === undefined) return null;
  const { origin } = broken;
  return `${origin}=${env[origin]} cannot be used: ${broken.rejected}; correct ${origin} or unset it`;
}

/**
 * Why an installed package cannot be built here: a line for each thing that is missing, then the command that mends it all.
 *
 * @param {LibtorchSearch} search @param {{ apt?: boolean, env?: NodeJS.ProcessEnv }} [options]
 * @returns {string[]} empty where nothing is missing
 */
export function explainMissing(search, { apt = hasApt(), env = process.env } = {}) {
  const broken = findBrokenRequest(search, env);
  const missing = broken === null ? missingForBuild(search) : missingTools();
  const lines = missing.map(({ name, reason }) => `missing ${name}: ${reason}`);
  if (broken !== null) lines.push(broken);
  if (missing.length === 0) return lines;
  lines.push(
    apt
      ? `mend it with: ${aptCommand(missing.map(({ name }) => name))}`
      : `install with your package manager: g++ 12 or clang++ 14 or newer, cmake 3.18 or newer, ninja or make, libtorch ${minimumTorch} or newer`,
  );
  if (search.chosen === null && broken === null) lines.push(`or use a libtorch of your own: ${ownLibtorch}`);
  return lines;
}

const ownLibtorch = [
  `LIBTORCH=/path/to/libtorch ${buildCommand}`,
  `TORCH_PYTHON=/path/to/python ${buildCommand} for the torch of a Python (pip install torch)`,
].join(', or ');
