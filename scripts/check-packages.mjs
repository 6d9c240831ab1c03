/**
 * `npm run check:packages`: packs the packages and asks publint and "Are the types wrong?" about the files that would be published.
 * `-- <folder>` asks about files that `npm run pack -- <folder>` has written.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, 'node_modules');

const questions = [
  { asked: 'publint', args: ['publint/src/cli.js', 'run', '--strict'] },
  // There is no CommonJS build: Node has loaded ES modules by `require` since 20.19. `exports` is all that is looked at.
  {
    asked: 'types',
    args: ['@arethetypeswrong/cli/dist/index.js', '--profile', 'esm-only', '--format', 'ascii', '--no-emoji'],
  },
];

/** @param {string} folder of packed packages @returns {number} how many answers were bad */
function check(folder) {
  const files = readdirSync(folder).filter((name) => name.endsWith('.tgz'));
  if (files.length === 0) throw new Error(`${folder} holds no packages`);
  let bad = 0;
  for (const file of files)
    for (const { asked, args } of questions) {
      const [program, ...options] = args;
      const { status, stdout, stderr } = spawnSync(
        process.execPath,
        [join(modules, program ?? ''), ...options, join(folder, file)],
        { encoding: 'utf8' },
      );
      console.log(`${status === 0 ? 'ok  ' : 'fail'}  ${asked.padEnd(8)}  ${file}`);
      if (status === 0) continue;
      bad += 1;
      console.log(`${stdout}${stderr}`);
    }
  return bad;
}

/** @returns {string} a new folder with the packages */
function pack() {
  const folder = mkdtempSync(join(tmpdir(), 'tls-packages-'));
  const { status } = spawnSync(process.execPath, [join(root, 'scripts', 'pack.mjs'), folder], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (status === 0) return folder;
  rmSync(folder, { recursive: true });
  throw new Error('npm run pack failed');
}

const given = process.argv[2];
const folder = given ?? pack();
try {
  process.exitCode = check(folder) === 0 ? 0 : 1;
} finally {
  if (given === undefined) rmSync(folder, { recursive: true });
}
