/**
 * What one more token costs after prompts of 1k, 16k and 256k bytes: tokens a second, bytes of the stream's state, and how much one more
 * token adds to it. Once with the preset's bounded memory, once with a memory that forgets nothing.
 *
 *   npm run bench -- streaming-cost [--preset small] [--prompts 1024,16384,262144] [--tokens 128] [--threads 2]
 *     [--out <results file>] [--json <results file>]
 *
 * The weights are random: the cost does not depend on them. With a bounded memory every prompt is really read. A memory that
 * forgets nothing makes reading quadratic (every token attends to every chunk before it), so longer prompts than 16k are not read with it:
 * the memory that reading would leave is put in place instead, tensors of the same shapes.
 */
import { writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import {
  buildInfo,
  manualSeed,
  memoryStats,
  randn,
  scope,
  setNumThreads,
} from '../packages/torch/dist/index.js';
import { createLanguageModel, ModelStream, preset } from '../packages/transformer-ls/dist/index.js';
import { machine, table, wholeNumber, wholeNumbers } from './side-by-side.workers.mjs';

const LONGEST_QUADRATIC_READ = 16_384;
/** Tokens that are read at once. */
const SEGMENT = 512;

const { values } = parseArgs({
  options: {
    preset: { type: 'string', default: 'small' },
    prompts: { type: 'string', default: '1024,16384,262144' },
    tokens: { type: 'string', default: '128' },
    threads: { type: 'string', default: String(cpus().length) },
    out: { type: 'string' },
    json: { type: 'string' },
  },
});

const quantile = (numbers, part) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length * part)];

function readPrompt(model, length) {
  const stream = new ModelStream(model);
  const begun = performance.now();
  for (let done = 0; done < length; done += SEGMENT) {
    const ids = Int32Array.from({ length: Math.min(SEGMENT, length - done) }, (_, i) => (done + 7 * i) % 256);
    stream.feed(ids, () => undefined);
  }
  return { stream, readPerSecond: (1000 * length) / (performance.now() - begun) };
}

/** The memory after `length` tokens (whole chunks), with random content. */
function placePrompt(model, length) {
  const { modelDim: D, windowSize, chunkSize, projectionRank, memoryLength } = model.config;
  const chunks = Math.floor(Math.min(length, memoryLength) / chunkSize) * projectionRank;
  const layers = model.emptyMemory(1).layers.map((empty) => ({
    ...empty,
    windowKeys: randn([1, windowSize - 1, D]),
    windowValues: randn([1, windowSize - 1, D]),
    chunkKeys: randn([1, chunks, D]),
    chunkValues: randn([1, chunks, D]),
  }));
  return { stream: new ModelStream(model, 1, { layers }), readPerSecond: null };
}

/** What one prompt length found; plain JSON. */
function measure(model, prompt, { tokens, isBounded }) {
  const really = isBounded || prompt <= LONGEST_QUADRATIC_READ;
  const { stream, readPerSecond } = really ? readPrompt(model, prompt) : placePrompt(model, prompt);
  const before = stream.memoryBytes();
  const times = [];
  for (let i = 0; i < tokens; i++) {
    const begun = performance.now();
    stream.feed(Int32Array.of(i % 256), (logits) => logits.toFloat32Array());
    times.push(performance.now() - begun);
  }
  const after = stream.memoryBytes();
  stream.dispose();
  const { memoryLength, chunkSize } = model.config;
  return {
    prompt,
    readPerSecond,
    chunks: Math.floor(Math.min(prompt, memoryLength) / chunkSize),
    tokensPerSecond: 1000 / quantile(times, 0.5),
    msMedian: quantile(times, 0.5),
    msFastestTenth: quantile(times, 0.1),
    stateBytes: before,
    bytesAddedPerToken: (after - before) / tokens,
    residentBytes: memoryStats().residentBytes,
  };
}

/** Of all prompt lengths, with one length of the memory. */
function measureAll(settings, memoryLength, isBounded) {
  manualSeed(1);
  const model = scope(() => createLanguageModel(preset(settings.preset, { memoryLength })));
  model.eval();
  const rows = settings.prompts.map((prompt) => {
    const row = measure(model, prompt, { tokens: settings.tokens, isBounded });
    console.error(`${prompt} bytes: ${row.tokensPerSecond.toFixed(1)} tokens/s`);
    return row;
  });
  model.dispose();
  return { memoryLength, isBounded, rows };
}

function describePart({ memoryLength, isBounded, rows }) {
  const titles = [
    'prompt, bytes',
    'reading, tokens/s',
    'chunks seen',
    'tokens/s',
    'ms a token, median',
    'fastest tenth',
    'state, bytes',
    'bytes added a token',
    'resident, MiB',
  ];
  const lines = rows.map((row) => [
    row.prompt.toLocaleString('en'),
    row.readPerSecond === null ? 'placed' : row.readPerSecond.toFixed(0),
    row.chunks.toLocaleString('en'),
    row.tokensPerSecond.toFixed(1),
    row.msMedian.toFixed(2),
    row.msFastestTenth.toFixed(2),
    row.stateBytes.toLocaleString('en'),
    row.bytesAddedPerToken.toFixed(0),
    (row.residentBytes / 2 ** 20).toFixed(0),
  ]);
  const title = isBounded ? `Memory of ${memoryLength} tokens` : 'A memory that forgets nothing';
  return `## ${title}\n\n${table(titles, lines)}\n`;
}

function describe(settings, parts) {
  const { layers, modelDim, chunkSize, windowSize, projectionRank } = preset(settings.preset);
  const perToken = (layers * 2 * modelDim * 4 * projectionRank) / chunkSize;
  return [
    '# Cost of one more token after a prompt',
    '',
    `${machine()}; ${settings.threads} thread(s), load average ${loadavg()[0].toFixed(1)}, libtorch ${buildInfo().version}, Node ${process.version}. Over ${settings.tokens} tokens: the fastest tenth tells the`,
    'cost where other programs share the machine, the median what they leave.',
    '',
    `Preset ${settings.preset}: ${layers} layers, width ${modelDim}, window ${windowSize}, chunks of ${chunkSize}, rank ${projectionRank}. A token adds a share of one compressed key and value for each`,
    `layer: ${perToken} bytes (layers x 2 x width x 4 bytes x rank / chunk). "placed": the memory such a prompt leaves was put in place, as reading it would be quadratic.`,
    '',
    ...parts.map(describePart),
  ].join('\n');
}

function main() {
  const settings = {
    preset: values.preset,
    prompts: wholeNumbers('--prompts', values.prompts),
    tokens: wholeNumber('--tokens', values.tokens),
    threads: wholeNumber('--threads', values.threads),
  };
  setNumThreads(settings.threads);
  const { memoryLength } = preset(settings.preset);
  const parts = [measureAll(settings, memoryLength, true), measureAll(settings, 2 ** 20, false)];
  const text = describe(settings, parts);
  console.log(text);
  if (values.out) writeFileSync(values.out, text);
  if (values.json)
    writeFileSync(values.json, `${JSON.stringify({ machine: machine(), ...settings, parts }, null, 2)}\n`);
}

try {
  main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
