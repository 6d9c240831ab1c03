/**
 * Milliseconds of a forward pass of a published vision model, this package beside the published module on PyTorch.
 *
 *   TORCH_PYTHON=<python with torch 2.x and timm> npm run bench -- vision-forward --reference-clone <folder>
 *     [--also <another python with torch>]... [--model vil-ls-medium] [--batches 1,8] [--threads 2] [--rounds 9] [--compile]
 *     [--out <results file>]
 *
 * One child process per variant, with the same weights and images; they take turns, one pass each per round. The published model
 * runs at several settings, of which the fastest counts. Logits are compared before any number is reported. See benches/README.md.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { archString } from '../packages/transformer-ls/dist/models/vil-ls/arch-string.js';
import { vilLsPreset } from '../packages/transformer-ls/dist/models/vil-ls/presets.js';
import {
  bestOfGroups,
  cloneOf,
  leftOut,
  machine,
  median,
  ourVariants,
  pythonSettings,
  pythonsOf,
  pythonVariant,
  table,
  torchVersion,
  Worker,
  wholeNumber,
  wholeNumbers,
} from './side-by-side.workers.mjs';

const WARM_UP = 2;
/** Of the largest logit. */
const TOLERANCE = 1e-4;

function readSettings() {
  const { values } = parseArgs({
    options: {
      model: { type: 'string', default: 'vil-ls-medium' },
      batches: { type: 'string', default: '1,8' },
      threads: { type: 'string', default: '2' },
      rounds: { type: 'string', default: '9' },
      'reference-clone': { type: 'string' },
      also: { type: 'string', multiple: true, default: [] },
      compile: { type: 'boolean', default: false },
      out: { type: 'string' },
    },
  });
  return {
    config: vilLsPreset(values.model, { mode: 'reference' }),
    name: values.model,
    batches: wholeNumbers('--batches', values.batches),
    threads: wholeNumber('--threads', values.threads),
    rounds: wholeNumber('--rounds', values.rounds),
    pythons: pythonsOf(values),
    clone: cloneOf(values),
    compile: values.compile,
    out: values.out,
  };
}

function variantsOf({ pythons, clone, compile, threads }) {
  const variants = ourVariants('vision-forward.worker.mjs', { kind: 'load-weights' });
  if (variants.length === 0) throw new Error('vision-forward: no bridge is built; run: npm run setup');
  if (!clone) return variants;
  for (const [i, python] of pythons.entries()) {
    const name = `PyTorch ${torchVersion(python)}, published`;
    const published = (kind) => ({ kind, clone });
    variants.push(
      ...pythonSettings(python, 'pytorch/vision-forward.py', name, published('published'), threads),
    );
    if (compile && i === 0)
      variants.push(
        pythonVariant(python, 'pytorch/vision-forward.py', `${name}, torch.compile`, published('compiled')),
      );
  }
  return variants;
}

function compareLogits(batch, rows) {
  const [first, ...others] = rows;
  const largest = Math.max(...first.logits.map(Math.abs));
  for (const { variant, logits } of others) {
    const difference = Math.max(...logits.map((value, i) => Math.abs(value - first.logits[i])));
    if (!(difference <= TOLERANCE * largest))
      throw new Error(`batch ${batch}: ${variant.name} differs from ${first.variant.name} by ${difference}`);
  }
}

async function measureBatch(workers, batch, rounds) {
  const rows = workers.map(({ variant }) => ({ variant, times: [], products: [], logits: [] }));
  for (let round = -WARM_UP; round < rounds; round++) {
    process.stderr.write(round < 0 ? 'warm-up ' : `${round + 1}/${rounds} `);
    for (const [i, worker] of workers.entries()) {
      const passes = await worker.turn({ do: 'forward', batch }, 2);
      rows[i].logits = passes[0].logits;
      const { gflops } = await worker.ask({ do: 'product' });
      if (round < 0) continue;
      rows[i].times.push(...passes.map(({ ms }) => ms));
      rows[i].products.push(gflops);
    }
  }
  process.stderr.write('\n');
  compareLogits(batch, rows);
  for (const [i, worker] of workers.entries()) rows[i].peakMib = (await worker.ask({ do: 'memory' })).peakMib;
  return bestOfGroups(rows, ({ times }) => median(times));
}

function describe({ name, threads }, batch, rows, multiplyAccumulates) {
  const peers = rows.filter(({ variant }) => !variant.ours);
  const header = ['variant', 'ms', 'fastest', 'images/s', 'GFLOP/s', '1024³ GFLOP/s', 'share', 'peak MiB'];
  const ratios = peers.map(({ variant }) => `times as fast as ${variant.group ?? variant.name}`);
  const lines = rows.map(({ variant, times, products, peakMib }) => {
    const ms = median(times);
    const rate = (multiplyAccumulates * 2 * batch) / ms / 1e6;
    const product = median(products);
    return [
      variant.name,
      ms.toFixed(0),
      Math.min(...times).toFixed(0),
      ((1000 * batch) / ms).toFixed(2),
      rate.toFixed(0),
      product.toFixed(0),
      `${((100 * rate) / product).toFixed(0)} %`,
      peakMib.toFixed(0),
      ...peers.map((peer) => (variant.ours ? (median(peer.times) / ms).toFixed(2) : '')),
    ];
  });
  return [
    `## ${name}, batch ${batch}, ${threads} thread(s)`,
    '',
    `Medians of ${rows[0].times.length} interleaved passes; ${(multiplyAccumulates / 1e9).toFixed(2)} G multiply-accumulates an image; load average ${loadavg()
      .map((x) => x.toFixed(1))
      .join(' ')}.`,
    '',
    table([...header, ...ratios], lines),
    '',
  ].join('\n');
}

async function main() {
  const settings = readSettings();
  const folder = mkdtempSync(join(tmpdir(), 'tls-bench-'));
  const { config, batches, threads, rounds } = settings;
  const job = {
    config,
    arch: archString(config.stages),
    imageSize: config.imageHeight,
    classes: config.classes,
    weights: join(folder, 'weights.safetensors'),
    images: join(folder, 'images.safetensors'),
    batches,
    threads,
  };
  const workers = variantsOf(settings).map((variant) => new Worker(variant));
  const parts = [
    `# A forward pass of a published vision model\n\n${machine()}\n`,
    ...leftOut(settings).map((line) => `${line}\n`),
  ];
  try {
    for (const [i, worker] of workers.entries()) {
      const kind = i === 0 ? 'make-weights' : worker.variant.job.kind;
      const { runtime } = await worker.ask({ ...job, ...worker.variant.job, kind });
      parts.push(`- ${worker.variant.name}: ${runtime}`);
    }
    const { multiplyAccumulates } = await workers[0].ask({ do: 'work' });
    parts.push('');
    console.log(parts.join('\n'));
    for (const batch of batches) {
      const rows = await measureBatch(workers, batch, rounds);
      parts.push(describe(settings, batch, rows, multiplyAccumulates));
      console.log(parts.at(-1));
      if (settings.out) writeFileSync(settings.out, parts.join('\n'));
    }
  } finally {
    for (const worker of workers) worker.end();
    rmSync(folder, { recursive: true });
  }
}

try {
  await main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
