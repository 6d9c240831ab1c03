/**
 * Milliseconds of one AdamW step over 4 and 40 million parameters: our operator, ours composed of foreach operators, and PyTorch's ways;
 * and what part of the memory bandwidth, measured by a copy in the same process, each reaches.
 *
 *   TORCH_PYTHON=<python with torch> npm run bench -- optimizer [--also <another python with torch>]...
 *     [--millions 4,40] [--threads 2] [--rounds 15] [--out <results file>]
 *
 * One process per contestant; they take turns, one step each per round. Updated weights are compared before any number is reported.
 */
import { writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import {
  machine,
  median,
  ourVariants,
  pythonsOf,
  pythonVariant,
  table,
  torchVersion,
  Worker,
  wholeNumber,
  wholeNumbers,
} from './side-by-side.workers.mjs';

/** Elements of each parameter: 512 x 512. */
const SIZE = 2 ** 18;
/** Bytes that a step reads (weight, gradient, two moments) and writes (all but the gradient) for each parameter, float32. */
const BYTES = 4 * 7;
const WARM_UP = 2;
const TOLERANCE = 1e-5;

function readSettings() {
  const { values } = parseArgs({
    options: {
      millions: { type: 'string', default: '4,40' },
      threads: { type: 'string', default: '2' },
      rounds: { type: 'string', default: '15' },
      also: { type: 'string', multiple: true, default: [] },
      out: { type: 'string' },
    },
  });
  return {
    millions: wholeNumbers('--millions', values.millions),
    threads: wholeNumber('--threads', values.threads),
    rounds: wholeNumber('--rounds', values.rounds),
    pythons: pythonsOf(values),
    out: values.out,
  };
}

function variantsOf({ pythons, threads }) {
  const ours = (way) =>
    ourVariants('optimizer.worker.mjs', { way, threads }).map((variant) => ({
      ...variant,
      name: `${variant.name}, ${way}`,
    }));
  const found = [...ours('fused'), ...ours('composed')];
  if (found.length === 0) throw new Error('optimizer: no bridge is built; run: npm run setup');
  for (const python of pythons) {
    const version = torchVersion(python);
    const [major, minor] = version.split('.').map(Number);
    // On a CPU torch has a fused AdamW since 2.4.
    const ways = major > 2 || (major === 2 && minor >= 4) ? ['foreach', 'fused'] : ['foreach'];
    for (const way of ways)
      found.push(
        pythonVariant(python, 'pytorch/optimizer.py', `PyTorch ${version}, ${way}`, { way, threads }),
      );
  }
  return found;
}

function compare(rows) {
  const [first, ...others] = rows;
  for (const { variant, weights } of others) {
    const difference = Math.max(...weights.map((value, i) => Math.abs(value - first.weights[i])));
    if (!(difference <= TOLERANCE))
      throw new Error(
        `optimizer: weights of ${variant.name} differ from ${first.variant.name} by ${difference}`,
      );
  }
}

async function measure(millions, settings) {
  const tensors = Math.ceil((millions * 1e6) / SIZE);
  const workers = variantsOf(settings).map((variant) => new Worker(variant));
  const rows = workers.map(({ variant }) => ({ variant, times: [], copies: [] }));
  try {
    for (const worker of workers) await worker.ask({ ...worker.variant.job, tensors, size: SIZE });
    for (let round = -WARM_UP; round < settings.rounds; round++)
      for (const [i, worker] of workers.entries()) {
        const { ms } = await worker.ask({ do: 'step' });
        const { bytesPerSecond } = await worker.ask({ do: 'copy' });
        if (round < 0) continue;
        rows[i].times.push(ms);
        rows[i].copies.push(bytesPerSecond);
      }
    for (const [i, worker] of workers.entries())
      rows[i].weights = (await worker.ask({ do: 'weights' })).weights;
  } finally {
    for (const worker of workers) worker.end();
  }
  compare(rows);
  return { rows, parameters: tensors * SIZE };
}

function describe({ rows, parameters }) {
  const peers = rows.filter(({ variant }) => !variant.ours);
  const titles = [
    'AdamW',
    'ms',
    'fastest',
    'GB/s',
    'copy GB/s',
    'share',
    ...peers.map(({ variant }) => `times as fast as ${variant.name}`),
  ];
  const lines = rows.map(({ variant, times, copies }) => {
    const ms = median(times);
    const [rate, copy] = [(BYTES * parameters) / ms / 1e6, median(copies) / 1e9];
    return [
      variant.name,
      ms.toFixed(2),
      Math.min(...times).toFixed(2),
      rate.toFixed(1),
      copy.toFixed(1),
      `${((100 * rate) / copy).toFixed(0)} %`,
      ...peers.map((peer) => (variant.ours ? (median(peer.times) / ms).toFixed(2) : '')),
    ];
  });
  return [
    `## ${(parameters / 1e6).toFixed(1)} million parameters in ${parameters / SIZE} tensors`,
    '',
    table(titles, lines),
    '',
  ].join('\n');
}

async function main() {
  const settings = readSettings();
  const parts = [
    [
      '# One AdamW step',
      '',
      `${machine()}; ${settings.threads} thread(s), load average ${loadavg()[0].toFixed(1)}; medians of ${settings.rounds} interleaved steps, float32. GB/s counts ${BYTES} bytes for each parameter, what a`,
      'step must read and write at least; the copy is from one half to the other of as much memory as weights, gradients and moments take, and counts bytes read and',
      'written; it also reads what it overwrites, which is not counted, so a step can come above 100 %. Ways that go over memory several times have a small share.',
      '',
    ].join('\n'),
  ];
  console.log(parts[0]);
  for (const millions of settings.millions) {
    parts.push(describe(await measure(millions, settings)));
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
