// Sound files of every format, small, for fuzzing to start from: node --import ./scripts/fuzz/register-typescript.mjs scripts/fuzz/seeds.mjs
// What fuzz/corpus holds already stays.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { packTar } from 'modern-tar';
import { encodeSafetensors, formatMetricsLine } from '../../packages/formats/src/index.ts';
import { encodeOnnx } from '../../packages/formats/src/onnx/index.ts';
import { languageModel, training } from '../../packages/formats/test/example-configs.ts';
import { metricsRecords } from '../../packages/formats/test/metrics-records.ts';
import { bytesOfBase64, pythonPickles } from '../../packages/formats/test/pickle-cases.ts';
import { pthLegacyFiles, pthLegacyPrograms, pthZipFiles } from '../../packages/formats/test/pth-cases.ts';
import { metadataRecords, tensorMaps } from '../../packages/formats/test/safetensors-cases.ts';
import { writeManifest } from '../../packages/transformer-ls/src/run/manifest.ts';
import { zipBytes } from '../../packages/transformer-ls/test/data/zip-bytes.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (path) => readFileSync(join(root, path));
const json = (value) => Buffer.from(JSON.stringify(value));
const sample = (arbitrary, count = 8) => fc.sample(arbitrary, { numRuns: count, seed: 1 });

const models = ['film-reviews', 'listops', 'small-pictures'].map((name) => `models/${name}`);
/** A manifest that is small enough to be changed in interesting places: fewer classes and notes. */
const exported = (name) => {
  const manifest = JSON.parse(read(`models/${name}/onnx/manifest.json`));
  manifest.check.compared = manifest.check.compared.slice(0, 1);
  return json({ ...manifest, classes: manifest.classes?.slice(0, 2) });
};
const sha256 = 'a'.repeat(64);
const tar = (files) =>
  packTar(
    Object.entries(files).map(([name, text]) => ({
      header: { name, size: text.length, type: 'file' },
      body: Buffer.from(text),
    })),
  );
const pixel = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC',
  'base64',
);
const zip = (names) => zipBytes(names.map((name) => ({ name, content: pixel })));
const idx = Buffer.from([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3, ...Array(12).keys()]);
const onnxModel = {
  irVersion: 8n,
  opsetImport: [{ domain: '', version: 17n }],
  producerName: 'seeds',
  producerVersion: '1',
  metadataProps: [{ key: 'a', value: 'b' }],
  graph: {
    name: 'graph',
    node: [
      {
        input: ['x', 'w'],
        output: ['y'],
        name: 'node',
        opType: 'Add',
        attribute: [
          { name: 'axis', type: 2, i: -1n },
          { name: 'axes', type: 7, ints: [0n, 1n] },
        ],
      },
    ],
    initializer: [
      { name: 'w', dims: [2n], dataType: 1, rawData: new Uint8Array(8) },
      {
        name: 'v',
        dims: [2n],
        dataType: 1,
        dataLocation: 1,
        externalData: [{ key: 'location', value: 'weights.bin' }],
      },
    ],
    input: [
      {
        name: 'x',
        type: { tensorType: { elemType: 1, shape: { dim: [{ dimParam: 'n' }, { dimValue: 2n }] } } },
      },
    ],
    output: [{ name: 'y', type: { tensorType: { elemType: 1, shape: { dim: [] } } } }],
  },
};
const model = encodeOnnx(onnxModel);
const [plain] = onnxModel.graph.initializer;
/** A branch and a constant, each with weights of its own. */
const branching = encodeOnnx({
  ...onnxModel,
  graph: {
    ...onnxModel.graph,
    node: [
      {
        input: ['yes'],
        output: ['y'],
        name: 'if',
        opType: 'If',
        attribute: [
          { name: 'then_branch', type: 5, g: { ...onnxModel.graph, initializer: [plain] } },
          { name: 'value', type: 4, t: plain },
        ],
      },
    ],
  },
});
const set = {
  format: '1',
  task: 'text',
  inputs: 'one',
  classes: ['a', 'b'],
  vocabulary: [],
  validFrom: 'own',
  reportAs: null,
  caution: '',
  source: 'seeds',
  stamp: '1',
  preparedAt: '2026',
  ...Object.fromEntries(
    ['documents', 'offsets', 'train', 'valid', 'test'].map((name) => [name, { bytes: 8, sha256 }]),
  ),
};
const tables = [
  'Source\tTarget\n( ( ( [MAX 4 ) 2 ) ] )\t4\n[SM 1 [MED 1 2 3 ] 9 ]\t2\n',
  '0\t1\tid\tbad film\r\n1\t9\tid\tgood\tfilm\n',
  "1.0\t1\t2\tb'text'\tb'other'\n0\t1\t2\ta\tb\n",
];
const pairs = ['{"id":"a","text":"one"}\n{"id":"b","text":"two"}\n', '1\ta\tb\n0.0\ta\t1\n'];
const labels = [
  '0\tn01\tcat\n1\tn02\tdog\n',
  'n01 cat\nn02 dog\n',
  'a/1.png 0\na/2.png 1\n',
  'x.zip@/a/1.png\tn01\t3\n',
];
const parquet = ['plain-gzip', 'plain-zstd', 'texts', 'without-labels', 'train-00000-of-00002'].map((name) =>
  read(`packages/transformer-ls/test/images/fixtures/${name}.parquet`),
);

const SEEDS = {
  safetensors: sample(fc.tuple(tensorMaps, metadataRecords), 16).map((parts) => encodeSafetensors(...parts)),
  'pth-zip': sample(pthZipFiles),
  'pth-legacy': [...sample(pthLegacyFiles), ...sample(pthLegacyPrograms)],
  pickle: pythonPickles.map(([, base64]) => bytesOfBase64(base64)),
  config: [languageModel, training].map(json).concat(
    models.map((path) => read(`${path}/training.json`)),
    models.map((path) => read(`${path}/config.json`)),
  ),
  'exported-model': ['film-reviews', 'listops', 'small-pictures'].map(exported),
  metrics: sample(fc.array(metricsRecords, { maxLength: 4 })).map((records) =>
    Buffer.from(records.map(formatMetricsLine).join('')),
  ),
  'graph-files': [model, branching],
  onnx: [model],
  dictionary: ['101 5\n32 3\nmadeupword0000 0\n', 'e 5\n_ 3\nmadeupword0000 0\n'].map((text) =>
    Buffer.from(text),
  ),
  listops: ['[MAX 4 2 ]', '( ( [SM 1 ) [MIN 3 [MED 1 2 ] ] )'].map((text) => Buffer.from(text)),
  tar: await Promise.all([
    tar({ 'a.txt': 'text', 'folder/b.png': 'other' }),
    tar({ [`${'long/'.repeat(60)}name.txt`]: 'text' }),
    tar({ 'a.txt': '' }).then((bytes) => gzipSync(bytes)),
  ]),
  unpack: [
    gzipSync('text'),
    zipBytes([{ name: 'text', content: Buffer.from('text text text') }]),
    Buffer.from('text'),
  ],
  'zip-pictures': [zip(['a/1.png', 'b/2.png']), zip(['1.png'])],
  tables: [...tables.map((text) => Buffer.from(text)), gzipSync(tables[0])],
  pairs: pairs.map((text) => Buffer.from(text)),
  idx: [idx, gzipSync(idx), Buffer.from([0, 0, 8, 1, 0, 0, 0, 2, 7, 7])],
  labels: labels.map((text) => Buffer.from(text)),
  parquet,
  'checkpoint-manifest': [
    Buffer.from(
      writeManifest({
        step: 7,
        files: new Map([
          ['state.json', { size: 3, sha256 }],
          ['model.safetensors', { size: 9, sha256 }],
        ]),
      }),
    ),
  ],
  'example-set': [json(set)],
};

for (const [name, inputs] of Object.entries(SEEDS)) {
  const folder = join(root, 'fuzz/corpus', name);
  mkdirSync(folder, { recursive: true });
  for (const bytes of inputs)
    writeFileSync(join(folder, createHash('sha256').update(bytes).digest('hex').slice(0, 12)), bytes);
}
