/**
 * Runs one benchmark: `npm run bench -- <name> [its arguments]`. Without a name it lists them. A benchmark is a file
 * `benches/<name>.mjs`; files with a further dot in the name are parts of one.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = join(dirname(dirname(fileURLToPath(import.meta.url))), 'benches');

function benchmarkNames() {
  return readdirSync(folder)
    .map((file) => /^([^.]+)\.mjs$/.exec(file)?.[1])
    .filter((name) => name !== undefined)
    .sort();
}

/** @param {string[]} args @returns {number} exit code */
function main([name, ...args]) {
  const names = benchmarkNames();
  if (name === undefined) {
    console.log(
      `usage: npm run bench -- <name> [arguments]\n\n${names.map((known) => `  ${known}`).join('\n')}`,
    );
    return 0;
  }
  if (!names.includes(name)) {
    console.error(`bench: expected one of ${names.join(', ')}, received ${name}`);
    return 1;
  }
  return (
    spawnSync(process.execPath, [join(folder, `${name}.mjs`), ...args], { stdio: 'inherit' }).status ?? 1
  );
}

process.exitCode = main(process.argv.slice(2));
