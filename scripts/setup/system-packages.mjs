/** Which system packages are missing, and how they are installed on Debian and Ubuntu. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  explainNoLibtorch,
  findBlas,
  hasApt,
  minimumTorch,
  missingTools,
  multiarch,
} from '../../packages/torch/scripts/toolchain.mjs';
import { findBrowser } from './browser.mjs';
import { run, SetupError } from './run.mjs';

/** @typedef {import('../../packages/torch/scripts/toolchain.mjs').LibtorchSearch} LibtorchSearch */

/**
 * @typedef {object} MissingPackages
 * @property {string[]} needed without them there is no native bridge
 * @property {string[]} wanted without them it works, but slowly
 * @property {string[]} reasons one line for each thing that is missing
 */

/**
 * @param {LibtorchSearch} search
 * @param {{ bridgeBuilt: boolean, torch: 'pip' | 'debian' | null, broken: boolean, browser: boolean }} state `broken`: a variable
 *   names an unusable libtorch, so none is to be installed; `browser`: one is wanted for the tests of the page
 * @returns {MissingPackages}
 */
export function findMissingPackages({ chosen, candidates }, { bridgeBuilt, torch, broken, browser }) {
  /** @type {MissingPackages} */
  const missing = { needed: [], wanted: [], reasons: [] };
  /** @param {string} name @param {string} reason */
  const need = (name, reason) => {
    missing.needed.push(name);
    missing.reasons.push(reason);
  };
  if (!bridgeBuilt) for (const { name, reason } of missingTools()) need(name, reason);
  if (browser && findBrowser() === null) {
    missing.wanted.push('chromium');
    missing.reasons.push('the page is tested in Chromium, which is not there');
  }
  if (broken) return missing;
  if (chosen === null && torch !== 'pip') need('libtorch-dev', explainNoLibtorch(candidates));
  if (torch === 'pip' && !hasVenv()) need('python3-venv', 'python3 cannot make virtual environments');
  if (needsOpenBlas(chosen, torch)) {
    missing.wanted.push('libopenblas0-pthread');
    missing.reasons.push("Debian's reference BLAS is some fifty times slower than OpenBLAS");
  }
  return missing;
}

/** @param {LibtorchSearch['chosen']} libtorch @param {'pip' | 'debian' | null} torch */
function needsOpenBlas(libtorch, torch) {
  if (libtorch === null) return torch !== 'pip';
  // Where OpenBLAS is there but not selected, installing it again would not help; `doctor` gives the command that does.
  return findBlas(libtorch).slow && !hasOpenBlas();
}

/** @param {string} [systemRoot] */
export function hasOpenBlas(systemRoot = '/') {
  return existsSync(join(systemRoot, 'usr/lib', multiarch() ?? '', 'openblas-pthread', 'libblas.so.3'));
}

function hasVenv() {
  return spawnSync('python3', ['-c', 'import ensurepip, venv']).status === 0;
}

/** How root's rights are had: as root, through sudo without a password, or not at all. */
export function findAptPrefix() {
  if (!hasApt()) return { apt: false, prefix: null };
  if (process.getuid?.() === 0) return { apt: true, prefix: [] };
  const sudo = spawnSync('sudo', ['-n', 'true']);
  return { apt: true, prefix: sudo.status === 0 ? ['sudo', '-n'] : null };
}

/** What to do on a machine without apt. */
export const otherSystems = [
  'this system has no apt-get; install with its own package manager:',
  '  a C++ compiler (g++ 12 or newer), cmake 3.18 or newer, ninja or make',
  `  and a libtorch ${minimumTorch} or newer: \`npm run setup -- --torch pip\` puts one into a Python virtual environment of`,
  '  this project, or set TORCH_PYTHON to a Python that has torch, or LIBTORCH to an unpacked libtorch',
].join('\n');

/**
 * @param {readonly string[]} names
 * @param {readonly string[]} prefix `['sudo', '-n']` or nothing
 * @param {import('./run.mjs').RunOptions} options
 */
export async function installSystemPackages(names, prefix, options) {
  const env = ['env', 'DEBIAN_FRONTEND=noninteractive'];
  /** @param {string[]} command */
  const asRoot = (command) => {
    const [first, ...rest] = [...prefix, ...env, ...command];
    return run(first ?? 'env', rest, options);
  };
  const install = [
    'apt-get',
    'install',
    '-y',
    '-q',
    '--no-install-recommends',
    '-o',
    'DPkg::Lock::Timeout=300',
    ...names,
  ];
  // An installation that was cut off earlier must be finished first, else apt refuses everything.
  if (wasInterrupted()) await asRoot(['dpkg', '--configure', '-a']);
  if (hasPackageLists()) {
    try {
      await asRoot(install);
      return;
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      // Old lists name package files that have gone; fresh ones mend that.
    }
  }
  await asRoot(['apt-get', 'update', '-q', '-o', 'DPkg::Lock::Timeout=300']);
  await asRoot(install);
}

function wasInterrupted() {
  const journal = '/var/lib/dpkg/updates';
  if (existsSync(journal) && readdirSync(journal).length > 0) return true;
  return (spawnSync('dpkg', ['--audit'], { encoding: 'utf8' }).stdout ?? '').trim() !== '';
}

function hasPackageLists() {
  const lists = '/var/lib/apt/lists';
  return existsSync(lists) && readdirSync(lists).some((name) => /_Packages(\.|$)/.test(name));
}
