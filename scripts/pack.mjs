/**
 * `npm run pack -- <folder>`: the packages as files that `npm install` and `npm publish` take. Each takes the licence with it, and
 * transformer-ls the page and the shipped models, which in a clone lie elsewhere.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const app = join(root, 'apps', 'dashboard');
const packages = ['formats', 'torch', 'runtime', 'transformer-ls'].map((name) =>
  join(root, 'packages', name),
);
const main = join(root, 'packages', 'transformer-ls');
const visitors = [
  { from: join(app, 'dist'), to: join(main, 'page') },
  { from: join(root, 'models'), to: join(main, 'models') },
  { from: join(root, 'THIRD-PARTY.md'), to: join(main, 'THIRD-PARTY.md') },
  ...packages.map((path) => ({ from: join(root, 'LICENSE'), to: join(path, 'LICENSE') })),
];

const [folder, ...others] = process.argv.slice(2);
if (folder === undefined || others.length > 0) {
  console.error('usage: npm run pack -- <folder>');
  process.exit(2);
}

const node = process.execPath;
run(node, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-b'], root);
run(node, [join(root, 'node_modules', 'vite', 'bin', 'vite.js'), 'build', '--logLevel', 'warn'], app);
for (const path of packages) removeStale(path);
mkdirSync(folder, { recursive: true });
try {
  for (const { from, to } of visitors) cpSync(from, to, { recursive: true });
  for (const path of packages) run('npm', ['pack', '--silent', '--pack-destination', resolve(folder)], path);
} finally {
  for (const { to } of visitors) rmSync(to, { recursive: true, force: true });
}

/** What was built of sources that have gone since: the compiler leaves it. @param {string} path of a package */
function removeStale(path) {
  const built = join(path, 'dist');
  for (const name of readdirSync(built, { recursive: true, encoding: 'utf8' })) {
    const source = name.replace(/\.(js|d\.ts)(\.map)?$/, '.ts');
    if (source !== name && !existsSync(join(path, 'src', source))) rmSync(join(built, name));
  }
}

/** @param {string} command @param {string[]} args @param {string} cwd */
function run(command, args, cwd) {
  const { status } = spawnSync(command, args, { cwd, stdio: 'inherit' });
  if (status !== 0) throw new Error(`${[command, ...args].join(' ')} ended with ${status}`);
}
