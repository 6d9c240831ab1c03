/**
 * Tokens (or images) per second of a training step, this package beside PyTorch: the same model, weights, data and threads.
 *
 *   TORCH_PYTHON=<python with torch 2.x> npm run bench -- training-step [--cases reference/small,…] [--rounds 7]
 *     [--threads 2] [--reference-clone <clone of the published code>] [--also <another python with torch>]... [--compile]
 *     [--out <results file>]
 *
 * One child process per variant; they take turns, one step each per round, so that a busy moment of the machine meets all.
 * Losses and gradient norms of all variants are compared before any number is reported. See benches/README.md.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  bestOfGroups,
  cloneOf,
  leftOut,
  machine,
  ourVariants,
  pythonSettings,
  pythonsOf,
  pythonVariant,
  someOf,
  torchVersion,
  Worker,
  wholeNumber,
} from './side-by-side.workers.mjs';
import { CASES, DEFAULT_CASES } from './training-step.cases.mjs';
import { trainingJob, writeData } from './training-step.data.mjs';
import { compareLosses, describeCase } from './training-step.report.mjs';

const WARM_UP_STEPS = 2;
const STEPS_OF_TURN = 2;
/** Steps by which the setting of a group is chosen; the first does not count. */
const TRIAL_STEPS = 3;

// ---- what is compared ------------------------------------------------------------------------------------------

function variantsOf({ kind, mode }, { pythons, clone, compile, threads }) {
  const program = 'pytorch/training-step.py';
  const variants = ourVariants('training-step.worker.mjs', { kind: 'load-weights', threads });
  if (variants.length === 0) throw new Error('training-step: no bridge is built; run: npm run setup');
  const [first] = pythons;
  const composed = { kind: 'composed', compile: false, threads };
  if (kind === 'language-model' && first !== undefined) {
    variants.push(pythonVariant(first, program, 'PyTorch, composed', composed));
    if (compile)
      variants.push(
        pythonVariant(first, program, 'PyTorch, composed, torch.compile', { ...composed, compile: true }),
      );
  }
  if (!clone || mode !== 'reference') return variants;
  const job = { kind: 'published', compile: false, clone };
  const published = pythons.flatMap((python) =>
    pythonSettings(python, program, `PyTorch ${torchVersion(python)}, published`, job, threads),
  );
  return [...variants, ...published];
}

// ---- processes -------------------------------------------------------------------------------------------------

/** The first one's random start is everybody's. */
async function prepareWorkers(workers, job) {
  for (const [i, worker] of workers.entries()) {
    const kind = i === 0 ? 'make-weights' : worker.variant.job.kind;
    const { runtime } = await worker.ask({ ...job, ...worker.variant.job, kind });
    worker.runtime = runtime;
  }
}

/** Of each group the setting whose steps were fastest, one process after the other; its name tells which. */
async function fastestSettings(variants, job) {
  const seen = [];
  for (const variant of variants) {
    const worker = new Worker(variant);
    try {
      await worker.ask({ ...job, ...variant.job });
      const times = [];
      for (let i = 0; i < TRIAL_STEPS; i++) times.push((await worker.ask({ do: 'step' })).ms);
      seen.push({ variant, ms: Math.min(...times.slice(1)) });
      console.error(`${variant.name}: ${seen.at(-1).ms.toFixed(0)} ms a step`);
    } finally {
      worker.end();
    }
  }
  return bestOfGroups(seen, ({ ms }) => ms).map(({ variant }) => variant);
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
      if (round < 0) rows[i].first.push(await worker.ask({ do: 'step' }));
      else rows[i].steps.push(...(await worker.turn({ do: 'step' }, STEPS_OF_TURN)));
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
  const job = trainingJob(name, folder);
  const variants = variantsOf(job.config, settings);
  const workers = variants.filter(({ group }) => group === undefined).map((one) => new Worker(one));
  try {
    writeData(job);
    await prepareWorkers(workers, job);
    // The settings are tried one by one: all at once would not fit into memory.
    const grouped = variants.filter(({ group }) => group !== undefined);
    const published = (await fastestSettings(grouped, job)).map((variant) => new Worker(variant));
    for (const worker of published) {
      workers.push(worker);
      worker.runtime = (await worker.ask({ ...job, ...worker.variant.job })).runtime;
    }
    return { name, job, load: loadavg(), ...(await runRounds(workers, settings.rounds)) };
  } finally {
    for (const worker of workers) worker.end();
    rmSync(folder, { recursive: true });
  }
}

function readSettings() {
  const { values } = parseArgs({
    options: {
      cases: { type: 'string', default: DEFAULT_CASES.join(',') },
      rounds: { type: 'string', default: '7' },
      threads: { type: 'string', default: '2' },
      'reference-clone': { type: 'string' },
      also: { type: 'string', multiple: true, default: [] },
      compile: { type: 'boolean', default: false },
      out: { type: 'string' },
    },
  });
  return {
    cases: someOf('--cases', values.cases, Object.keys(CASES)),
    rounds: wholeNumber('--rounds', values.rounds),
    threads: wholeNumber('--threads', values.threads),
    pythons: pythonsOf(values),
    clone: cloneOf(values),
    compile: values.compile,
    out: values.out,
  };
}

async function main() {
  const settings = readSettings();
  const parts = [
    `# Training steps beside PyTorch\n\n${machine()}; ${settings.threads} thread(s).\n`,
    ...leftOut(settings).map((line) => `${line}\n`),
  ];
  console.log(parts.join('\n'));
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
