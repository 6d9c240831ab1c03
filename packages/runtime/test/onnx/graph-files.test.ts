import { encodeOnnx, type OnnxGraph, type OnnxTensor } from '@transformer-ls/formats/onnx';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fuzzGraphFiles } from '../../fuzz/graph-files.js';
import type { RuntimeError } from '../../src/index.js';
import { checkGraphFiles } from '../../src/onnx/graph-files.js';
import {
  type Bytes,
  bytesField,
  inAttribute,
  modelWith,
  numberField,
  plainTensor,
  tensorIn,
  textField,
  varint,
} from './proto.js';

const GIVEN = new Set(['weights.bin']);

/** The one line of a refusal; null: it is let through. */
function refusal(bytes: Bytes | Uint8Array, given: ReadonlySet<string> = GIVEN): string | null {
  try {
    checkGraphFiles('a.onnx', Uint8Array.from(bytes), given);
    return null;
  } catch (error) {
    expect(error).toMatchObject({ name: 'RuntimeError', code: 'damaged' });
    const { message } = error as RuntimeError;
    expect(message).toMatch(/^a\.onnx cannot be loaded: [^\p{Cc}\p{Zl}\p{Zp}]{1,300}$/u);
    return message.slice('a.onnx cannot be loaded: '.length);
  }
}

const weight = (tensor: Bytes) => modelWith(bytesField(5, tensor));
const node = (...attributes: Bytes[]) => bytesField(1, attributes.flat());
const noneOfThem = (file: string) =>
  `weights of it lie in ${JSON.stringify(file)}, which is none of the model's files`;
const CONSTANT = 'a constant inside it lies in "weights.bin", where only weights of the whole graph may lie';

/** Every place of a tensor in a model but the weights of its graph, by name. */
const places: Readonly<Record<string, (tensor: Bytes) => Bytes>> = {
  'a constant': (tensor) => modelWith(node(inAttribute(5, tensor))),
  'one of several constants': (tensor) =>
    modelWith(node(inAttribute(10, plainTensor), inAttribute(10, tensor))),
  'a sparse constant, its values': (tensor) => modelWith(node(inAttribute(22, bytesField(1, tensor)))),
  'a sparse constant, its places': (tensor) => modelWith(node(inAttribute(22, bytesField(2, tensor)))),
  'one of several sparse constants': (tensor) => modelWith(node(inAttribute(23, bytesField(1, tensor)))),
  'a sparse weight, its values': (tensor) => modelWith(bytesField(15, bytesField(1, tensor))),
  'a sparse weight, its places': (tensor) => modelWith(bytesField(15, bytesField(2, tensor))),
  'a weight of a branch': (tensor) => modelWith(node(inAttribute(6, bytesField(5, tensor)))),
  'a weight of one of several branches': (tensor) => modelWith(node(inAttribute(11, bytesField(5, tensor)))),
  'a sparse weight of a branch': (tensor) =>
    modelWith(node(inAttribute(6, bytesField(15, bytesField(1, tensor))))),
  'a constant of a branch of a branch': (tensor) =>
    modelWith(node(inAttribute(6, node(inAttribute(6, node(inAttribute(5, tensor))))))),
  'a constant of a function': (tensor) => bytesField(25, bytesField(7, inAttribute(5, tensor))),
  'what a function takes where nothing is given': (tensor) =>
    bytesField(25, bytesField(11, bytesField(5, tensor))),
  'a weight of the beginning of training': (tensor) => bytesField(20, bytesField(1, bytesField(5, tensor))),
  'a weight of training': (tensor) => bytesField(20, bytesField(2, bytesField(5, tensor))),
};

describe('a graph whose weights lie in', () => {
  it('the file that is handed over is let through', () => {
    expect(refusal(weight(tensorIn('weights.bin')))).toBeNull();
    expect(refusal(weight(plainTensor), new Set())).toBeNull();
    expect(refusal([], new Set())).toBeNull();
  });

  it.each([
    'secret.bin',
    '../secret.bin',
    '/etc/passwd',
    '/dev/zero',
    './weights.bin',
    'WEIGHTS.BIN',
    'weights.bin ',
    'weights.bin\0',
    '\ufeffweights.bin',
    '*/_ORT_MEM_ADDR_/*',
    '__proto__',
    '',
  ])('%j is refused', (file) => {
    expect(refusal(weight(tensorIn(file)))).toBe(noneOfThem(file).replace('\0', '\\u0000'));
  });

  it('a file that is not handed over is refused, whatever it is called', () => {
    expect(refusal(weight(tensorIn('weights.bin')), new Set())).toBe(noneOfThem('weights.bin'));
  });

  it('a file with a name without end, or one that would move the cursor of a terminal, is refused in one line', () => {
    expect(refusal(weight(tensorIn('a'.repeat(1_000_000))))).toContain('aaa..."');
    expect(refusal(weight(tensorIn('\u001b[2J\u009b\u2028')))).toContain('\\u001b[2J\\u009b\\u2028');
  });

  it('no file that is named is refused', () => {
    const reason = 'weights of it lie in a file that it does not name';
    expect(refusal(weight(numberField(14, 1)))).toBe(reason);
    // An engine that keeps 32 bits of this reads 1.
    expect(refusal(weight(numberField(14, 2n ** 32n + 1n)))).toBe(reason);
    expect(refusal(weight([...numberField(14, 1), ...bytesField(13, textField(1, 'offset'))]))).toBe(reason);
    expect(refusal(weight(numberField(14, 0)))).toBeNull();
  });
});

describe.each(Object.entries(places))('%s', (_, place) => {
  it('may lie in no file, not even one that is handed over', () => {
    expect(refusal(place(tensorIn('../secret.bin')))).toBe(noneOfThem('../secret.bin'));
    expect(refusal(place(tensorIn('weights.bin')))).toBe(CONSTANT);
    expect(refusal(place(plainTensor))).toBeNull();
  });
});

describe('not hidden is a name', () => {
  const location = (...fields: Bytes[]) => weight(bytesField(13, fields.flat()));
  const refused = noneOfThem('../x');

  it('that comes before its key, or comes again', () => {
    expect(refusal(location(textField(2, '../x'), textField(1, 'location')))).toBe(refused);
    expect(
      refusal(location(textField(1, 'location'), textField(2, 'weights.bin'), textField(2, '../x'))),
    ).toBe(refused);
    expect(refusal(location(textField(1, 'offset'), textField(2, '../x'), textField(1, 'location')))).toBe(
      refused,
    );
  });

  it('beside a name that is allowed', () => {
    expect(refusal(weight([...tensorIn('weights.bin'), ...tensorIn('../x')]))).toBe(refused);
    expect(refusal(weight([...tensorIn('../x'), ...tensorIn('weights.bin')]))).toBe(refused);
    expect(refusal([...weight(tensorIn('weights.bin')), ...weight(tensorIn('../x'))])).toBe(refused);
  });

  it('in a tensor that says it holds its own bytes', () => {
    expect(refusal(weight([...tensorIn('../x'), ...numberField(14, 0), ...bytesField(9, [1])]))).toBe(
      refused,
    );
  });

  it('behind tags and lengths of more bytes than they need', () => {
    const long = (value: number): Bytes => {
      const bytes = varint(value);
      return [...bytes.slice(0, -1), bytes.at(-1)! | 0x80, 0x80, 0];
    };
    const graph = bytesField(5, tensorIn('../x'));
    expect(refusal([...long(7 * 8 + 2), ...long(graph.length), ...graph])).toBe(refused);
  });
});

describe('no graph is', () => {
  it.each<[string, Bytes, string]>([
    ['a length behind the end', [0x3a, 5, 0], 'it ends early'],
    ['a length of 4 GB', [0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f], 'it ends early'],
    [
      'a length of more than 32 bits',
      [0x3a, 0xff, 0xff, 0xff, 0xff, 0x1f],
      'a tag or a length is of more than 32 bits',
    ],
    ['a length without end', [0x3a, ...Array(20).fill(0x80)], 'a tag or a length is of more than 32 bits'],
    // An engine that keeps 32 bits of this reads the tag of a graph.
    [
      'a tag of more than 32 bits',
      [0xba, 0x80, 0x80, 0x80, 0x10],
      'a tag or a length is of more than 32 bits',
    ],
    ['a number without end', [0x08, ...Array(20).fill(0x80)], 'a number is of more than 64 bits'],
    ['half a number', [0x08, 0x80], 'it ends early'],
    ['half a float', [0x0d, 0, 0], 'it ends early'],
    ['half a double', [0x09, 0, 0], 'it ends early'],
    ['a group', [0x3b, 0x3c], 'a field is of no known type'],
    ['a field 0', [0x02, 0], 'a field has the number 0'],
    ['an inner length behind the outer end', [0x3a, 2, 0x2a, 40, ...Array(60).fill(0)], 'it ends early'],
  ])('%s', (_, bytes, reason) => {
    expect(refusal(bytes)).toBe(`it is no ONNX graph (${reason})`);
  });

  it('branches in branches without end', () => {
    const deep = (levels: number) => {
      let graph: Bytes = [];
      for (let i = 0; i < levels; i += 1) graph = node(inAttribute(6, graph));
      return modelWith(graph);
    };
    expect(refusal(deep(33))).toBeNull();
    expect(refusal(deep(34))).toBe('it is no ONNX graph (more than 100 messages lie in each other)');
    expect(refusal(deep(500))).toContain('more than 100 messages');
  });

  it('what the engine would take for a file of its own format', () => {
    const both = [...numberField(1, 8), ...textField(2, 'ORTM')];
    expect(refusal(both)).toBe('it is no ONNX graph, but one of a format of the engine alone');
  });
});

const file = fc.constantFrom('weights.bin', '../x', '/etc/passwd');
const tensors: fc.Arbitrary<OnnxTensor> = fc.oneof(
  fc.record({
    name: fc.string(),
    dims: fc.constant([4n]),
    dataType: fc.constant(2),
    rawData: fc.uint8Array(),
  }),
  file.map((value) => ({
    name: 'w',
    dims: [4n],
    dataType: 2,
    dataLocation: 1,
    externalData: [
      { key: 'offset', value: '0' },
      { key: 'location', value },
    ],
  })),
);
const { graph } = fc.letrec<{ graph: OnnxGraph }>((tie) => ({
  graph: fc.record({
    name: fc.string(),
    initializer: fc.array(tensors, { maxLength: 3 }),
    node: fc.array(
      fc.record({
        input: fc.array(fc.string(), { maxLength: 2 }),
        output: fc.array(fc.string(), { maxLength: 2 }),
        name: fc.string(),
        opType: fc.string(),
        attribute: fc.array(
          fc.oneof(
            { depthSize: 'small', withCrossShrink: true },
            fc.record({ name: fc.string(), type: fc.constant(4), t: tensors }),
            fc.record({ name: fc.string(), type: fc.constant(5), g: tie('graph') }),
          ),
          { maxLength: 2 },
        ),
      }),
      { maxLength: 2 },
    ),
    input: fc.constant([]),
    output: fc.constant([]),
  }),
}));

const filesOf = ({ externalData }: OnnxTensor) =>
  (externalData ?? []).filter(({ key }) => key === 'location').map(({ value }) => value);
const constantFiles = ({ node }: OnnxGraph): string[] =>
  node.flatMap(({ attribute }) =>
    attribute.flatMap(({ t, g }) => [
      ...(t === undefined ? [] : filesOf(t)),
      ...(g === undefined ? [] : [...g.initializer.flatMap(filesOf), ...constantFiles(g)]),
    ]),
  );
const encoded = (graph: OnnxGraph) =>
  encodeOnnx({
    irVersion: 8n,
    opsetImport: [{ domain: '', version: 18n }],
    producerName: 'test',
    producerVersion: '1',
    metadataProps: [],
    graph,
  });

describe('any graph', () => {
  it('is let through where its weights alone lie in a file, and in that which is handed over', () => {
    fc.assert(
      fc.property(graph, (one) => {
        const right =
          one.initializer.flatMap(filesOf).every((name) => GIVEN.has(name)) &&
          constantFiles(one).length === 0;
        expect(refusal(encoded(one)) === null).toBe(right);
      }),
      { numRuns: 500 },
    );
  });

  it('damaged in any way is never let through with a file that another reader finds in it', () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(graph.map(encoded), damage, fc.nat(), (bytes, changes, length) => {
        const damaged = bytes.slice(0, length % 4 === 0 ? length % (bytes.length + 1) : bytes.length);
        for (const [at, value] of changes) if (damaged.length > 0) damaged[at % damaged.length] = value;
        fuzzGraphFiles(damaged);
      }),
      { numRuns: 2000 },
    );
  });
});
