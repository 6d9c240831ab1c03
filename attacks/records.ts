/** What programs write for programs: manifests, metrics, dictionaries. */
import { createHash } from 'node:crypto';
import { encodeOnnx, type OnnxGraph, type OnnxTensor } from '../packages/formats/src/onnx/index.js';
import { writeManifest } from '../packages/transformer-ls/src/run/manifest.js';
import { type Attack, file } from './attack.js';
import { languageModel } from './sound-model.js';
import { configured } from './weights.js';

const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex');
const digest = { size: 2, sha256: sha256('{}') };

const checkpoint = (name: string, tries: string, refusal: RegExp, manifest: () => string): Attack => ({
  name: `checkpoint-${name}`,
  tries,
  files: () => ({
    'step-00000001/manifest.json': manifest(),
    'step-00000001/state.json': '{}',
    'step-00000001/model.safetensors': configured({}),
  }),
  command: ['inspect', '@/step-00000001'],
  refusal,
});

const files = (names: readonly string[], entry = digest) =>
  writeManifest({ step: 1, files: new Map(names.map((name) => [name, entry])) });

/** A weight that lies in another file. */
const weightIn = (location: string): OnnxTensor => ({
  name: 'w',
  dims: [4n],
  dataType: 2,
  dataLocation: 1,
  externalData: [
    { key: 'location', value: location },
    { key: 'offset', value: '0' },
    { key: 'length', value: '4' },
  ],
});

/** Four bytes as they are, from a weight. */
const copying = (location: string): OnnxGraph => ({
  name: 'graph',
  node: [{ input: ['w'], output: ['y'], name: 'copy', opType: 'Identity', attribute: [] }],
  initializer: [weightIn(location)],
  input: [],
  output: [{ name: 'y', type: { tensorType: { elemType: 2, shape: { dim: [{ dimValue: 4n }] } } } }],
});

const onnxOf = (graph: OnnxGraph) =>
  encodeOnnx({
    irVersion: 8n,
    opsetImport: [{ domain: '', version: 17n }],
    producerName: 'attack',
    producerVersion: '1',
    metadataProps: [],
    graph,
  });

/** A model whose only weight lies in another file. */
const readingOnnx = (location: string) => onnxOf(copying(location));

/** The same in both branches of a condition: the engine looks for these beside the program, whatever it was handed. */
const branchingOnnx = (location: string) =>
  onnxOf({
    ...copying(location),
    node: [
      {
        input: ['yes'],
        output: ['y'],
        name: 'if',
        opType: 'If',
        attribute: ['then_branch', 'else_branch'].map((name) => ({ name, type: 5, g: copying(location) })),
      },
    ],
    initializer: [{ name: 'yes', dims: [], dataType: 9, rawData: Uint8Array.of(1) }],
  });

function exported(
  change: (manifest: Record<string, unknown>) => void,
  onnx: Uint8Array | string = 'no model',
): string {
  const manifest: Record<string, unknown> = {
    format: 'transformer-ls exported model',
    version: 1,
    name: 'attack',
    kind: 'language-model',
    weights: 'float32',
    model: languageModel,
    vocabulary: { kind: 'bytes' },
    step: null,
    block: 'block.onnx',
    blockTokens: 4,
    files: [{ name: 'block.onnx', bytes: Buffer.from(onnx).length, sha256: sha256(onnx) }],
    provenance: { source: 'attack', weightsSha256: sha256(''), exported: 'today' },
    check: { largestError: 0, compared: ['nothing'] },
  };
  change(manifest);
  return JSON.stringify(manifest);
}

const model = (
  name: string,
  tries: string,
  refusal: RegExp,
  change: (manifest: Record<string, unknown>) => void,
  onnx: Uint8Array | string = 'no model',
  beside: Readonly<Record<string, string>> = {},
): Attack => ({
  name: `export-${name}`,
  tries,
  files: () => ({
    'model/manifest.json': exported(change, onnx),
    'model/block.onnx': onnx,
    'secret.bin': 'secret',
    ...beside,
  }),
  command: ['run', '@/model'],
  refusal,
});

export const recordAttacks: readonly Attack[] = [
  checkpoint('traversal', 'a file named ../../secret', /plain lower-case file name/, () =>
    files(['state.json', 'model.safetensors']).replace('"model.safetensors"', '"../../secret"'),
  ),
  checkpoint('missing', 'a file that is not there', /missing/, () =>
    files(['other.safetensors', 'state.json']),
  ),
  checkpoint('size', 'a file of 2^53 - 1 bytes', /bytes were written/, () =>
    files(['model.safetensors', 'state.json'], { size: 2 ** 53 - 1, sha256: digest.sha256 }),
  ),
  checkpoint(
    'nesting',
    'brackets, 100,000 deep',
    /./,
    () => `{"format":"transformer-ls checkpoint","version":${'['.repeat(100_000)}`,
  ),
  checkpoint(
    'closed-nesting',
    'a version of 100,000 lists',
    /version is a list/,
    () => `{"format":"transformer-ls checkpoint","version":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
  ),
  checkpoint('large', 'a manifest of 2 MB', /at most 1048576 expected/, () => ' '.repeat(2 ** 21)),
  checkpoint(
    'terminal',
    'a step that would move the cursor of a terminal',
    /step is/,
    () => '{"format":"transformer-ls checkpoint","version":1,"step":"\\u001b[2J\u009b2J\u2028"}',
  ),
  checkpoint(
    'prototype',
    'files of a prototype',
    /./,
    () => '{"format":"transformer-ls checkpoint","version":1,"step":1,"__proto__":{"files":{}}}',
  ),
  {
    name: 'metrics-nesting',
    tries: 'brackets, 100,000 deep, in a line of metrics',
    files: file('metrics.jsonl', () => `${'['.repeat(100_000)}\n{}\n`),
    command: ['inspect', '@/metrics.jsonl'],
    refusal: /at most 64 levels/,
  },
  {
    name: 'metrics-nan',
    tries: 'NaN, which is no JSON',
    files: file('metrics.jsonl', () => '{"type":"train","step":NaN}\n'),
    command: ['inspect', '@/metrics.jsonl'],
    refusal: /expected a value/,
  },
  {
    name: 'dictionary-counts',
    tries: 'a count of 40 digits',
    files: file('dict.txt', () => `32 ${'9'.repeat(40)}\n`),
    command: ['inspect', '@/dict.txt'],
    refusal: /expected 'symbol count'/,
  },
  {
    name: 'dictionary-large',
    tries: 'a dictionary of 32 MB',
    files: file('dict.txt', () => '32 1\n'.padEnd(2 ** 25, ' ')),
    command: ['inspect', '@/dict.txt'],
    refusal: /at most 1048576/,
  },
  {
    name: 'dictionary-terminal',
    tries: 'a symbol that would move the cursor of a terminal',
    files: file('dict.txt', () => '101 1\n\u009b2J\x7f 1\n'),
    command: ['inspect', '@/dict.txt'],
    refusal: /\\u009b/,
  },
  model('traversal', 'a graph named ../secret.bin', /plain lower-case file name/, (manifest) => {
    manifest.block = '../secret.bin';
    manifest.files = [{ name: '../secret.bin', bytes: 6, sha256: sha256('secret') }];
  }),
  model('large', 'a graph that says it has 16 GB', /block\.onnx has 8 bytes/, (manifest) => {
    manifest.files = [{ name: 'block.onnx', bytes: 2 ** 34, sha256: sha256('') }];
  }),
  model(
    'hash',
    'a graph that is not the one that was written',
    /is not the file that manifest\.json names/,
    (manifest) => {
      manifest.files = [{ name: 'block.onnx', bytes: 8, sha256: sha256('other') }];
    },
  ),
  model(
    'external',
    'a graph whose weights are another file of the machine',
    /"\.\.\/secret\.bin", which is none of the model's files/,
    () => undefined,
    readingOnnx('../secret.bin'),
  ),
  model(
    'external-absolute',
    'the same by a whole path',
    /none of the model's files/,
    () => undefined,
    readingOnnx('/etc/passwd'),
  ),
  model(
    'external-device',
    'weights that never end',
    /none of the model's files/,
    () => undefined,
    readingOnnx('/dev/zero'),
  ),
  model(
    'external-beside',
    'weights in a file of the folder in which the program runs',
    /none of the model's files/,
    () => undefined,
    readingOnnx('package.json'),
  ),
  model(
    'external-branch',
    'a branch that names the file of weights, for one of that name in the folder in which the program runs',
    /only weights of the whole graph may lie/,
    (manifest) => {
      const weights = { name: 'weights.bin', bytes: 4, sha256: sha256('mine') };
      manifest.files = [...(manifest.files as object[]), weights];
    },
    branchingOnnx('weights.bin'),
    { 'model/weights.bin': 'mine' },
  ),
  model(
    'external-memory',
    'weights at an address in the memory of the program',
    /none of the model's files/,
    () => undefined,
    readingOnnx('*/_ORT_MEM_ADDR_/*'),
  ),
  model(
    'other-format',
    'a file of another format of the engine, in which weights could hide',
    /format of the engine alone/,
    () => undefined,
    '\x20\0\0\0ORTM'.padEnd(64, '\0'),
  ),
];
