/**
 * What fewer bits for the weights cost: bits per character or accuracy of a model exported with float32, float16 and int8 weights, by
 * onnxruntime-node, on text and examples that it has not seen; and the bytes of each.
 *
 *   npm run bench -- weight-types --data-folder <prepared data> [--models wikipedia,film-reviews,…] [--bytes 65536] [--examples 1000]
 *     [--pictures <folder with a folder for each class>] [--out <results file>]
 *
 * Models are runs, model folders or names of shipped ones. Language models are scored on the test part of their corpus in whole blocks, from
 * an empty memory on; classifiers on test examples that are evenly spread.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import sharp from 'sharp';
import { loadImageClassifier } from '../packages/runtime/dist/index.js';
import { corpusSearchFolders } from '../packages/transformer-ls/dist/cli/data-folder.js';
import { openCorpus } from '../packages/transformer-ls/dist/data/index.js';
import { openExampleSet } from '../packages/transformer-ls/dist/lra/example-set.js';
import { machine, table, wholeNumber } from './side-by-side.workers.mjs';

const TYPES = ['float32', 'float16', 'int8'];
const cli = fileURLToPath(new URL('../packages/transformer-ls/bin/transformer-ls.mjs', import.meta.url));

const { values: settings } = parseArgs({
  options: {
    models: { type: 'string', default: 'wikipedia,declarations,listops,film-reviews,small-pictures' },
    'data-folder': { type: 'string', default: 'data' },
    bytes: { type: 'string', default: '65536' },
    examples: { type: 'string', default: '1000' },
    pictures: { type: 'string' },
    out: { type: 'string' },
  },
});
const mostBytes = wholeNumber('--bytes', settings.bytes);
const mostExamples = wholeNumber('--examples', settings.examples);
const scratch = mkdtempSync(join(tmpdir(), 'tls-weight-types-'));

async function rowOf(model) {
  const cells = [];
  let what = '';
  for (const type of TYPES) {
    const folder = join(scratch, model.replaceAll('/', '-'), type);
    const args = [cli, 'export', model, '--out', folder, '--weights', type];
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`weight-types: ${model}: ${stderr.trim()}`);
    const manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
    const measured = await MEASURES[manifest.kind](folder, manifest);
    what = measured.what;
    cells.push(measured.value, (statSync(join(folder, 'weights.bin')).size / 1e6).toFixed(2));
    console.error(`${model}, ${type}: ${measured.value} (${measured.what})`);
  }
  return [model, what, ...cells];
}

const MEASURES = {
  async 'language-model'(folder, { blockTokens, provenance: { data } }) {
    const corpus = await openCorpus(data, 'test', {
      folder: settings['data-folder'],
      searchFolders: corpusSearchFolders(),
    });
    const blocks = Math.floor(Math.min(mostBytes, corpus.length) / blockTokens);
    const bytes = corpus.read(0, blocks * blockTokens);
    corpus.close();
    const session = await InferenceSession.create(join(folder, 'block.onnx'));
    let state = Object.fromEntries(
      session.inputMetadata.filter(({ name }) => name !== 'ids').map((input) => [input.name, zeros(input)]),
    );
    let [nats, scored] = [0, 0];
    for (let begin = 0; begin < bytes.length; begin += blockTokens) {
      const ids = bytes.subarray(begin, begin + blockTokens);
      const found = await session.run({ ids: int64(ids), ...state });
      const [classes] = found.logits.dims.slice(-1);
      const targets = bytes.subarray(begin + 1, begin + 1 + blockTokens);
      targets.forEach((target, i) => {
        nats += surprise(found.logits.data.subarray(i * classes, (i + 1) * classes), target);
      });
      scored += targets.length;
      state = Object.fromEntries(Object.keys(state).map((name) => [name, found[`next.${name}`]]));
    }
    return { value: (nats / scored / Math.LN2).toFixed(4), what: `bits per character, ${scored} bytes` };
  },
  async 'text-classifier'(folder, { longest, provenance: { data } }) {
    const set = await openExampleSet(join(settings['data-folder'], data));
    const session = await InferenceSession.create(join(folder, 'classify.onnx'));
    const count = set.count('test');
    const stride = Math.max(1, Math.floor(count / mostExamples));
    let [right, asked] = [0, 0];
    for (let i = 0; i < count && asked < mostExamples; i += stride) {
      const { documents, label } = set.example('test', i, longest);
      const ids = int64(Array.from(documents[0], (token) => token + 1));
      const mask = new Tensor('bool', new Uint8Array(ids.dims[1]).fill(1), ids.dims);
      const { logits } = await session.run({ ids, mask });
      right += Number(logits.data.indexOf(Math.max(...logits.data)) === label);
      asked += 1;
    }
    set.close();
    return accuracy(right, asked);
  },
  async 'image-classifier'(folder) {
    if (settings.pictures === undefined) return { value: 'left out', what: 'needs --pictures' };
    const model = await loadImageClassifier(folder);
    const classes = readdirSync(settings.pictures);
    const each = Math.ceil(mostExamples / classes.length);
    let [right, asked] = [0, 0];
    for (const name of classes)
      for (const file of readdirSync(join(settings.pictures, name)).sort().slice(0, each)) {
        const picture = sharp(join(settings.pictures, name, file)).removeAlpha();
        const { data, info } = await picture.raw().toBuffer({ resolveWithObject: true });
        const { label } = await model.classify({ width: info.width, height: info.height, data });
        right += Number(label === name);
        asked += 1;
      }
    await model.dispose();
    return accuracy(right, asked);
  },
};

function accuracy(right, asked) {
  return { value: `${((100 * right) / asked).toFixed(2)} %`, what: `accuracy, ${asked} examples` };
}

function int64(values) {
  return new Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
}

/** An empty memory; free sizes are a batch of one. */
function zeros({ type, shape }) {
  const dims = shape.map((size) => (typeof size === 'number' ? size : 1));
  const count = dims.reduce((a, b) => a * b, 1);
  return new Tensor(type, type === 'int64' ? new BigInt64Array(count) : new Float32Array(count), dims);
}

/** Nats. */
function surprise(logits, target) {
  let most = -Infinity;
  for (const logit of logits) most = Math.max(most, logit);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - most);
  return Math.log(sum) + most - logits[target];
}

const rows = [];
try {
  for (const model of settings.models.split(',')) rows.push(await rowOf(model));
} finally {
  rmSync(scratch, { recursive: true });
}
const heading = ['model', 'measured', ...TYPES.flatMap((type) => [type, `${type}, MB`])];
const report = `# Weights in fewer bits\n\n${machine()}\n\n${table(heading, rows)}\n`;
if (settings.out !== undefined) writeFileSync(settings.out, report);
console.log(report);
