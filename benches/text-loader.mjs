/**
 * How long reading a batch takes beside the training step that consumes it: prepared documents of Long Range Arena's lengths, and streams
 * of bytes for a language model. Needs no Python.
 *
 *   npm run bench -- text-loader [--cases reference/listops,…] [--examples 4000] [--batches 200] [--steps 3] [--threads 2]
 *     [--out <results file>]
 *
 * Data are random, in files as training reads them; the time does not depend on what they say. Batches become tensors. The loader runs
 * on the caller's thread, so what a batch takes is added to the step.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import * as torch from '../packages/torch/dist/index.js';
import { FileByteCorpus } from '../packages/transformer-ls/dist/data/byte-corpus.js';
import { TokenStream } from '../packages/transformer-ls/dist/data/token-stream.js';
import { byteVocabulary } from '../packages/transformer-ls/dist/data/vocabulary.js';
import { ExampleBatches } from '../packages/transformer-ls/dist/lra/example-batches.js';
import { ExampleSetWriter } from '../packages/transformer-ls/dist/lra/example-set.js';
import { newest } from './attention-layer.contestants.mjs';
import { machine, median, ourVariants, someOf, table, Worker, wholeNumber } from './side-by-side.workers.mjs';
import { CASES } from './training-step.cases.mjs';
import { randomWhole, trainingJob, writeData } from './training-step.data.mjs';

const MEASURED = ['reference/listops', 'reference/text', 'consistent/small', 'consistent/enwik8-base'];
const KNOWN = [...MEASURED, 'consistent/tiny'];
const CORPUS_BYTES = 16e6;

function readSettings() {
  const { values } = parseArgs({
    options: {
      cases: { type: 'string', default: MEASURED.join(',') },
      examples: { type: 'string', default: '4000' },
      batches: { type: 'string', default: '200' },
      steps: { type: 'string', default: '3' },
      threads: { type: 'string', default: '2' },
      out: { type: 'string' },
    },
  });
  return {
    cases: someOf('--cases', values.cases, KNOWN),
    examples: wholeNumber('--examples', values.examples),
    batches: wholeNumber('--batches', values.batches),
    steps: wholeNumber('--steps', values.steps),
    threads: wholeNumber('--threads', values.threads),
    out: values.out,
  };
}

// ---- loaders ---------------------------------------------------------------------------------------------------

/** Documents of all lengths from the shortest to the longest of a case. */
async function exampleBatches({ config, batchSize, shortest }, folder, examples) {
  const next = randomWhole();
  const writer = new ExampleSetWriter(folder, {
    task: 'random documents',
    inputs: 'one',
    classes: Array.from({ length: config.classes }, (_, i) => String(i)),
    vocabulary: [],
    validFrom: 'own',
    caution: 'random',
    source: 'random',
    stamp: 'random',
  });
  const draw = () =>
    Uint8Array.from({ length: shortest + next(config.maxLength - shortest) }, () => next(256));
  const add = (split) => writer.addExample(split, [writer.addDocument(draw())], next(config.classes));
  for (let i = 0; i < examples; i++) add('train');
  add('valid');
  add('test');
  const set = await writer.finish();
  const batches = new ExampleBatches({
    set,
    splits: ['train'],
    batchSize,
    seed: 1,
    padding: { documentLength: config.maxLength, paddedLength: config.maxLength },
  });
  return () => {
    const { documents, labels } = batches.next();
    const [{ ids, length }] = documents;
    torch.tensor(ids, { shape: [labels.length, length] });
    torch.tensor(labels).to('int64');
  };
}

function streamBatches({ batchSize, segmentLength }, folder) {
  const [path, next] = [join(folder, 'corpus.bin'), randomWhole()];
  mkdirSync(folder);
  writeFileSync(
    path,
    Uint8Array.from({ length: CORPUS_BYTES }, () => next(256)),
  );
  const corpus = new FileByteCorpus({ path, name: 'random', split: 'train', start: 0, end: CORPUS_BYTES });
  const stream = new TokenStream({ corpus, vocabulary: byteVocabulary, batchSize, segmentLength });
  return () => {
    const { inputs, targets } = stream.next();
    for (const ids of [inputs, targets]) torch.tensor(ids, { shape: [batchSize, segmentLength] }).to('int64');
  };
}

// ---- measuring -------------------------------------------------------------------------------------------------

/** Milliseconds of each batch, after a first tenth that does not count. */
function loading(load, batches) {
  const times = [];
  for (let i = -Math.ceil(batches / 10); i < batches; i++) {
    const start = performance.now();
    torch.scope(load);
    if (i >= 0) times.push(performance.now() - start);
  }
  return times;
}

async function stepping(name, folder, { steps, threads }) {
  const job = { ...trainingJob(name, folder), threads, kind: 'make-weights' };
  writeData(job);
  const found = ourVariants('training-step.worker.mjs', job);
  if (found.length === 0) throw new Error('text-loader: no bridge is built; run: npm run setup');
  const worker = new Worker(newest(found));
  const times = [];
  try {
    await worker.ask(job);
    for (let i = -1; i < steps; i++) {
      const { ms } = await worker.ask({ do: 'step' });
      if (i >= 0) times.push(ms);
    }
  } finally {
    worker.end();
  }
  return times;
}

async function measure(name, settings) {
  const folder = mkdtempSync(join(tmpdir(), 'tls-bench-'));
  const one = CASES[name];
  try {
    const data = join(folder, 'data');
    const load =
      one.config.kind === 'language-model'
        ? streamBatches(one, data)
        : await exampleBatches(one, data, settings.examples);
    const batch = median(loading(load, settings.batches));
    const step = median(await stepping(name, folder, settings));
    return [
      name,
      `${one.batchSize} x ${one.segmentLength ?? one.config.maxLength}`,
      batch.toFixed(2),
      ((1000 * one.batchSize) / batch).toFixed(0),
      step.toFixed(0),
      ((1000 * one.batchSize) / step).toFixed(1),
      `${((100 * batch) / step).toFixed(2)} %`,
    ];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function describe(settings, rows) {
  const titles = [
    'training of',
    'rows a batch',
    'ms to read one',
    'rows/s read',
    'ms of a training step',
    'rows/s consumed',
    'reading is so much of a step',
  ];
  return [
    '# Reading text beside training on it',
    '',
    `${machine()}; ${settings.threads} thread(s) for the step, one for reading; load average ${loadavg()[0].toFixed(1)}. Medians of ${settings.batches} batches and ${settings.steps} steps.`,
    '',
    table(titles, rows),
    '',
  ].join('\n');
}

async function main() {
  const settings = readSettings();
  const rows = [];
  for (const name of settings.cases) {
    rows.push(await measure(name, settings));
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
