/** Our sides of benches/inference.mjs, on libtorch and exported: answers one JSON line to each JSON line on standard input. */
import { mkdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { statusMib } from './worker.parts.mjs';

const DIST = '../packages/transformer-ls/dist';

/** Weights, inputs and the exported model, for everybody. */
async function prepare({ config, weights, inputs, length, exported }) {
  const torch = await import('../packages/torch/dist/index.js');
  const { saveTensors } = await import('./worker.parts.mjs');
  torch.manualSeed(0);
  const model = await modelOf(config);
  model.eval();
  saveTensors(model.stateDict(), weights);
  saveTensors(inputTensors(torch, config, length), inputs);
  const { exportModel } = await import(`${DIST}/export/export.js`);
  mkdirSync(exported);
  await exportModel(await exportableOf(model), exported, {
    name: 'bench',
    weights: 'float32',
    version: '0',
    provenance: { source: 'bench', step: null, weightsSha256: '0'.repeat(64), data: null, exported: 'bench' },
  });
  model.dispose();
}

function inputTensors(torch, config, length) {
  if (config.kind === 'sequence-classifier') return new Map([['ids', torch.randint(1, 257, [1, length])]]);
  if (config.kind === 'language-model') return new Map([['ids', torch.randint(0, 256, [1, 1024])]]);
  return new Map([['images', torch.randn([1, config.channels, config.imageHeight, config.imageWidth])]]);
}

async function modelOf(config) {
  if (config.kind === 'sequence-classifier') {
    const { SequenceClassifier } = await import(`${DIST}/models/sequence-classifier/model.js`);
    return new SequenceClassifier(config);
  }
  if (config.kind === 'language-model') {
    const { createLanguageModel } = await import(`${DIST}/models/language-model/create.js`);
    return createLanguageModel(config);
  }
  const { createImageClassifier } = await import(`${DIST}/models/vision/image-classifier.js`);
  return createImageClassifier(config);
}

async function exportableOf(model) {
  const { config } = model;
  const classes = Array.from({ length: config.classes ?? 0 }, (_, i) => String(i));
  if (config.kind === 'sequence-classifier') {
    const { exportableTextClassifier } = await import(`${DIST}/export/text-classifier.js`);
    return exportableTextClassifier({ model, config, classes, training: undefined });
  }
  if (config.kind === 'language-model') {
    const { exportableLanguageModel } = await import(`${DIST}/export/language-model.js`);
    const { byteVocabulary } = await import('../packages/formats/dist/index.js');
    return exportableLanguageModel(model, byteVocabulary);
  }
  const { exportableImageClassifier } = await import(`${DIST}/export/image-classifier.js`);
  return exportableImageClassifier({
    model,
    config,
    classes: classes.map((id) => ({ id, name: id })),
    training: undefined,
  });
}

/** libtorch: a function that runs once and gives some numbers. */
async function libtorchRun({ config, weights, inputs, threads, tokens }) {
  const torch = await import('../packages/torch/dist/index.js');
  const { readTensors } = await import('./worker.parts.mjs');
  torch.setNumThreads(threads);
  const model = await modelOf(config);
  model.eval();
  model.loadStateDict(readTensors(weights));
  const given = readTensors(inputs);
  const computed = (fn) => async () =>
    torch.noGrad(() => torch.scope(() => [...fn().toTypedArray()].slice(0, 16)));
  if (config.kind === 'sequence-classifier') {
    const ids = given.get('ids');
    const mask = ids.ne(0);
    return computed(() => model.forward({ ids, mask }));
  }
  if (config.kind !== 'language-model') return computed(() => model.forward(given.get('images')));
  const { ModelStream } = await import(`${DIST}/models/language-model/stream.js`);
  const stream = new ModelStream(model);
  const ids = Int32Array.from(given.get('ids').toTypedArray(), Number);
  stream.feed(ids, () => undefined);
  return async () => {
    let logits = [];
    for (let i = 0; i < tokens; i++)
      logits = stream.feed(ids.subarray(i, i + 1), (all) => all.toFloat32Array());
    return [...logits.slice(0, 16)];
  };
}

/** The same of the exported graphs. */
async function exportedRun({ config, inputs, exported, threads, tokens }) {
  const { parseSafetensors } = await import('../packages/formats/dist/index.js');
  const { platform } = await import('../packages/runtime/dist/platform-node.js');
  const { Graph } = await import('../packages/runtime/dist/graph.js');
  const { readModel } = await import('../packages/runtime/dist/model-files.js');
  const { StreamState } = await import('../packages/runtime/dist/language-model/stream-state.js');
  const ready = await platform.startEngine({ threads });
  const files = await readModel(platform.filesAt(exported));
  const { manifest } = files;
  const given = parseSafetensors(readFileSync(inputs)).tensors;
  const numbers = (name, Kind) => {
    const { data } = given.get(name);
    return new Kind(data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength));
  };
  if (config.kind === 'language-model') {
    const graphs = {
      step: await Graph.create(ready, files, manifest.step),
      block: await Graph.create(ready, files, manifest.block),
    };
    const state = new StreamState(graphs, manifest);
    const ids = Int32Array.from(numbers('ids', BigInt64Array), Number);
    for (let at = 0; at < ids.length; ) at += (await state.feed(ids.subarray(at))).count;
    return async () => {
      let logits = [];
      for (let i = 0; i < tokens; i++) ({ logits } = await state.feed(ids.subarray(i, i + 1)));
      return [...logits.slice(0, 16)];
    };
  }
  const graph = await Graph.create(ready, files, manifest.graph);
  const feeds =
    config.kind === 'sequence-classifier'
      ? textFeeds(graph, numbers('ids', BigInt64Array))
      : imageFeeds(graph, config, numbers('images', Float32Array));
  return async () => {
    const { logits } = await graph.run(feeds, ['logits']);
    return [...logits.data.slice(0, 16)];
  };
}

function textFeeds(graph, ids) {
  const dims = [1, ids.length];
  return {
    ids: graph.tensor('int64', ids, dims),
    mask: graph.tensor('bool', new Uint8Array(ids.length).fill(1), dims),
  };
}

function imageFeeds(graph, { channels, imageHeight, imageWidth }, images) {
  return { images: graph.tensor('float32', images, [1, channels, imageHeight, imageWidth]) };
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const job = JSON.parse((await lines.next()).value);
if (job.first) await prepare(job);
const run = job.kind === 'exported' ? await exportedRun(job) : await libtorchRun(job);
console.log(JSON.stringify({ ready: true }));
for await (const line of lines) {
  const command = JSON.parse(line);
  if (command.do === 'memory') console.log(JSON.stringify({ peakMib: statusMib('VmHWM') }));
  else {
    const start = performance.now();
    const numbers = await run();
    console.log(JSON.stringify({ ms: performance.now() - start, numbers }));
  }
}
