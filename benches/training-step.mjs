/**
 * Tokens per second of a training step, this package beside PyTorch: the same model, weights, data and threads.
 *
 *   TORCH_PYTHON=<python with torch 2.x> npm run bench -- training-step [--cases reference/small,…] [--rounds 7]
 *     [--threads 2] [--reference-clone <clone of the published code>] [--compile] [--out <results file>]
 *
 * One child process per variant; they take turns, one step each per round, so that a busy moment of the machine meets all.
 * Losses and gradient norms of all variants are compared before any number is reported. See benches/README.md.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ourVariants, pythonVariant, Worker, wholeNumber } from './side-by-side.workers.mjs';
import { CASES } from './training-step.cases.mjs';
import { compareLosses, describeCase } from './training-step.report.mjs';

const WARM_UP_STEPS = 2;
const SEGMENTS = 8;

// ---- what is compared ------------------------------------------------------------------------------------------

function variantsOf({ kind, mode }, { python, clone, compile }) {
  const variants = ourVariants('training-step.worker.mjs', { kind: 'load-weights' });
  if (variants.length === 0) throw new Error('training-step: no bridge is built; run: npm run setup');
  if (!python) return variants;
  const program = 'pytorch/training-step.py';
  const composed = { kind: 'composed', compile: false };
  if (kind === 'language-model') {
    variants.push(pythonVariant(python, program, 'PyTorch, composed', composed));
    if (compile)
      variants.push(
        pythonVariant(python, program, 'PyTorch, composed, torch.compile', { ...composed, compile: true }),
      );
  }
  if (clone && mode === 'reference')
    variants.push(
      pythonVariant(python, program, 'PyTorch, published', { kind: 'published', compile: false, clone }),
    );
  return variants;
}

// ---- data ------------------------------------------------------------------------------------------------------

/** What every side reads, int64: (lanes, segments*T + 1) ids, or for a classifier (steps*B, L + 1), each row's label last. */
function writeData(path, job) {
  const next = generator();
  const data = job.config.kind === 'language-model' ? streams(job, next) : examples(job, next);
  writeFileSync(path, new Uint8Array(data.buffer));
}

/** Whole numbers below a limit, from a small linear congruential generator. */
function generator() {
  let state = 1;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 16) % limit;
  };
}

function streams({ config, segmentLength, batchSize }, next) {
  return BigInt64Array.from({ length: batchSize * (SEGMENTS * segmentLength + 1) }, () =>
    BigInt(next(config.vocabularySize)),
  );
}

/** Sequences of all lengths with 0 behind their end. */
function examples({ config, batchSize, shortest }, next) {
  const { maxLength: L, vocabularySize, classes } = config;
  const data = new BigInt64Array(SEGMENTS * batchSize * (L + 1));
  for (let row = 0; row < SEGMENTS * batchSize; row++) {
    const length = shortest + next(L - shortest);
    for (let i = 0; i < length; i++) data[row * (L + 1) + i] = BigInt(1 + next(vocabularySize - 1));
    data[row * (L + 1) + L] = BigInt(next(classes));
  }
  return data;
}

/** The first one's random start is everybody's. */
async function prepareWorkers(workers, job) {
  for (const [i, worker] of workers.entries()) {
    const kind = i === 0 ? 'make-weights' : worker.variant.job.kind;
    const { runtime } = await worker.ask({ ...job, ...worker.variant.job, kind });
    worker.runtime = runtime;
  }
}

// ---- measuring -------------------------------------------------------------------------------------------------

async function runRounds(workers, rounds) {
  const rows = workers.map(({ variant, runtime }) => ({
    variant,
    runtime,
    first: [],
    steps: [],
    products: [],
  }));
  for (let round = -WARM_UP_STEPS; round < rounds; round++) {
    process.stderr.write(round < 0 ? 'warm-up ' : `${round + 1}/${rounds} `);
    for (const [i, worker] of workers.entries()) {
      const step = await worker.ask({ do: 'step' });
      (round < 0 ? rows[i].first : rows[i].steps).push(step);
      rows[i].products.push((await worker.ask({ do: 'product' })).gflops);
    }
  }
  process.stderr.write('\n');
  for (const [i, worker] of workers.entries()) rows[i].memory = await worker.ask({ do: 'memory' });
  const { multiplyAccumulates } = await workers[0].ask({ do: 'work' });
  return { rows, multiplyAccumulates };
}

async function measure(name, settings) {
  const folder = mkdtempSync(join(tmpdir(), 'tls-bench-'));
  const [weights, data] = [join(folder, 'weights.safetensors'), join(folder, 'ids.bin')];
  const job = {
    ...CASES[name],
    weights,
    data,
    threads: settings.threads,
    steps: SEGMENTS,
    learningRate: 2.5e-4,
    clipNorm: 1,
  };
  const workers = variantsOf(job.config, settings).map((variant) => new Worker(variant));
  try {
    writeData(data, job);
    await prepareWorkers(workers, job);
    return { name, job, load: loadavg(), ...(await runRounds(workers, settings.rounds)) };
  } finally {
    for (const worker of workers) worker.end();
    rmSync(folder, { recursive: true });
  }
}

function readSettings() {
  const { values } = parseArgs({
    options: {
      cases: { type: 'string', default: Object.keys(CASES).join(',') },
      rounds: { type: 'string', default: '7' },
      threads: { type: 'string', default: '2' },
      'reference-clone': { type: 'string' },
      compile: { type: 'boolean', default: false },
      out: { type: 'string' },
    },
  });
  const cases = values.cases.split(',');
  for (const name of cases)
    if (!(name in CASES))
      throw new Error(`--cases: expected some of ${Object.keys(CASES).join(', ')}, received ${name}`);
  return {
    cases,
    rounds: wholeNumber('--rounds', values.rounds),
    threads: wholeNumber('--threads', values.threads),
    python: process.env.TORCH_PYTHON,
    clone: values['reference-clone'] ?? process.env.TRANSFORMER_LS_REFERENCE,
    compile: values.compile,
    out: values.out,
  };
}

async function main() {
  const settings = readSettings();
  if (!settings.python) console.log('TORCH_PYTHON is not set: only our side is measured\n');
  const parts = [
    `CPU ${cpus()[0].model}, ${cpus().length} cores, ${settings.threads} threads; ${new Date().toISOString().slice(0, 10)}\n`,
  ];
  console.log(parts[0]);
  for (const name of settings.cases) {
    const result = await measure(name, settings);
    compareLosses(result);
    parts.push(describeCase(result));
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
