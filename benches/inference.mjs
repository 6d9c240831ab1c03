/**
 * What an exported model does in a second: tokens streamed, documents of 4,096 bytes and pictures of 224 x 224 read, one at a time, by
 * onnxruntime-node, beside the same models on libtorch and the published code on PyTorch.
 *
 *   TORCH_PYTHON=<python with torch 2.x> npm run bench -- inference --reference-clone <folder> [--also <another python with torch>]...
 *     [--cases text,vil-ls-tiny,vil-ls-medium,streaming] [--threads 2] [--rounds 7] [--out <results file>]
 *
 * One child process per variant, with the same weights and inputs; they take turns. Results are compared before any number is reported,
 * but for streaming: there the published code gives other numbers, as it fills each single token up to a window (spec 3.5).
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CASES } from './inference.cases.mjs';
import {
  bestOfGroups,
  cloneOf,
  leftOut,
  machine,
  median,
  ourVariants,
  pythonSettings,
  pythonsOf,
  someOf,
  table,
  torchVersion,
  Worker,
  wholeNumber,
} from './side-by-side.workers.mjs';

const WARM_UP = 1;
/** Of the largest number. */
const TOLERANCE = 1e-4;

function readSettings() {
  const names = Object.keys(CASES).filter((name) => name !== 'tiny');
  const { values } = parseArgs({
    options: {
      cases: { type: 'string', default: names.join(',') },
      threads: { type: 'string', default: '2' },
      rounds: { type: 'string', default: '7' },
      'reference-clone': { type: 'string' },
      also: { type: 'string', multiple: true, default: [] },
      out: { type: 'string' },
    },
  });
  return {
    cases: someOf('--cases', values.cases, Object.keys(CASES)),
    threads: wholeNumber('--threads', values.threads),
    rounds: wholeNumber('--rounds', values.rounds),
    pythons: pythonsOf(values),
    clone: cloneOf(values),
    out: values.out,
  };
}

/** The first makes weights, inputs and the exported model. */
function variantsOf({ pythons, clone, threads }) {
  const variants = ourVariants('inference.worker.mjs', { kind: 'libtorch' });
  if (variants.length === 0) throw new Error('inference: no bridge is built; run: npm run setup');
  const [{ command, env }] = variants;
  variants.push({ name: 'exported, onnxruntime-node', ours: true, command, env, job: { kind: 'exported' } });
  if (!clone) return variants;
  for (const python of pythons) {
    const name = `PyTorch ${torchVersion(python)}, published`;
    variants.push(
      ...pythonSettings(python, 'pytorch/inference.py', name, { kind: 'published', clone }, threads),
    );
  }
  return variants;
}

function compare(rows) {
  const [first, ...others] = rows;
  const largest = Math.max(...first.numbers.map(Math.abs));
  for (const { variant, numbers } of others) {
    const difference = Math.max(...numbers.map((value, i) => Math.abs(value - first.numbers[i])));
    if (!(difference <= TOLERANCE * largest))
      throw new Error(`${variant.name} differs from ${first.variant.name} by ${difference} of ${largest}`);
  }
}

async function measure(workers, { comparable, times }, rounds) {
  const rows = workers.map(({ variant }) => ({ variant, times: [], numbers: [] }));
  for (let round = -WARM_UP; round < rounds; round++) {
    process.stderr.write(round < 0 ? 'warm-up ' : `${round + 1}/${rounds} `);
    for (const [i, worker] of workers.entries()) {
      const passes = await worker.turn({ do: 'run' }, times);
      rows[i].numbers = passes[0].numbers;
      if (round >= 0) rows[i].times.push(...passes.map(({ ms }) => ms));
    }
  }
  process.stderr.write('\n');
  if (comparable) compare(rows);
  for (const [i, worker] of workers.entries()) rows[i].peakMib = (await worker.ask({ do: 'memory' })).peakMib;
  return bestOfGroups(rows, (row) => median(row.times));
}

function describe(name, { what, perRun, unit }, rows, threads) {
  const peers = rows.filter(({ variant }) => !variant.ours);
  const header = ['variant', 'ms', 'fastest', `${unit}/s`, 'peak MiB'];
  const ratios = peers.map(({ variant }) => `times as fast as ${variant.group ?? variant.name}`);
  const lines = rows.map(({ variant, times, peakMib }) => {
    const ms = median(times) / perRun;
    return [
      variant.name,
      ms.toFixed(2),
      (Math.min(...times) / perRun).toFixed(2),
      (1000 / ms).toFixed(1),
      peakMib.toFixed(0),
      ...peers.map((peer) => (variant.ours ? (median(peer.times) / perRun / ms).toFixed(2) : '')),
    ];
  });
  const load = loadavg().map((x) => x.toFixed(1));
  return [
    `## ${name}`,
    '',
    `${what}; ${threads} thread(s); medians of ${rows[0].times.length} interleaved passes; load average ${load.join(' ')}.`,
    '',
    table([...header, ...ratios], lines),
    '',
  ].join('\n');
}

async function runCase(name, settings) {
  const definition = CASES[name];
  const folder = mkdtempSync(join(tmpdir(), 'tls-bench-'));
  const workers = variantsOf(settings)
    .filter(({ job }) => job.kind !== 'published' || definition.published)
    .map((variant) => new Worker(variant));
  const { config, published, arch, length, tokens } = definition;
  const job = {
    config,
    publishedConfig: published,
    arch,
    length,
    tokens,
    threads: settings.threads,
    weights: join(folder, 'weights.safetensors'),
    inputs: join(folder, 'inputs.safetensors'),
    exported: join(folder, 'exported'),
  };
  try {
    for (const [i, worker] of workers.entries())
      await worker.ask({ ...job, ...worker.variant.job, first: i === 0 });
    return describe(name, definition, await measure(workers, definition, settings.rounds), settings.threads);
  } finally {
    for (const worker of workers) worker.end();
    rmSync(folder, { recursive: true });
  }
}

async function main() {
  const settings = readSettings();
  const parts = [
    `# Inference, one at a time\n\n${machine()}\n`,
    ...leftOut(settings).map((line) => `${line}\n`),
  ];
  for (const name of settings.cases) {
    parts.push(await runCase(name, settings));
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
