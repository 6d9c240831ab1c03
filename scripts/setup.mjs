/**
 * Sets up what is missing: npm packages, system packages, the native bridge, the TypeScript build.
 *
 *   npm run setup [-- --torch pip|debian] [--browser] [--quiet] [--check]
 *
 * --browser: also the browser that the page is tested in.
 *
 * Says what it will do before doing it, does nothing twice, and can be interrupted at any moment and run again.
 * Plain JavaScript without dependencies: it is the first thing that runs in a fresh clone.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildNative, NativeBuildError } from '../packages/torch/scripts/build-native.mjs';
import { withLock } from '../packages/torch/scripts/lock.mjs';
import {
  aptCommand,
  buildRoot,
  explainNoLibtorch,
  findBlas,
  findBrokenRequest,
  findLibtorch,
  isBuilt,
  selectAddon,
  torchPreferencePath,
} from '../packages/torch/scripts/toolchain.mjs';
import { installNpmPackages, whyNpmInstall } from './setup/npm-dependencies.mjs';
import { installTorchInVenv } from './setup/python-torch.mjs';
import { SetupError } from './setup/run.mjs';
import {
  findAptPrefix,
  findMissingPackages,
  installSystemPackages,
  otherSystems,
} from './setup/system-packages.mjs';
import { buildTypescript, whyTypescriptBuild } from './setup/typescript-build.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const lowestNode = 20;

/** @typedef {{ torch: 'pip' | 'debian' | null, browser: boolean, quiet: boolean, check: boolean }} Settings */
/** @typedef {{ title: string, why: string, act: (options: import('./setup/run.mjs').RunOptions) => Promise<void>,
 *   fatal?: boolean }} Step `fatal`: nothing after it can work without it */

/** @returns {Settings} @throws {SetupError} on an unknown flag or value */
function readSettings() {
  const options = /** @type {const} */ ({
    torch: { type: 'string' },
    browser: { type: 'boolean', default: false },
    quiet: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
  });
  let values;
  try {
    values = parseArgs({ options }).values;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : error;
    throw new SetupError(
      `${reason}; usage: npm run setup [-- --torch pip|debian] [--browser] [--quiet] [--check]`,
    );
  }
  const { torch = null, browser, quiet, check } = values;
  if (torch !== null && torch !== 'pip' && torch !== 'debian') {
    throw new SetupError(`--torch takes pip or debian, got "${torch}"`);
  }
  return { torch, browser, quiet, check };
}

/** @throws {SetupError} */
function checkNode() {
  const major = Number(process.versions.node.split('.')[0]);
  if (major >= lowestNode) return;
  throw new SetupError(`Node ${lowestNode} or newer is needed, this is ${process.versions.node}`);
}

/** Only the chosen origin counts when one was asked for by flag. @param {Settings} settings */
function searchLibtorch({ torch }) {
  const search = findLibtorch(torch === null ? {} : { preference: torch });
  const wanted = torch === 'pip' ? 'project venv' : 'Debian';
  if (torch === null || search.chosen === null || process.env.LIBTORCH || process.env.TORCH_PYTHON)
    return search;
  return search.chosen.origin === wanted ? search : { ...search, chosen: null };
}

/**
 * What is to be done, in order. Nothing is changed here.
 *
 * @param {Settings} settings
 * @returns {{ steps: Step[], blocked: string[], hints: string[] }} `blocked`: what only the user can do
 */
function plan(settings) {
  const search = searchLibtorch(settings);
  const bridgeBuilt = search.chosen !== null && isBuilt(search.chosen);
  /** @type {Step[]} */
  const steps = [];
  const broken = findBrokenRequest(search);
  const packages = findMissingPackages(search, {
    bridgeBuilt,
    torch: settings.torch,
    broken: broken !== null,
    browser: settings.browser,
  });
  const { blocked, hints } = planPackages(packages, steps);
  if (broken !== null) blocked.push(broken);
  if (settings.torch === 'pip' && search.chosen === null && broken === null) steps.push(pipStep());
  const npm = whyNpmInstall(root);
  if (npm !== null) {
    steps.push({
      title: 'npm install',
      why: npm,
      act: (options) => installNpmPackages(root, options),
      fatal: true,
    });
  }
  if (!bridgeBuilt && blocked.length === 0) steps.push(bridgeStep(search.chosen !== null, settings));
  const typescript = npm === null ? whyTypescriptBuild(root) : 'npm packages change';
  if (typescript !== null) {
    steps.push({
      title: 'build the TypeScript',
      why: typescript,
      act: (options) => buildTypescript(root, options),
    });
  }
  return { steps, blocked, hints };
}

/**
 * @param {import('./setup/system-packages.mjs').MissingPackages} missing @param {Step[]} steps
 * @returns {{ blocked: string[], hints: string[] }}
 */
function planPackages({ needed, wanted, reasons }, steps) {
  const names = [...needed, ...wanted];
  if (names.length === 0) return { blocked: [], hints: [] };
  const { apt, prefix } = findAptPrefix();
  if (apt && prefix !== null) {
    steps.push({
      title: `${[...prefix, 'apt-get'].join(' ')} install ${names.join(' ')}`,
      why: reasons.join('; '),
      act: (options) => installSystemPackages(names, prefix, options),
    });
    return { blocked: [], hints: [] };
  }
  const advice = apt
    ? `${reasons.join('; ')}\n  run: ${aptCommand(names)}`
    : `${reasons.join('; ')}\n${otherSystems}`;
  return needed.length > 0 ? { blocked: [advice], hints: [] } : { blocked: [], hints: [advice] };
}

/** @returns {Step} */
function pipStep() {
  const venv = join(buildRoot, 'venv');
  return {
    title: `pip install torch into ${venv}`,
    why: '--torch pip asks for it (some gigabytes)',
    act: (options) => installTorchInVenv(venv, options),
  };
}

/** @param {boolean} libtorchThere @param {Settings} settings @returns {Step} */
function bridgeStep(libtorchThere, settings) {
  const why = libtorchThere
    ? 'not built yet for this libtorch and these sources'
    : 'no libtorch was there before';
  return {
    title: 'compile the native bridge (a minute or two on two cores)',
    why,
    act: async ({ quiet }) => {
      // Searched again: an earlier step may have installed it.
      const { chosen, candidates } = searchLibtorch(settings);
      if (chosen === null) throw new SetupError(explainNoLibtorch(candidates));
      const log = (/** @type {string} */ line) => (quiet ? undefined : console.log(`  ${line}`));
      await buildNative({ libtorch: chosen, log });
    },
  };
}

/**
 * Runs all steps. A failed bridge does not keep the TypeScript from being built: what needs no libtorch works then.
 *
 * @param {Step[]} steps @param {import('./setup/run.mjs').RunOptions} options
 * @returns {Promise<string[]>} what failed
 */
async function perform(steps, options) {
  const failures = [];
  for (const [index, { title, act, fatal }] of steps.entries()) {
    if (!options.quiet) console.log(`[${index + 1}/${steps.length}] ${title}`);
    const started = performance.now();
    try {
      await act(options);
      if (!options.quiet) console.log(`  done in ${((performance.now() - started) / 1000).toFixed(1)} s`);
    } catch (error) {
      if (!(error instanceof SetupError || error instanceof NativeBuildError)) throw error;
      failures.push(`${title}: ${error.message}`);
      if (fatal) break;
    }
  }
  return failures;
}

/** Announced and kept apart from the plan, because it decides what later commands use. @param {Settings} settings */
function rememberTorch({ torch }) {
  if (torch === null) return;
  mkdirSync(buildRoot, { recursive: true });
  writeFileSync(torchPreferencePath, `${torch}\n`);
}

/** Switches to another libtorch whose bridge is built already. @param {Settings} settings */
function selectBuilt(settings) {
  const { chosen } = searchLibtorch(settings);
  if (chosen === null || !isBuilt(chosen) || !selectAddon(chosen)) return;
  console.log(`Set-up: libtorch ${chosen.version} (${chosen.origin}) is used from now on`);
}

/** A slow BLAS that cannot be mended by installing. @returns {string[]} */
function blasHints() {
  const { chosen } = findLibtorch();
  if (chosen === null || !findBlas(chosen).slow) return [];
  return [
    'libtorch uses the slow reference BLAS; `node packages/torch/scripts/doctor.mjs` says how to change it',
  ];
}

/** @returns {Promise<number>} exit code */
async function main() {
  const settings = readSettings();
  checkNode();
  const started = performance.now();
  const first = plan(settings);
  announce(first.steps, settings);
  for (const hint of first.hints) console.warn(`Set-up: slower than it could be: ${hint}`);
  if (settings.check) {
    for (const advice of first.blocked) console.error(`Set-up: ${advice}`);
    return first.steps.length + first.blocked.length === 0 ? 0 : 1;
  }
  rememberTorch(settings);
  selectBuilt(settings);
  const problems = first.steps.length === 0 ? [] : await performLocked(settings);
  problems.push(...first.blocked);
  if (problems.length > 0) {
    for (const problem of problems) console.error(`Set-up: ${problem}`);
    console.error('Set-up: not finished; what needs no libtorch is usable as far as it was built.');
    return 1;
  }
  if (first.steps.length > 0) for (const hint of blasHints()) console.warn(`Set-up: ${hint}`);
  if (!settings.quiet) console.log(`Set-up: ready (${((performance.now() - started) / 1000).toFixed(1)} s)`);
  return 0;
}

/** @param {Settings} settings */
function performLocked(settings) {
  const log = (/** @type {string} */ line) => console.log(`Set-up: ${line}`);
  return withLock(join(buildRoot, 'setup.lock'), log, (hold) =>
    // Planned again under the lock: the set-up waited for has done most of it.
    perform(plan(settings).steps, { quiet: settings.quiet, hold }),
  );
}

/** @param {Step[]} steps @param {Settings} settings */
function announce(steps, { quiet, check }) {
  if (steps.length === 0 || quiet) return;
  console.log(check ? 'Set-up would:' : 'Set-up will:');
  steps.forEach(({ title, why }, index) => {
    console.log(`  ${index + 1}. ${title} (${why})`);
  });
}

process.exitCode = await main().catch((error) => {
  if (!(error instanceof SetupError)) throw error;
  console.error(`Set-up: ${error.message}`);
  return 1;
});
