/**
 * Milliseconds of one layer of attention with its projections, forward and with backward: ours fused and composed beside the
 * published module on PyTorch at its best setting.
 *
 *   TORCH_PYTHON=<python with torch> npm run bench -- attention-layer --reference-clone <folder>
 *     [--also <another python with torch>]... [--cases bidirectional-64,…] [--threads 2] [--rounds 7] [--composed]
 *     [--out <results file>]
 *
 * One child process per contestant, with the same weights and inputs; they take turns of a few steps. The published
 * module runs with one thread and with `--threads` that wait without spinning, and the faster of the two counts. Outputs and
 * gradients are compared before any number is reported. See benches/README.md.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CASES } from './attention-layer.cases.mjs';
import {
  median,
  ourVariants,
  pythonVariant,
  torchVersion,
  Worker,
  wholeNumber,
} from './side-by-side.workers.mjs';

const WARM_UP = 2;
/** A turn is a step that does not count, after which the threads run on their cores again, and these. */
const STEPS_OF_TURN = 3;
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
  const names = values.cases.split(',');
  for (const name of names)
    if (!(name in CASES))
      throw new Error(`--cases: expected some of ${Object.keys(CASES).join(', ')}, received ${name}`);
  return {
    names,
    threads: wholeNumber('--threads', values.threads),
    rounds: wholeNumber('--rounds', values.rounds),
    pythons: [process.env.TORCH_PYTHON, ...values.also].filter(Boolean),
    clone: values['reference-clone'] ?? process.env.TRANSFORMER_LS_REFERENCE,
    composed: values.composed,
    out: values.out,
  };
}

function contestants({ pythons, clone, composed, threads }) {
  const ours = (fused, suffix) =>
    ourVariants('attention-layer.worker.mjs', { kind: 'load-weights', fused, threads }).map((variant) => ({
      ...variant,
      name: `${variant.name}, ${suffix}`,
      group: `${variant.name}, ${suffix}`,
    }));
  const found = [...ours(true, 'fused'), ...(composed ? ours(false, 'composed') : [])];
  if (found.length === 0) throw new Error('attention-layer: no bridge is built; run: npm run setup');
  if (!clone) return found;
  for (const python of pythons) {
    const group = `published, PyTorch ${torchVersion(python)}`;
    for (const used of new Set([1, threads]))
      found.push({
        ...pythonVariant(python, 'pytorch/attention-layer.py', `${group}, ${used} thread(s)`, {
          clone,
          threads: used,
        }),
        group,
      });
  }
  return found;
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
      const { steps } = await worker.ask({ do: 'turn', steps: STEPS_OF_TURN });
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

/** The faster setting of each group. */
function best(rows) {
  const groups = new Map();
  for (const row of rows) {
    const before = groups.get(row.variant.group);
    if (before === undefined || median(row.both) < median(before.both)) groups.set(row.variant.group, row);
  }
  return [...groups.values()];
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
    `| ${titles.join(' | ')} |`,
    `| --- |${' ---: |'.repeat(titles.length - 1)}`,
    ...lines.map((cells) => `| ${cells.join(' | ')} |`),
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
  const workers = contestants(settings).map((variant) => new Worker(variant));
  try {
    for (const [i, worker] of workers.entries())
      await worker.ask({ ...shared, ...worker.variant.job, ...(i === 0 ? { kind: 'make-weights' } : {}) });
    const { multiplyAccumulates } = await workers[0].ask({ do: 'work' });
    const rows = await measure(workers, settings.rounds);
    compare(name, rows);
    return describe(CASES[name], best(rows), multiplyAccumulates);
  } finally {
    for (const worker of workers) worker.end();
    rmSync(folder, { recursive: true });
  }
}

async function main() {
  const settings = readSettings();
  const parts = [
    `# A layer of attention beside the published module\n\nCPU ${cpus()[0].model.trim()}, ${cpus().length} cores, ${settings.threads} threads; ${new Date().toISOString().slice(0, 10)}; medians of ${settings.rounds} interleaved turns of ${STEPS_OF_TURN} steps; GFLOP/s counts six operations per multiply-accumulate of the forward pass.\n`,
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
