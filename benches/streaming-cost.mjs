/**
 * What one more token costs after prompts of 1k, 10k, 100k and 1M bytes: time, memory of the stream, and how much one more
 * token adds to it. Once with the preset's bounded memory, once with a memory that forgets nothing.
 *
 *   node benches/streaming-cost.mjs [--preset small] [--tokens 128] [--threads 2]
 *
 * The weights are random: the cost does not depend on them. With a bounded memory every prompt is really read. A memory that
 * forgets nothing makes reading quadratic (every token attends to every chunk before it), so from 100k on the memory that
 * reading would leave is put in place instead: tensors of the same shapes. The result goes to benches/results/.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
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

const PROMPTS = [1_000, 10_000, 100_000, 1_000_000];
const LONGEST_QUADRATIC_READ = 10_000;
const SEGMENT = 500;

const { values } = parseArgs({
  options: {
    preset: { type: 'string', default: 'small' },
    tokens: { type: 'string', default: '128' },
    threads: { type: 'string', default: String(cpus().length) },
  },
});
const tokens = Number(values.tokens);
setNumThreads(Number(values.threads));

const quantile = (numbers, part) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length * part)];

function readPrompt(model, length) {
  const stream = new ModelStream(model);
  const begun = performance.now();
  for (let done = 0; done < length; done += SEGMENT) {
    const ids = Int32Array.from({ length: Math.min(SEGMENT, length - done) }, (_, i) => (done + 7 * i) % 256);
    stream.feed(ids, () => undefined);
  }
  return { stream, read: `${Math.round(length / ((performance.now() - begun) / 1000))} tok/s` };
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
  return { stream: new ModelStream(model, 1, { layers }), read: 'placed' };
}

function measure(model, length, isBounded) {
  const really = isBounded || length <= LONGEST_QUADRATIC_READ;
  const { stream, read } = really ? readPrompt(model, length) : placePrompt(model, length);
  const before = stream.memoryBytes();
  const times = [];
  for (let i = 0; i < tokens; i++) {
    const begun = performance.now();
    stream.feed(Int32Array.of(i % 256), (logits) => logits.toFloat32Array());
    times.push(performance.now() - begun);
  }
  const after = stream.memoryBytes();
  const vectors = Math.floor(Math.min(length, model.config.memoryLength) / model.config.chunkSize);
  stream.dispose();
  const cells = [
    length.toLocaleString('en'),
    read,
    vectors.toLocaleString('en'),
    quantile(times, 0.1).toFixed(2),
    quantile(times, 0.5).toFixed(2),
    (before / 2 ** 20).toFixed(2),
    ((after - before) / tokens).toFixed(0),
    (memoryStats().residentBytes / 2 ** 20).toFixed(0),
  ];
  return `| ${cells.join(' | ')} |`;
}

function table(title, memoryLength, isBounded) {
  manualSeed(1);
  const model = scope(() => createLanguageModel(preset(values.preset, { memoryLength })));
  model.eval();
  const rows = PROMPTS.map((length) => {
    const row = measure(model, length, isBounded);
    console.log(row);
    return row;
  });
  model.dispose();
  const head = [
    'prompt (bytes)',
    'reading',
    'chunks seen',
    'ms per token, fastest tenth',
    'median',
    'memory (MiB)',
    'bytes added per token',
    'resident (MiB)',
  ];
  return `## ${title}\n\n| ${head.join(' | ')} |\n| ${head.map(() => '---:').join(' | ')} |\n${rows.join('\n')}\n`;
}

const { memoryLength, layers, modelDim, chunkSize, windowSize, projectionRank } = preset(values.preset);
const perToken = (layers * 2 * modelDim * 4 * projectionRank) / chunkSize;
const bounded = table(`Memory of ${memoryLength} tokens`, memoryLength, true);
const unbounded = table('A memory that forgets nothing', 2 ** 20, false);
const cpu = cpus()[0].model.trim();
const date = new Date().toISOString().slice(0, 10);
const report = `# Cost of one more token after prompts of 1k to 1M bytes

\`node benches/streaming-cost.mjs --preset ${values.preset} --tokens ${tokens} --threads ${values.threads}\`, ${date}, ${cpu}, \
libtorch ${buildInfo().version}, Node ${process.version}. Over ${tokens} tokens: the fastest tenth tells the cost
where other programs share the machine, the median what they leave.

Preset ${values.preset}: ${layers} layers, width ${modelDim}, window ${windowSize}, chunks of ${chunkSize}, rank ${projectionRank}. A
token adds a share of one compressed key and value per layer: ${perToken} bytes (layers x 2 x width x 4 bytes x rank / chunk).
"placed": the memory such a prompt leaves was put in place, as reading it would be quadratic.

${bounded}
${unbounded}`;
const folder = new URL('results/', import.meta.url);
mkdirSync(folder, { recursive: true });
const name = `streaming-cost_${cpu.replace(/[^A-Za-z0-9]+/g, '-')}_${date}.md`;
writeFileSync(new URL(name, folder), report);
console.log(`wrote benches/results/${name}`);
