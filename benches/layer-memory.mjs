/**
 * Memory of one layer of attention, forward and backward, beyond its inputs, its output and their gradients: ours beside the published
 * module.
 *
 *   TORCH_PYTHON=<python with torch> npm run bench -- layer-memory --reference-clone <folder>
 *     [--also <another python with torch>]... [--cases bidirectional-64,…] [--composed] [--threads 2] [--rounds 3] [--out <results file>]
 *
 * A new process for every measurement, in turns, and the layers of attention-layer. See benches/README.md for what is counted.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { CASES } from './attention-layer.cases.mjs';
import { ourPaths, ours, published } from './attention-layer.contestants.mjs';
import {
  cloneOf,
  leftOut,
  machine,
  median,
  pythonsOf,
  someOf,
  table,
  Worker,
  wholeNumber,
} from './side-by-side.workers.mjs';

function readSettings() {
  const { values } = parseArgs({
    options: {
      cases: { type: 'string', default: Object.keys(CASES).join(',') },
      composed: { type: 'boolean', default: false },
      threads: { type: 'string', default: '2' },
      rounds: { type: 'string', default: '3' },
      'reference-clone': { type: 'string' },
      also: { type: 'string', multiple: true, default: [] },
      out: { type: 'string' },
    },
  });
  return {
    names: someOf('--cases', values.cases, Object.keys(CASES)),
    composed: values.composed,
    threads: wholeNumber('--threads', values.threads),
    rounds: wholeNumber('--rounds', values.rounds),
    pythons: pythonsOf(values),
    clone: cloneOf(values),
    out: values.out,
  };
}

/** The published module in the setting with all threads: more of them hold more, on both sides. */
function variantsOf(name, settings) {
  const theirs = published(settings, 'random')
    .filter(({ job, env }) => job.threads === settings.threads && env.OMP_WAIT_POLICY)
    .map((variant) => ({ ...variant, name: variant.group }));
  return [...ourPaths(CASES[name], settings).flatMap((path) => ours(path, settings, 'random')), ...theirs];
}

async function measure(variant, what) {
  const worker = new Worker(variant);
  try {
    await worker.ask({ ...variant.job, case: what });
    return await worker.ask({ do: 'beyond' });
  } finally {
    worker.end();
  }
}

async function measureCase(name, settings) {
  const rows = variantsOf(name, settings).map((variant) => ({ variant, beyond: [], results: 0 }));
  for (let round = 0; round < settings.rounds; round++)
    for (const row of rows) {
      const { beyondMib, resultsMib } = await measure(row.variant, CASES[name]);
      row.beyond.push(beyondMib);
      row.results = resultsMib;
    }
  return describe(CASES[name], rows);
}

function describe({ what }, rows) {
  const peers = rows.filter(({ variant }) => !variant.ours);
  const titles = [
    'contestant',
    'MiB beyond',
    'output and gradients, MiB',
    ...peers.map(({ variant }) => `part of ${variant.name}`),
  ];
  const lines = rows.map(({ variant, beyond, results }) => [
    variant.name,
    median(beyond).toFixed(1),
    results.toFixed(1),
    ...peers.map((peer) => (variant.ours ? (median(beyond) / median(peer.beyond)).toFixed(2) : '')),
  ]);
  return [`## ${what}`, '', table(titles, lines), ''].join('\n');
}

async function main() {
  const settings = readSettings();
  const parts = [
    [
      '# Memory of a layer of attention beyond inputs, output and their gradients',
      '',
      `${machine()}; ${settings.threads} thread(s), medians of ${settings.rounds} processes in turns. Highest physical memory of the process during one pass forward and backward (VmHWM,`,
      'begun anew before it) above what it held before with weights, inputs and the direction of the gradient in place, less the bytes of the output, of the',
      "gradient of the input and of the weights' gradients, which the pass leaves. The program is loaded, a small layer has been run and a product of 1024³ made before;",
      'nothing of the size of the layer has. A number below zero: what is left was not there yet at the highest moment.',
      '',
      ...leftOut(settings).flatMap((line) => [line, '']),
    ].join('\n'),
  ];
  console.log(parts[0]);
  for (const name of settings.names) {
    parts.push(await measureCase(name, settings));
    console.log(parts.at(-1));
    if (settings.out) writeFileSync(settings.out, parts.join('\n'));
  }
}

try {
  await main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
