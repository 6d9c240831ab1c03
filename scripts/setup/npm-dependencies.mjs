/** Are the installed npm packages those of package-lock.json? */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './run.mjs';

/**
 * Compares package-lock.json with npm's own record of what it installed, which npm writes last: an interrupted
 * install has none. So an install made by hand counts too, and no record of our own can go stale.
 *
 * @param {string} root
 * @returns {string | null} why an install is needed, null if it is not
 */
export function whyNpmInstall(root) {
  const record = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(join(root, 'node_modules'))) return 'no npm packages are installed';
  if (!existsSync(record)) return 'the last install of npm packages did not finish';
  const wanted = readPackages(join(root, 'package-lock.json'));
  const installed = readPackages(record);
  for (const [path, { version, optional }] of Object.entries(wanted)) {
    if (!path.startsWith('node_modules/') || optional) continue;
    const name = path.slice('node_modules/'.length);
    if (installed[path]?.version !== version) {
      return `${name} is ${installed[path]?.version ?? 'not installed'}, but package-lock.json asks for ${version}`;
    }
    if (!existsSync(join(root, path, 'package.json'))) return `${name} is missing from node_modules`;
  }
  return null;
}

/** @typedef {Record<string, { version?: string, optional?: boolean }>} Packages */

/** @param {string} path @returns {Packages} */
function readPackages(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages ?? {};
  } catch {
    return {};
  }
}

/**
 * Installs what package-lock.json says and leaves that file alone. Not `npm ci`: it stops where the lock lacks the
 * optional packages of other platforms, which happens as soon as a registry mirror does not carry them, and it begins by
 * deleting node_modules, so that an interruption costs everything.
 *
 * @param {string} root @param {import('./run.mjs').RunOptions} options
 */
export async function installNpmPackages(root, options) {
  // Under `npm run` this is the very npm that was called, else whatever is on the path.
  const npm = process.env.npm_execpath;
  const [command, ...first] = npm?.endsWith('.js') ? [process.execPath, npm] : ['npm'];
  await run(
    command ?? 'npm',
    [...first, 'install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund'],
    {
      ...options,
      cwd: root,
    },
  );
}
