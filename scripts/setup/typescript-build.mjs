/** Are the TypeScript sources newer than what was built from them? */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './run.mjs';

/** @param {string} root */
function stampPath(root) {
  return join(root, 'node_modules', '.typescript-build');
}

/**
 * Hash of names, sizes and times of all sources, settings and of the compiler's version: reading the contents is left
 * to `tsc -b`, which does nothing where they have not changed.
 *
 * @param {string} root
 * @returns {string}
 */
export function hashTypescriptState(root) {
  const hash = createHash('sha256');
  for (const path of listInputs(root)) {
    const { size, mtimeMs } = statSync(join(root, path));
    hash.update(`${path}\0${size}\0${mtimeMs}\n`);
  }
  return hash.digest('hex');
}

/** @param {string} root @returns {string[]} */
function listInputs(root) {
  const fixed = ['tsconfig.json', 'tsconfig.base.json', 'node_modules/typescript/package.json'];
  const perPackage = listPackages(root).flatMap((name) => {
    const folder = join('packages', name);
    const sources = readdirSync(join(root, folder, 'src'), { recursive: true, encoding: 'utf8' });
    const files = sources.filter((file) => /\.tsx?$/.test(file)).map((file) => join(folder, 'src', file));
    return [join(folder, 'tsconfig.json'), join(folder, 'package.json'), ...files];
  });
  return [...fixed, ...perPackage].filter((path) => existsSync(join(root, path))).sort();
}

/** @param {string} root @returns {string[]} */
function listPackages(root) {
  const names = readdirSync(join(root, 'packages'));
  return names.filter((name) => existsSync(join(root, 'packages', name, 'src')));
}

/** @param {string} root */
function findUnbuilt(root) {
  return listPackages(root).find((name) => !existsSync(join(root, 'packages', name, 'dist', 'index.js')));
}

/** @param {string} root @returns {string | null} why a build is needed, null if it is not */
export function whyTypescriptBuild(root) {
  const unbuilt = findUnbuilt(root);
  if (unbuilt !== undefined) return `packages/${unbuilt} is not built`;
  const stamp = stampPath(root);
  if (!existsSync(stamp)) return 'it is not known what the last build was made from';
  return readFileSync(stamp, 'utf8') === hashTypescriptState(root)
    ? null
    : 'sources have changed since the last build';
}

/** @param {string} root @param {import('./run.mjs').RunOptions} options */
export async function buildTypescript(root, options) {
  // Taken before the build: a file changed meanwhile leads to another build, not to a stale one.
  const state = hashTypescriptState(root);
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  // tsc trusts its own records and does not see that an output was deleted.
  const force = findUnbuilt(root) === undefined ? [] : ['--force'];
  await run(process.execPath, [compiler, '-b', ...force], { ...options, cwd: root });
  writeFileSync(`${stampPath(root)}.tmp`, state);
  renameSync(`${stampPath(root)}.tmp`, stampPath(root));
}
