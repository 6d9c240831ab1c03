/**
 * Milliseconds of one layer of attention with its projections, forward and with backward: ours fused and composed beside the
 * published module on PyTorch at its best setting.
 *
 *   TORCH_PYTHON=<python with torch> npm run bench -- attention-layer --reference-clone <folder>
 *     [--also <another python with torch>]... [--cases bidirectional-64,…] [--threads 2] [--rounds 7] [--composed]
 *     [--out <results file>]
 *
 * One child process per contestant, with the same weights and inputs; they take turns, a few passes each per round. The published
 * module runs with one thread, with `--threads` that wait without spinning and on torch 1 with as many that spin; the fastest counts. Outputs and
 * gradients are compared before any number is reported. See benches/README.md.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CASES } from './attention-layer.cases.mjs';
import { ourPaths, ours, published } from './attention-layer.contestants.mjs';
import {
  bestOfGroups,
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

const WARM_UP = 2;
/** Of the largest number compared. */
const TOLERANCE = 1e-3;

function readSettings() {
  const { values } = parseArgs({
    options: {
      cases: { type: 'string', default: Object.keys(CASES).join(',') },
      threads: { type: 'string', default: '2' },
      rounds: { type: 'string', default: '7' },
      'reference-clone': { type: 'string' },
      also: { type: 'string', multiple: true, default: [] },
      composed: { type: 'boolean', default: false },
      out: { type: 'string' },
    },
  });
  return {
    names: someOf('--cases', values.cases, Object.keys(CASES)),
    threads: wholeNumber('--threads', values.threads),
    rounds: wholeNumber('--rounds', values.rounds),
    pythons: pythonsOf(values),
    clone: cloneOf(values),
    composed: values.composed,
    out: values.out,
  };
}

function compare(name, rows) {
  for (const what of ['output', 'gradient']) {
    const expected = rows[0].last[what];
    const largest = Math.max(1, ...expected.map(Math.abs));
    for (const { variant, last } of rows) {
      const difference = Math.max(...last[what].map((value, i) => Math.abs(value - expected[i])));
      if (!(difference <= TOLERANCE * largest))
        throw new Error(
          `${name}: the ${what} of ${variant.name} differs from ${rows[0].variant.name} by ${difference}`,
        );
    }
  }
}

async function measure(workers, rounds) {
  const rows = workers.map(({ variant }) => ({ variant, forward: [], both: [], products: [] }));
  for (let round = -WARM_UP; round < rounds; round++) {
    process.stderr.write(round < 0 ? 'warm-up ' : `${round + 1}/${rounds} `);
    for (const [i, worker] of workers.entries()) {
      const steps = await worker.turn();
      const { gflops } = await worker.ask({ do: 'product' });
      rows[i].last = steps.at(-1);
      if (round < 0) continue;
      rows[i].forward.push(...steps.map(({ forward }) => forward));
      rows[i].both.push(...steps.map(({ both }) => both));
      rows[i].products.push(gflops);
    }
  }
  process.stderr.write('\n');
  for (const [i, worker] of workers.entries()) rows[i].peakMib = (await worker.ask({ do: 'memory' })).peakMib;
  return rows;
}

function describe(chosen, rows, multiplyAccumulates) {
  const peers = rows.filter(({ variant }) => !variant.ours);
  const header = [
    'contestant',
    'forward, ms',
    'with backward, ms',
    'fastest',
    'GFLOP/s',
    '1024³',
    'share',
    'peak MiB',
  ];
  const titles = [...header, ...peers.map(({ variant }) => `times as fast as ${variant.group}`)];
  const lines = rows.map(({ variant, forward, both, products, peakMib }) => {
    const rate = (3 * 2 * multiplyAccumulates) / median(both) / 1e6;
    return [
      variant.name,
      median(forward).toFixed(1),
      median(both).toFixed(1),
      Math.min(...both).toFixed(1),
      rate.toFixed(0),
      median(products).toFixed(0),
      `${((100 * rate) / median(products)).toFixed(0)} %`,
      peakMib.toFixed(0),
      ...peers.map((peer) => (variant.ours ? (median(peer.both) / median(both)).toFixed(2) : '')),
    ];
  });
  return [
    `## ${chosen.what}`,
    '',
    `${(multiplyAccumulates / 1e9).toFixed(2)} G multiply-accumulates forward; load average ${loadavg()[0].toFixed(1)}.`,
    '',
    table(titles, lines),
    '',
  ].join('\n');
}

async function measureCase(name, settings) {
  const folder = mkdtempSync(join(tmpdir(), 'tls-bench-'));
  const shared = {
    case: CASES[name],
    weights: join(folder, 'weights.safetensors'),
    inputs: join(folder, 'inputs.safetensors'),
  };
  const all = [
    ...ourPaths(CASES[name], settings).flatMap((path) => ours(path, settings, 'load-weights')),
    ...published(settings, 'load-weights'),
  ];
  const workers = all.map((variant) => new Worker(variant));
  try {
    for (const [i, worker] of workers.entries())
      await worker.ask({ ...shared, ...worker.variant.job, ...(i === 0 ? { kind: 'make-weights' } : {}) });
    const { multiplyAccumulates } = await workers[0].ask({ do: 'work' });
    const rows = await measure(workers, settings.rounds);
    compare(name, rows);
    return describe(
      CASES[name],
      bestOfGroups(rows, ({ both }) => median(both)),
      multiplyAccumulates,
    );
  } finally {
    for (const worker of workers) worker.end();
    rmSync(folder, { recursive: true });
  }
}

async function main() {
  const settings = readSettings();
  const parts = [
    `# A layer of attention beside the published module\n\n${machine()}; ${settings.threads} thread(s); medians of ${settings.rounds} interleaved turns; GFLOP/s counts six operations per multiply-accumulate of the forward pass.\n`,
    ...leftOut(settings).map((line) => `${line}\n`),
  ];
  console.log(parts.join('\n'));
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
