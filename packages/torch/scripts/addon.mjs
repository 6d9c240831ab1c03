/**
 * Where the built bridge lies, what it was built from, and which one a process should load.
 * One folder per torch version, C++ ABI, Node-API version and CUDA version, so that changing between two libtorchs
 * never needs a second build.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { writeDurably } from './durable-file.mjs';
import { samePath } from './libtorch.mjs';
import { findNvcc } from './machine.mjs';
import { buildRoot, packageRoot } from './place.mjs';

/** @import { AddonChoice, AddonStamp, Libtorch } from './toolchain.d.mts' */

export const napiVersion = 8;
export const nativeRoot = join(packageRoot, 'native');

/**
 * @param {Pick<Libtorch, 'version' | 'cxx11Abi' | 'cuda'>} libtorch
 * @returns {string} such as `torch-1.13.0-abi1-napi8-cpu` or `torch-2.15.0-abi1-napi8-cu132`
 */
export function buildKey({ version, cxx11Abi, cuda }) {
  const device = cuda === null ? 'cpu' : `cu${cuda.replace('.', '')}`;
  return `torch-${version}-abi${cxx11Abi ? 1 : 0}-napi${napiVersion}-${device}`;
}

/** @param {string} key @param {string} [root] */
export function addonPath(key, root = buildRoot) {
  return join(root, key, 'torch.node');
}

/** @param {string} key @param {string} [root] */
export function stampPath(key, root = buildRoot) {
  return join(root, key, 'stamp.json');
}

/** @param {string} [root] */
export function currentPath(root = buildRoot) {
  return join(root, 'current.json');
}

/**
 * Hash of everything the bridge is compiled from: the names and contents of all files in `native/`.
 *
 * @param {string} [source]
 * @returns {string}
 */
export function sourceHash(source = nativeRoot) {
  const hash = createHash('sha256');
  for (const name of listFiles(source)) {
    const content = readFileSync(join(source, name));
    hash.update(`${name}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex');
}

/** @param {string} folder @returns {string[]} paths relative to the folder, sorted */
function listFiles(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(folder, name)).isFile())
    .sort();
}

/** @param {string} path @returns {AddonStamp | null} null where the file is absent or was cut off */
export function readStamp(path) {
  if (!existsSync(path)) return null;
  try {
    const stamp = JSON.parse(readFileSync(path, 'utf8'));
    return typeof stamp?.key === 'string' && typeof stamp.libtorch?.root === 'string' ? stamp : null;
  } catch {
    return null;
  }
}

/**
 * Is the bridge for this libtorch built from these sources?
 *
 * @param {Libtorch} libtorch @param {{ source?: string, root?: string }} [options]
 * @returns {boolean}
 */
export function isBuilt(libtorch, { source = nativeRoot, root = buildRoot } = {}) {
  const key = buildKey(libtorch);
  const stamp = readStamp(stampPath(key, root));
  return (
    stamp !== null &&
    existsSync(addonPath(key, root)) &&
    samePath(stamp.libtorch.root, libtorch.root) &&
    // chooseAddon knows a build by its Python's name, so the stamp has to carry the name asked for last.
    (libtorch.python === null || stamp.libtorch.python === libtorch.python) &&
    stamp.sourceHash === sourceHash(source) &&
    // A compiler that came or went since: with or without CUDA kernels.
    (stamp.nvcc ?? null) === findNvcc(libtorch).path
  );
}

/**
 * Lets processes started from now on load this build. `LIBTORCH` and `TORCH_PYTHON` speak for one command only, so a
 * build they asked for becomes the default just where there is no usable one.
 *
 * @param {Libtorch} libtorch whose build is finished @param {string} [root]
 * @returns {boolean} did the default change?
 */
export function selectAddon(libtorch, root = buildRoot) {
  const key = buildKey(libtorch);
  const stamp = readStamp(stampPath(key, root));
  const current = readStamp(currentPath(root));
  if (stamp === null || JSON.stringify(current) === JSON.stringify(stamp)) return false;
  const usable =
    current !== null && existsSync(addonPath(current.key, root)) && existsSync(current.libtorch.libDir);
  const forOneCommand = ['LIBTORCH', 'TORCH_PYTHON'].includes(libtorch.origin);
  if (usable && forOneCommand && current.key !== key) return false;
  writeDurably(currentPath(root), JSON.stringify(stamp, null, 2));
  return current?.key !== key;
}

/**
 * Which add-on to load. Reads one small file, or the stamps where `LIBTORCH` or `TORCH_PYTHON` asks for another
 * libtorch than the one set up last; starts no process, so that it costs a start-up next to nothing.
 *
 * @param {{ env?: NodeJS.ProcessEnv, root?: string }} [options]
 * @returns {AddonChoice} `path` is null where there is nothing to load; `attempts` then says what was tried
 */
export function chooseAddon({ env = process.env, root = buildRoot } = {}) {
  const { LIBTORCH: folder, TORCH_PYTHON: python } = env;
  if (folder)
    return chooseByStamp(root, 'LIBTORCH', folder, ({ libtorch }) => samePath(libtorch.root, folder));
  // Not samePath: the Pythons of all virtual environments are links to one and the same file.
  if (python)
    return chooseByStamp(root, 'TORCH_PYTHON', python, ({ libtorch }) => libtorch.python === python);
  const stamp = readStamp(currentPath(root));
  return stamp === null
    ? {
        path: null,
        key: null,
        libtorch: null,
        attempts: [`${currentPath(root)}: not built yet`],
      }
    : chosen(stamp, root);
}

/**
 * @param {string} root @param {string} variable @param {string} wanted
 * @param {(stamp: AddonStamp) => boolean} matches
 * @returns {AddonChoice}
 */
function chooseByStamp(root, variable, wanted, matches) {
  const keys = existsSync(root) ? readdirSync(root).filter((name) => name.startsWith('torch-')) : [];
  const stamps = keys.map((key) => readStamp(stampPath(key, root))).filter((stamp) => stamp !== null);
  const stamp = stamps.find(matches);
  if (stamp !== undefined) return chosen(stamp, root);
  const built = stamps.map(({ key, libtorch }) => `${key} of ${libtorch.python ?? libtorch.root}`);
  const attempt = `${variable}=${wanted}: no add-on is built for it (built: ${built.join(', ') || 'none'})`;
  return { path: null, key: null, libtorch: null, attempts: [attempt] };
}

/** @param {AddonStamp} stamp @param {string} root @returns {AddonChoice} */
function chosen(stamp, root) {
  const path = addonPath(stamp.key, root);
  if (existsSync(path)) return { path, key: stamp.key, libtorch: stamp.libtorch, attempts: [] };
  return {
    path: null,
    key: stamp.key,
    libtorch: stamp.libtorch,
    attempts: [`${path}: missing`],
  };
}
