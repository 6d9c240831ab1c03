/**
 * `npm run pack -- <folder>`: the packages as files that `npm install` takes. transformer-ls takes the page and the shipped models with
 * it, which in a clone lie elsewhere.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const app = join(root, 'apps', 'dashboard');
const contents = { page: join(app, 'dist'), models: join(root, 'models') };
const packages = ['formats', 'torch', 'runtime', 'transformer-ls'].map((name) =>
  join(root, 'packages', name),
);

const [folder, ...others] = process.argv.slice(2);
if (folder === undefined || others.length > 0) {
  console.error('usage: npm run pack -- <folder>');
  process.exit(2);
}

const node = process.execPath;
run(node, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-b'], root);
run(node, [join(root, 'node_modules', 'vite', 'bin', 'vite.js'), 'build', '--logLevel', 'warn'], app);
mkdirSync(folder, { recursive: true });
try {
  for (const [name, from] of Object.entries(contents)) cpSync(from, placeOf(name), { recursive: true });
  for (const path of packages) run('npm', ['pack', '--silent', '--pack-destination', resolve(folder)], path);
} finally {
  for (const name of Object.keys(contents)) rmSync(placeOf(name), { recursive: true, force: true });
}

/** @param {string} name */
function placeOf(name) {
  return join(root, 'packages', 'transformer-ls', name);
}

/** @param {string} command @param {string[]} args @param {string} cwd */
function run(command, args, cwd) {
  const { status } = spawnSync(command, args, { cwd, stdio: 'inherit' });
  if (status !== 0) throw new Error(`${[command, ...args].join(' ')} ended with ${status}`);
}
