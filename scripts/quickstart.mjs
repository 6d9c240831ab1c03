// `npm run quickstart`: lets a model that is already trained write, trains a small one on text that is already installed, evaluates it
// beside gzip, lets it write, and exports it for Node and browsers.
// Every step is a command you can type yourself; each is printed before it runs.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { styleText } from 'node:util';

const cli = fileURLToPath(new URL('../packages/transformer-ls/bin/transformer-ls.mjs', import.meta.url));
const started = Date.now();

/** @param {string} text @param {Parameters<typeof styleText>[0]} style */
const styled = (text, style) =>
  process.stdout.isTTY && !process.env.NO_COLOR ? styleText(style, text) : text;

/** @param {string} title @param {string[]} args */
function step(title, args) {
  const shown = args.map((word) => (/[^\w./=-]/.test(word) ? `'${word}'` : word)).join(' ');
  console.log(`\n${styled(title, 'bold')}\n${styled(`$ npx transformer-ls ${shown}`, 'cyan')}`);
  const { status, signal } = spawnSync(process.execPath, [cli, ...args], { stdio: 'inherit' });
  if (status === 0) return;
  console.error(`\nquickstart: stopped at "${title}" (${signal ?? `exit code ${status}`})`);
  process.exit(status ?? 1);
}

/** A folder that no earlier quickstart has used. */
function freshFolder() {
  for (let number = 1; ; number++) {
    const folder = number === 1 ? 'runs/quickstart' : `runs/quickstart-${number}`;
    if (!existsSync(folder)) return folder;
  }
}

const run = freshFolder();
step(
  '1. Let a shipped model write: it was trained for an hour on the text that yours will see for two minutes',
  [
    'generate',
    'declarations',
    '--prompt',
    'export interface ',
    '--tokens',
    '400',
    '--temperature',
    '0.7',
    '--seed',
    '1',
  ],
);
step('2. Train for two minutes on the declaration files and documents of the installed packages', [
  'train',
  'embedded/quickstart',
  '--out',
  run,
]);
step('3. Evaluate on held-out text', ['evaluate', run, '--memory', 'trained']);
step('4. Let it write', ['generate', run, '--prompt', 'export interface ', '--tokens', '400', '--seed', '1']);
step('5. Export it: ONNX files that run in Node and browsers without libtorch', [
  'export',
  run,
  '--out',
  `exported/${basename(run)}`,
]);

const minutes = ((Date.now() - started) / 60_000).toFixed(1);
console.log(`
${styled(`Done in ${minutes} minutes.`, 'bold')} The run is in ${run}: open ${run}/curve-bpc-seconds.svg to see how it learned.

Next:
  npm run web                                                                      the page: this run, and models that write, read and see
  npx transformer-ls train text/small --from path/to/your/folder --max-time 15m    your own text, any files
  npx transformer-ls train --resume ${run} --max-time 10m                 go on with this one
  npx transformer-ls train --help                                                  all recipes and settings
  README.md, docs/tour.md                                                          the library and how to read it`);
