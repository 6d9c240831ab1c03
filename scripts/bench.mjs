/**
 * Runs benchmarks:
 *
 *   npm run bench                                   lists them
 *   npm run bench -- <name> [--quick] [arguments]   runs one; --quick: tiny sizes, to see that it works
 *   npm run bench -- all --out <folder> [--quick] [--reference-clone <folder>] [--also <python>]... [--threads 2] [--data <folder>]
 *     [--pictures <folder>] [--only <name>,…]       runs all in turn and files their results
 *
 * A benchmark is a file `benches/<name>.mjs`, described in `benches/all.catalogue.mjs`; files with a further dot in the name are parts.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { CATALOGUE } from '../benches/all.catalogue.mjs';

const folder = join(dirname(dirname(fileURLToPath(import.meta.url))), 'benches');
const names = Object.keys(CATALOGUE);

function list() {
  const width = Math.max(...names.map((name) => name.length));
  const lines = names.map((name) => {
    const { question, minutes } = CATALOGUE[name];
    return `  ${name.padEnd(width)}  ${String(minutes).padStart(3)} min  ${question}`;
  });
  return [
    'usage: npm run bench -- <name> [--quick] [arguments]',
    '       npm run bench -- all --out <folder> [--quick] [--reference-clone <folder>] [--also <python>]...',
    '',
    ...lines,
  ].join('\n');
}

/** @returns {number} exit code */
function runOne(name, args) {
  const { status } = spawnSync(process.execPath, [join(folder, `${name}.mjs`), ...args], {
    stdio: 'inherit',
  });
  return status ?? 1;
}

/** The quick arguments come first: what the caller says counts. */
function withQuick(name, args) {
  const rest = args.filter((arg) => arg !== '--quick');
  return rest.length === args.length ? args : [...CATALOGUE[name].quick, ...rest];
}

function readSettings(args) {
  const { values } = parseArgs({
    args,
    options: {
      out: { type: 'string' },
      quick: { type: 'boolean', default: false },
      only: { type: 'string', default: names.join(',') },
      'reference-clone': { type: 'string' },
      also: { type: 'string', multiple: true },
      threads: { type: 'string' },
      data: { type: 'string' },
      pictures: { type: 'string' },
    },
  });
  if (values.out === undefined)
    throw new Error('bench: expected all --out <folder for the results>, received no --out');
  const only = values.only.split(',');
  for (const name of only)
    if (!names.includes(name))
      throw new Error(`bench: expected --only some of ${names.join(', ')}, received ${name}`);
  return { ...values, only, pictures: values.pictures ?? values.out };
}

/** What of the settings a benchmark is given. */
function argumentsFor(name, settings) {
  const { takes, quick } = CATALOGUE[name];
  const passed = takes.flatMap((flag) =>
    [settings[flag] ?? []].flat().flatMap((text) => [`--${flag}`, text]),
  );
  const hardware = cpus()[0]
    .model.trim()
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-');
  const date = new Date().toISOString().slice(0, 10);
  const out = join(resolve(settings.out), `${name}_${hardware}_${date}.md`);
  return [...(settings.quick ? quick : []), ...passed, '--out', out];
}

/** What a benchmark needs and does not have; undefined: nothing. */
function missing(name, settings) {
  const { needs = [] } = CATALOGUE[name];
  return needs.find((need) => (settings[need] ?? process.env[need]) === undefined);
}

/** @returns {number} exit code: 1 where one of them failed */
function runAll(args) {
  const settings = readSettings(args);
  mkdirSync(settings.out, { recursive: true });
  const ended = settings.only.map((name) => {
    const need = missing(name, settings);
    if (need !== undefined)
      return `${name}: left out, needs ${need === need.toUpperCase() ? '' : '--'}${need}`;
    const begun = performance.now();
    console.log(`\n==== ${name}\n`);
    const status = runOne(name, argumentsFor(name, settings));
    const took = `${((performance.now() - begun) / 1000).toFixed(0)} s`;
    return status === 0 ? `${name}: done in ${took}` : `${name}: failed after ${took}`;
  });
  console.log(`\n${ended.join('\n')}`);
  return ended.some((line) => line.includes(': failed')) ? 1 : 0;
}

/** @param {string[]} args @returns {number} exit code */
function main([name, ...args]) {
  if (name === undefined) {
    console.log(list());
    return 0;
  }
  if (name === 'all') return runAll(args);
  if (!names.includes(name)) {
    console.error(`bench: expected all or one of ${names.join(', ')}, received ${name}`);
    return 1;
  }
  return runOne(name, withQuick(name, args));
}

try {
  process.exitCode = main(process.argv.slice(2));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
