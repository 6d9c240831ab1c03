import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ATTRIBUTE_TYPES,
  decodeOnnx,
  ELEMENT_TYPES,
  encodeOnnx,
  type OnnxAttribute,
  OnnxError,
  type OnnxGraph,
  type OnnxModel,
  type OnnxTensor,
} from '../../src/onnx/index.js';

const text = fc.string({ unit: 'grapheme', maxLength: 12 });
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const bytes = fc.uint8Array({ maxLength: 40 });
const float32 = fc.float({ noNaN: true });

const tensor: fc.Arbitrary<OnnxTensor> = fc.record(
  {
    name: text,
    dims: fc.array(int64, { maxLength: 4 }),
    dataType: fc.constantFrom(...Object.values(ELEMENT_TYPES)),
    rawData: bytes,
    externalData: fc.array(fc.record({ key: text, value: text }), { minLength: 1, maxLength: 3 }),
    dataLocation: fc.constantFrom(0, 1),
  },
  { requiredKeys: ['name', 'dims', 'dataType'] },
);

const values = fc.oneof(
  float32.map((f) => ({ type: ATTRIBUTE_TYPES.float, f })),
  int64.map((i) => ({ type: ATTRIBUTE_TYPES.int, i })),
  bytes.map((s) => ({ type: ATTRIBUTE_TYPES.string, s })),
  tensor.map((t) => ({ type: ATTRIBUTE_TYPES.tensor, t })),
  fc.array(float32, { minLength: 1 }).map((floats) => ({ type: ATTRIBUTE_TYPES.floats, floats })),
  fc.array(int64, { minLength: 1 }).map((ints) => ({ type: ATTRIBUTE_TYPES.ints, ints })),
  fc.array(bytes, { minLength: 1 }).map((strings) => ({ type: ATTRIBUTE_TYPES.strings, strings })),
);
const attribute: fc.Arbitrary<OnnxAttribute> = fc
  .tuple(text, values)
  .map(([name, value]) => ({ name, ...value }));

const dimension = fc.oneof(
  int64.map((dimValue) => ({ dimValue })),
  text.map((dimParam) => ({ dimParam })),
  fc.constant({}),
);
const valueInfo = fc
  .tuple(text, fc.constantFrom(...Object.values(ELEMENT_TYPES)), fc.array(dimension, { maxLength: 4 }))
  .map(([name, elemType, dim]) => ({ name, type: { tensorType: { elemType, shape: { dim } } } }));

const node = fc.record(
  {
    input: fc.array(text, { maxLength: 4 }),
    output: fc.array(text, { maxLength: 2 }),
    name: text,
    opType: text,
    domain: text,
    attribute: fc.array(attribute, { maxLength: 3 }),
  },
  { requiredKeys: ['input', 'output', 'name', 'opType', 'attribute'] },
);

const graph: fc.Arbitrary<OnnxGraph> = fc.record({
  name: text,
  node: fc.array(node, { maxLength: 4 }),
  initializer: fc.array(tensor, { maxLength: 3 }),
  input: fc.array(valueInfo, { maxLength: 3 }),
  output: fc.array(valueInfo, { maxLength: 3 }),
});

const model: fc.Arbitrary<OnnxModel> = fc.record(
  {
    irVersion: int64,
    opsetImport: fc.array(fc.record({ domain: text, version: int64 }), { maxLength: 2 }),
    producerName: text,
    producerVersion: text,
    docString: text,
    graph,
    metadataProps: fc.array(fc.record({ key: text, value: text }), { maxLength: 2 }),
  },
  {
    requiredKeys: ['irVersion', 'opsetImport', 'producerName', 'producerVersion', 'graph', 'metadataProps'],
  },
);

/** What was given, without what the library keeps beside it: its type names, and lists that were left out. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return [...value];
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key, item]) => !key.startsWith('$') && !(Array.isArray(item) && item.length === 0))
      .map(([key, item]) => [key, plain(item)]),
  );
}

const small: OnnxModel = {
  irVersion: 8n,
  opsetImport: [{ domain: '', version: 18n }],
  producerName: 'test',
  producerVersion: '1',
  graph: {
    name: 'g',
    node: [{ name: 'n', opType: 'Relu', input: ['x'], output: ['y'], attribute: [] }],
    initializer: [],
    input: [
      {
        name: 'x',
        type: { tensorType: { elemType: 1, shape: { dim: [{ dimParam: 'batch' }, { dimValue: 3n }] } } },
      },
    ],
    output: [{ name: 'y', type: { tensorType: { elemType: 1, shape: { dim: [{}, { dimValue: 3n }] } } } }],
  },
  metadataProps: [],
};

describe('a model', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(model, (written) => {
        expect(plain(decodeOnnx(encodeOnnx(written)))).toEqual(plain(written));
      }),
    );
  });

  it('may have a graph inside an attribute', () => {
    const inner: OnnxAttribute = { name: 'body', type: ATTRIBUTE_TYPES.graph, g: small.graph };
    const outer = {
      ...small,
      graph: { ...small.graph, node: [{ ...small.graph.node[0]!, opType: 'Loop', attribute: [inner] }] },
    };
    expect(plain(decodeOnnx(encodeOnnx(outer)))).toEqual(plain(outer));
  });

  it('keeps numbers that are 0 where they were set', () => {
    const zero = {
      ...small,
      graph: { ...small.graph, initializer: [{ name: 't', dims: [0n], dataType: 0 }] },
    };
    const read = decodeOnnx(encodeOnnx(zero));
    expect(plain(read.graph.initializer)).toEqual([{ name: 't', dims: [0n], dataType: 0 }]);
    expect(plain(read.graph.output[0]!.type.tensorType.shape.dim)).toEqual([{}, { dimValue: 3n }]);
  });

  it('has the field numbers of onnx.proto', () => {
    // ir_version 1, producer_name 2, producer_version 3, graph 7 {node 1 {input 1, output 2, name 3, op_type 4}, name 2, input 11,
    // output 12}, opset_import 8 {domain 1, version 2}: tags are number * 8 + kind of encoding (0 number, 2 length and bytes).
    expect(Buffer.from(encodeOnnx(small)).toString('latin1')).toBe(
      [
        '\x08\x08',
        '\x12\x04test',
        '\x1a\x011',
        '\x3a\x41',
        '\x0a\x0f\x0a\x01x\x12\x01y\x1a\x01n\x22\x04Relu',
        '\x12\x01g',
        '\x5a\x18\x0a\x01x\x12\x13\x0a\x11\x08\x01\x12\x0d\x0a\x07\x12\x05batch\x0a\x02\x08\x03',
        '\x62\x11\x0a\x01y\x12\x0c\x0a\x0a\x08\x01\x12\x06\x0a\x00\x0a\x02\x08\x03',
        '\x42\x04\x0a\x00\x10\x12',
      ].join(''),
    );
  });

  it('is read past fields that this library does not know', () => {
    // domain, field 4 of a model: a text.
    const strange = Buffer.concat([Buffer.from('\x22\x03abc', 'latin1'), encodeOnnx(small)]);
    expect(plain(decodeOnnx(strange))).toMatchObject(plain(small) as object);
  });
});

describe('bytes that are no model', () => {
  const written = encodeOnnx(small);

  it.each([
    ['cut in the middle of a field', written.subarray(0, 30)],
    ['a text that is longer than the file', Buffer.from('\x12\x7fabc', 'latin1')],
    ['a number without an end', Uint8Array.of(0x08, 0x80)],
    ['a field without a number', Uint8Array.of(0x00, 0x00)],
    ['a page of a server', Buffer.from('<!doctype html><html><body>Not found</body></html>')],
  ])('are refused: %s', (_, bytes) => {
    expect(() => decodeOnnx(bytes)).toThrow(OnnxError);
    expect(() => decodeOnnx(bytes)).toThrow(/^expected an ONNX model, received other bytes \(.+\)$/);
  });

  it('never do more than throw an error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (noise) => {
        try {
          decodeOnnx(noise);
        } catch (error) {
          expect(error).toBeInstanceOf(OnnxError);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('are refused wherever a byte of a model changes, or read as another model', () => {
    for (let at = 0; at < written.length; at++) {
      const changed = Uint8Array.from(written);
      changed[at]! ^= 0x55;
      try {
        expect(plain(decodeOnnx(changed))).not.toEqual(plain(small));
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
      }
    }
  });
});
