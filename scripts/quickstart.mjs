// `npm run quickstart`: trains a small model on text that is already installed, evaluates it beside gzip, and lets it write.
// Every step is a command you can type yourself; each is printed before it runs.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
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
step('1. Train for two minutes on the declaration files and documents of the installed packages', [
  'train',
  'embedded/quickstart',
  '--out',
  run,
]);
step('2. Evaluate on held-out text', ['evaluate', run, '--memory', 'trained']);
step('3. Let it write', ['generate', run, '--prompt', 'export interface ', '--tokens', '400', '--seed', '1']);

const minutes = ((Date.now() - started) / 60_000).toFixed(1);
console.log(`
${styled(`Done in ${minutes} minutes.`, 'bold')} The run is in ${run}: open ${run}/curve-bpc-seconds.svg to see how it learned.

Next:
  npx transformer-ls train text/small --from path/to/your/folder --max-time 15m    your own text, any files
  npx transformer-ls train --resume ${run} --max-time 10m                 go on with this one
  npx transformer-ls train --help                                                  all recipes and settings
  README.md, docs/tour.md                                                          the library and how to read it`);
