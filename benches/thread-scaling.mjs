/**
 * What our second thread is worth: layers of attention forward and backward, and training steps, with one thread and with more, beside
 * the same ratio of a plain 1024³ product in the same process, which is what the machine gives at most.
 *
 *   npm run bench -- thread-scaling [--threads 1,2] [--cases bidirectional-64,…,reference/listops] [--rounds 9] [--out <results file>]
 *
 * One process for each libtorch that a bridge is built for; within it the number of threads changes from pass to pass. Needs no Python.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CASES as LAYERS } from './attention-layer.cases.mjs';
import { ours } from './attention-layer.contestants.mjs';
import {
  machine,
  median,
  ourVariants,
  someOf,
  table,
  Worker,
  wholeNumber,
  wholeNumbers,
} from './side-by-side.workers.mjs';
import { CASES as MODELS } from './training-step.cases.mjs';
import { trainingJob, writeData } from './training-step.data.mjs';

const DEFAULT_MODELS = ['consistent/small', 'consistent/4x1024', 'reference/listops'];
const KNOWN = [...Object.keys(LAYERS), ...Object.keys(MODELS)];
const WARM_UP = 2;
/** Products after each pass: one of them alone is over in a few milliseconds. */
const PRODUCTS = 3;

function readSettings() {
  const { values } = parseArgs({
    options: {
      threads: { type: 'string', default: '1,2' },
      cases: { type: 'string', default: [...Object.keys(LAYERS), ...DEFAULT_MODELS].join(',') },
      rounds: { type: 'string', default: '9' },
      out: { type: 'string' },
    },
  });
  return {
    threads: wholeNumbers('--threads', values.threads),
    cases: someOf('--cases', values.cases, KNOWN),
    rounds: wholeNumber('--rounds', values.rounds),
    out: values.out,
  };
}

/** Workers that are ready to make passes of a case. */
async function startWorkers(name, folder, threads) {
  const most = Math.max(...threads);
  if (name in LAYERS) {
    const workers = ours('fused', { threads: most }, 'random').map((variant) => new Worker(variant));
    for (const worker of workers) await worker.ask({ ...worker.variant.job, case: LAYERS[name] });
    return workers;
  }
  const job = { ...trainingJob(name, folder), threads: most, kind: 'make-weights' };
  writeData(job);
  const workers = ourVariants('training-step.worker.mjs', job).map((variant) => new Worker(variant));
  for (const worker of workers) await worker.ask(job);
  return workers;
}

async function measureCase(name, { threads, rounds }) {
  const folder = mkdtempSync(join(tmpdir(), 'tls-bench-'));
  const workers = await startWorkers(name, folder, threads);
  try {
    const rows = workers.map(({ variant }) => ({
      name,
      variant,
      times: threads.map(() => []),
      products: threads.map(() => []),
    }));
    for (let round = -WARM_UP; round < rounds; round++)
      for (const [i, worker] of workers.entries())
        for (const [j, count] of threads.entries()) {
          await worker.ask({ do: 'threads', count });
          const steps = await worker.turn();
          const products = [];
          for (let k = 0; k < PRODUCTS; k++) products.push((await worker.ask({ do: 'product' })).gflops);
          if (round < 0) continue;
          rows[i].times[j].push(...steps.map(({ both, ms }) => both ?? ms));
          rows[i].products[j].push(median(products));
        }
    return rows;
  } finally {
    for (const worker of workers) worker.end();
    rmSync(folder, { recursive: true });
  }
}

function describe({ threads, rounds }, rows) {
  const [first, ...more] = threads;
  const titles = [
    'what',
    'libtorch',
    ...threads.map((count) => `ms, ${count} thread(s)`),
    ...more.flatMap((count) => [`${count} over ${first}`, 'product 1024³']),
  ];
  const lines = rows.map(({ name, variant, times, products }) => [
    LAYERS[name]?.what ?? `training step, ${name}`,
    variant.version,
    ...times.map((some) => median(some).toFixed(1)),
    ...more.flatMap((_, j) => [
      (median(times[0]) / median(times[j + 1])).toFixed(2),
      (median(products[j + 1]) / median(products[0])).toFixed(2),
    ]),
  ]);
  return [
    `# What ${more.join(', ')} threads are worth beside ${first}`,
    '',
    `${machine()}; load average ${loadavg()[0].toFixed(1)}. Medians of ${rounds} passes each, in turns within one process; layers are forward and backward, fused, float32.`,
    'The last column of each pair is the ratio of the rate of a plain product of 1024³ in the same process and rounds: what the machine gives.',
    '',
    table(titles, lines),
    '',
  ].join('\n');
}

async function main() {
  const settings = readSettings();
  const rows = [];
  for (const name of settings.cases) {
    rows.push(...(await measureCase(name, settings)));
    console.error(`${name} measured`);
    if (settings.out) writeFileSync(settings.out, describe(settings, rows));
  }
  console.log(describe(settings, rows));
}

try {
  await main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
