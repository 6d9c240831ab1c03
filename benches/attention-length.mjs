/**
 * Time and memory of one layer of bidirectional attention against length: long-short attention fused, composed of plain operators and
 * as published, and full attention.
 *
 *   TORCH_PYTHON=<python with torch> npm run bench -- attention-length --reference-clone <folder>
 *     [--also <another python with torch>]... [--layer 512] [--lengths 512,1024,…,1048576]
 *     [--contestants fused,composed,published,full,sdpa] [--memory 8] [--seconds 120] [--rounds 2] [--threads 2]
 *     [--out <results file>] [--pictures <folder>]
 *
 * A process for every contestant, length and round, so that its highest memory is its own; contestants take turns. One that passes
 * `--memory` (GB) or `--seconds` (a pass) is ended, the tables say so, and greater lengths are not tried with it. See benches/README.md.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { bidirectional, full } from './attention-layer.cases.mjs';
import { newest, ours, published, scaledDotProduct } from './attention-layer.contestants.mjs';
import { describeLengths, lengthPictures } from './attention-length.report.mjs';
import { LimitedWorker, PastLimit } from './limited.workers.mjs';
import {
  cloneOf,
  median,
  positiveNumber,
  pythonsOf,
  someOf,
  wholeNumber,
  wholeNumbers,
} from './side-by-side.workers.mjs';

const LAYERS = { 64: { modelDim: 64, heads: 2 }, 512: { modelDim: 512, heads: 8 } };
const CONTESTANTS = ['fused', 'composed', 'published', 'full', 'sdpa'];
/** A forward pass of which nothing is kept, and forward and backward. */
const KINDS = { forward: 'forward', both: 'step' };
/** Passes of a process: at least as many, and until so many milliseconds are over, but not when the first took so long. */
const PASSES = { least: 5, most: 50, ms: 500, enoughMs: 10_000 };
const PRODUCTS = 3;

function doubling(from, to) {
  return from > to ? [] : [from, ...doubling(2 * from, to)];
}

function readSettings() {
  const { values } = parseArgs({
    options: {
      layer: { type: 'string', default: '512' },
      lengths: { type: 'string', default: doubling(512, 2 ** 20).join(',') },
      contestants: { type: 'string', default: CONTESTANTS.join(',') },
      memory: { type: 'string', default: '8' },
      seconds: { type: 'string', default: '120' },
      rounds: { type: 'string', default: '2' },
      threads: { type: 'string', default: '2' },
      'reference-clone': { type: 'string' },
      also: { type: 'string', multiple: true, default: [] },
      out: { type: 'string' },
      pictures: { type: 'string' },
    },
  });
  const [layer] = someOf('--layer', values.layer, Object.keys(LAYERS));
  return {
    layer: LAYERS[layer],
    lengths: wholeNumbers('--lengths', values.lengths),
    contestants: someOf('--contestants', values.contestants, CONTESTANTS),
    memory: positiveNumber('--memory', values.memory),
    seconds: wholeNumber('--seconds', values.seconds),
    rounds: wholeNumber('--rounds', values.rounds),
    threads: wholeNumber('--threads', values.threads),
    pythons: pythonsOf(values),
    clone: cloneOf(values),
    out: values.out,
    pictures: values.pictures,
  };
}

/** Who takes part, with `family` as in `--contestants`. Composed and full attention run on one libtorch, the newest. */
function variantsOf(settings) {
  const families = {
    fused: () => ours('fused', settings, 'random'),
    composed: () => [newest(ours('composed', settings, 'random'))],
    published: () => published(settings, 'random'),
    full: () => [newest(ours('full', settings, 'random'))],
    sdpa: () => scaledDotProduct(settings, 'random'),
  };
  return settings.contestants.flatMap((family) =>
    families[family]().map((variant) => ({ ...variant, family })),
  );
}

function isFull({ family }) {
  return family === 'full' || family === 'sdpa';
}

// ---- one process -----------------------------------------------------------------------------------------------

async function passes(worker, what) {
  await worker.ask({ do: 'restart-peak' });
  const first = await worker.ask({ do: what }); // also makes buffers of this size
  const times = [];
  const ms = (answer) => answer.both ?? answer.forward;
  let total = ms(first);
  while (times.length < PASSES.most && (times.length < PASSES.least || total < PASSES.ms)) {
    if (times.length > 0 && total > PASSES.enoughMs) break;
    times.push(ms(await worker.ask({ do: what })));
    total += times.at(-1);
  }
  const { peakMib, startMib } = await worker.ask({ do: 'memory' });
  return { times, peakMib: peakMib - startMib };
}

/** What one process found for the kinds asked for, and why it was ended, where it was. */
async function measure(variant, length, kinds, { layer, memory, seconds }) {
  const tokens = { ...layer, tokens: length };
  const worker = new LimitedWorker(variant, { memory, seconds });
  const found = { products: [] };
  try {
    await worker.ask({ ...variant.job, case: isFull(variant) ? full(tokens) : bidirectional(tokens) });
    for (const kind of kinds) found[kind] = await passes(worker, KINDS[kind]);
    for (let i = 0; i < PRODUCTS; i++) found.products.push((await worker.ask({ do: 'product' })).gflops);
    if (variant.family === 'fused') found.work = (await worker.ask({ do: 'work' })).multiplyAccumulates;
  } catch (error) {
    if (!(error instanceof PastLimit)) throw error;
    found.stopped = error.message;
  } finally {
    await worker.ended();
  }
  return found;
}

// ---- all of them -----------------------------------------------------------------------------------------------

/** Of one contestant and length. */
function emptyRow(variant, length) {
  const kind = () => ({ times: [], peakMib: 0, stopped: null });
  return { variant, length, forward: kind(), both: kind(), products: [], work: null };
}

function add(row, kinds, found) {
  for (const kind of kinds) {
    if (found[kind] === undefined) row[kind].stopped ??= found.stopped ?? null;
    else {
      row[kind].times.push(...found[kind].times);
      row[kind].peakMib = Math.max(row[kind].peakMib, found[kind].peakMib);
    }
  }
  row.products.push(...found.products);
  row.work = found.work ?? row.work;
}

/** Why a kind is not tried at this length: what stopped the length before, or the time that the two before foretell. */
function foretold(before, kind, seconds) {
  const [earlier, last] = before.slice(-2);
  const stopped = before.at(-1)?.[kind].stopped ?? null;
  if (stopped !== null || last === undefined) return stopped;
  const next = median(last[kind].times) ** 2 / median(earlier[kind].times);
  return next > 1000 * seconds ? `past ${seconds} s` : null;
}

async function measureLength(length, variants, before, settings) {
  const rows = variants.map((variant) => {
    const row = emptyRow(variant, length);
    for (const kind of Object.keys(KINDS))
      row[kind].stopped = foretold(before.get(variant), kind, settings.seconds);
    return row;
  });
  for (let round = 0; round < settings.rounds; round++)
    for (const row of rows) {
      const kinds = Object.keys(KINDS).filter((kind) => row[kind].stopped === null);
      if (kinds.length === 0) continue;
      add(row, kinds, await measure(row.variant, length, kinds, settings));
      console.error(`${length} ${row.variant.name}: ${said(row.forward)}, with backward ${said(row.both)}`);
    }
  return rows;
}

function said({ times, peakMib, stopped }) {
  return stopped ?? `${median(times).toPrecision(3)} ms ${peakMib.toFixed(0)} MiB`;
}

async function main() {
  const settings = readSettings();
  const variants = variantsOf(settings);
  const rows = new Map(variants.map((variant) => [variant, []]));
  for (const length of settings.lengths) {
    for (const row of await measureLength(length, variants, rows, settings)) rows.get(row.variant).push(row);
    if (settings.out) writeFileSync(settings.out, describeLengths(settings, rows));
  }
  console.log(describeLengths(settings, rows));
  if (settings.pictures === undefined) return;
  mkdirSync(settings.pictures, { recursive: true });
  for (const [name, svg] of lengthPictures(settings, rows))
    writeFileSync(join(settings.pictures, `${name}.svg`), svg);
}

try {
  await main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
