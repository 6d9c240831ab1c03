/**
 * Where this package lies, where its bridge is built, and the command that builds it.
 *
 * In a clone the bridge lies beside its sources. An installed package lies in `node_modules`, which may be read-only, is thrown away by the
 * next install and is there once for every project; so its bridge lies in the user's cache folder, one for each version of this package.
 * Plain JavaScript without dependencies, because it runs before any package is installed.
 */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export const packageRoot = dirname(dirname(fileURLToPath(import.meta.url)));

/** @type {{ version: string, config: { libtorch: string } }} */
export const manifest = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8'));

/** @param {string} [folder] of this package, links resolved @returns {boolean} */
export function isInstalled(folder = packageRoot) {
  return folder.split(sep).includes('node_modules');
}

/**
 * The folder under which bridges are built: `TLS_BUILD_FOLDER` if set, for machines whose users share one or have no home.
 *
 * @param {{ env?: NodeJS.ProcessEnv, folder?: string, version?: string, home?: string | null }} [options]
 * @returns {string}
 */
export function findBuildRoot({
  env = process.env,
  folder = packageRoot,
  version = manifest.version,
  home = homeFolder(),
} = {}) {
  if (env.TLS_BUILD_FOLDER) return resolve(env.TLS_BUILD_FOLDER);
  if (!isInstalled(folder)) return join(folder, 'build');
  const cache = env.XDG_CACHE_HOME || (home === null ? null : join(home, '.cache'));
  // Not a temporary folder: there anyone may put a file that we would load.
  return cache === null ? join(folder, 'build') : join(cache, 'transformer-ls', `bridge-${version}`);
}

/** @returns {string | null} null for a user who has none */
function homeFolder() {
  try {
    return homedir();
  } catch {
    return null;
  }
}

export const buildRoot = findBuildRoot();

/** What builds the bridge: the last word of every advice. */
export const buildCommand = isInstalled() ? 'npx transformer-ls build' : 'npm run setup';
