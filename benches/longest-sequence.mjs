/**
 * The longest sequence that one bidirectional layer of attention takes forward and backward in a given memory: long-short attention
 * fused and as published, and full attention.
 *
 *   TORCH_PYTHON=<python with torch> npm run bench -- longest-sequence --reference-clone <folder>
 *     [--also <another python with torch>]... [--contestants fused,recompute,published,full,sdpa] [--memory 8] [--seconds 120] [--step 1024]
 *     [--threads 2] [--out <results file>]
 *
 * A process for every attempt; all that it holds counts, the program too. It fails when it holds more than `--memory` (GB) at any
 * moment. Two short runs foretell the length (in a line, or in a parabola for full attention), runs near it decide. Where they foretell
 * more than `--seconds` for the pass, the search ends there. See benches/README.md.
 */
import { writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { bidirectional, full } from './attention-layer.cases.mjs';
import { newest, ours, published, scaledDotProduct } from './attention-layer.contestants.mjs';
import { GB, LimitedWorker, PastLimit } from './limited.workers.mjs';
import {
  cloneOf,
  leftOut,
  machine,
  positiveNumber,
  pythonsOf,
  someOf,
  table,
  wholeNumber,
} from './side-by-side.workers.mjs';

const LAYER = { modelDim: 512, heads: 8 };
const CONTESTANTS = ['fused', 'recompute', 'published', 'full', 'sdpa'];
/** Tokens of the two runs that foretell, in steps. */
const SHORT = [2, 4];
/** How far the first attempt that fails is from the next, as a part of the length. */
const RETREAT = 0.01;

function readSettings() {
  const { values } = parseArgs({
    options: {
      contestants: { type: 'string', default: CONTESTANTS.join(',') },
      memory: { type: 'string', default: '8' },
      seconds: { type: 'string', default: '120' },
      step: { type: 'string', default: '1024' },
      threads: { type: 'string', default: '2' },
      'reference-clone': { type: 'string' },
      also: { type: 'string', multiple: true, default: [] },
      out: { type: 'string' },
    },
  });
  return {
    contestants: someOf('--contestants', values.contestants, CONTESTANTS),
    memory: positiveNumber('--memory', values.memory),
    seconds: wholeNumber('--seconds', values.seconds),
    step: wholeNumber('--step', values.step),
    threads: wholeNumber('--threads', values.threads),
    pythons: pythonsOf(values),
    clone: cloneOf(values),
    out: values.out,
  };
}

/** The published module in one setting: what it holds does not depend on its threads. `power` of the length is what memory and time grow with. */
function variantsOf(settings) {
  const families = {
    fused: () => ours('fused', settings, 'random'),
    recompute: () => ours('recompute', settings, 'random'),
    published: () =>
      published(settings, 'random').filter(
        ({ job, env }) => job.threads === settings.threads && env.OMP_WAIT_POLICY,
      ),
    full: () => [newest(ours('full', settings, 'random'))],
    sdpa: () => scaledDotProduct(settings, 'random'),
  };
  const isFull = (family) => family === 'full' || family === 'sdpa';
  const power = { full: { memory: 2, time: 2 }, sdpa: { memory: 1, time: 2 } };
  return settings.contestants.flatMap((family) =>
    families[family]().map((variant) => ({
      ...variant,
      name: variant.group ?? variant.name,
      isFused: family === 'fused' || family === 'recompute',
      caseOf: isFull(family) ? full : bidirectional,
      power: power[family] ?? { memory: 1, time: 1 },
    })),
  );
}

/** Highest memory in bytes and seconds of one pass forward and backward; or the limit that was passed, as `stopped`. */
async function attempt(variant, tokens, { memory, seconds }) {
  // Foretold times are not exact, and the program starts in that time too.
  const worker = new LimitedWorker(variant, { memory, seconds: 3 * seconds + 60 });
  try {
    await worker.ask({ ...variant.job, case: variant.caseOf({ ...LAYER, tokens }) });
    const { both } = await worker.ask({ do: 'step' });
    const { peakMib } = await worker.ask({ do: 'memory' });
    // The kernel saw every moment of it, the watch only some.
    const bytes = peakMib * 2 ** 20;
    const stopped = bytes > memory * GB ? new PastLimit('memory', `past ${memory} GB`) : null;
    return { tokens, bytes, seconds: both / 1000, stopped };
  } catch (error) {
    if (!(error instanceof PastLimit)) throw error;
    return { tokens, stopped: error };
  } finally {
    await worker.ended();
  }
}

/** The length at which what two runs measured reaches a limit, if it is a constant and a multiple of a power of the length. */
function foretell([a, b], key, power, limit) {
  const rise = (b[key] - a[key]) / (b.tokens ** power - a.tokens ** power);
  if (!(rise > 0)) return Number.POSITIVE_INFINITY;
  return (Math.max(0, limit - a[key]) / rise + a.tokens ** power) ** (1 / power);
}

/** The longest that passed, and what keeps a longer one out. */
async function search(variant, settings) {
  const { memory, seconds, step } = settings;
  const passed = [];
  let failed = null;
  const attemptOf = async (steps) => {
    const run = await attempt(variant, steps * step, settings);
    console.error(
      `${variant.name}: ${run.tokens} tokens ${run.stopped?.message ?? `${(run.bytes / GB).toFixed(2)} GB, ${run.seconds.toFixed(2)} s`}`,
    );
    if (run.stopped === null) passed.push(run);
    else failed = run;
  };
  for (const steps of SHORT) if (failed === null) await attemptOf(steps);
  while (failed === null) {
    const two = passed.slice(-2);
    const byMemory = foretell(two, 'bytes', variant.power.memory, memory * GB);
    const byTime = foretell(two, 'seconds', variant.power.time, seconds);
    const lowest = passed.at(-1).tokens / step + 1;
    // Eight times as long at most: the nearer the runs are, the better they foretell.
    const isSlow = byTime < byMemory;
    const steps = Math.floor(Math.min(byMemory, byTime, 8 * passed.at(-1).tokens) / step);
    if (isSlow && steps <= lowest) return { longest: passed.at(-1), limit: `more than ${seconds} s` };
    await attemptOf(Math.max(lowest, steps));
  }
  if (failed.stopped.what === 'time' || passed.length === 0)
    return { longest: passed.at(-1) ?? null, limit: failed.stopped.message };
  while (failed.tokens - passed.at(-1).tokens > step) {
    const [lowest, highest] = [passed.at(-1).tokens / step + 1, failed.tokens / step - 1];
    const retreat = Math.max(1, Math.round(RETREAT * highest));
    await attemptOf(Math.max(Math.ceil((lowest + highest) / 2), highest + 1 - retreat));
  }
  return { longest: passed.at(-1), limit: failed.stopped.message };
}

function describe(settings, rows) {
  const fused = rows.filter(({ variant, longest }) => variant.isFused && longest !== null);
  const titles = [
    'contestant',
    'tokens',
    'its memory, GB',
    'seconds',
    'one step more',
    ...fused.map(({ variant }) => `times longer: ${variant.name}`),
  ];
  const lines = rows.map(({ variant, longest, limit }) => [
    variant.name,
    longest === null ? `less than ${SHORT[0] * settings.step}` : longest.tokens.toLocaleString('en'),
    longest === null ? '' : (longest.bytes / GB).toFixed(2),
    longest === null ? '' : longest.seconds.toFixed(1),
    limit,
    ...fused.map((one) =>
      longest === null || variant.isFused ? '' : (one.longest.tokens / longest.tokens).toFixed(2),
    ),
  ]);
  return [
    `# The longest sequence in ${settings.memory} GB`,
    '',
    `${machine()}; ${settings.threads} thread(s), load average ${loadavg()[0].toFixed(1)}. One bidirectional layer with its projections, D 512, N 8, w 8, r 32 (or full attention of the`,
    `same sizes), batch 1, float32, one pass forward and backward in a new process, in steps of ${settings.step} tokens. Memory is the highest physical memory of the whole process`,
    `(VmHWM), program, weights, input, output and gradients included; a GB is 10^9 bytes. Where a longer pass is foretold to take more than ${settings.seconds} s, the search ends and`,
    'the table says so: the memory would take a longer sequence then.',
    '',
    ...leftOut(settings).flatMap((line) => [line, '']),
    table(titles, lines),
    '',
  ].join('\n');
}

async function main() {
  const settings = readSettings();
  const rows = [];
  for (const variant of variantsOf(settings)) {
    rows.push({ variant, ...(await search(variant, settings)) });
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
