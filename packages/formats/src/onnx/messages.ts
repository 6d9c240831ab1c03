/**
 * The messages of an ONNX file that this library writes and reads, as onnx.proto numbers them; fields beside these are skipped when a
 * file is read. Encoding itself is @bufbuild/protobuf's.
 */
import {
  create,
  createFileRegistry,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from '@bufbuild/protobuf';
import {
  FileDescriptorProtoSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from '@bufbuild/protobuf/wkt';
import { quoted } from '../describe-value.js';

/** `opType` of `domain` (the standard's where empty) from values by name to values by name; an empty input is one left out. */
export interface OnnxNode {
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly name: string;
  readonly opType: string;
  readonly domain?: string;
  readonly attribute: readonly OnnxAttribute[];
}

/** One of the values, as `type` says (`ATTRIBUTE_TYPES`). */
export interface OnnxAttribute {
  readonly name: string;
  readonly type: number;
  readonly f?: number;
  readonly i?: bigint;
  readonly s?: Uint8Array;
  readonly t?: OnnxTensor;
  readonly g?: OnnxGraph;
  readonly floats?: readonly number[];
  readonly ints?: readonly bigint[];
  readonly strings?: readonly Uint8Array[];
}

/** Elements are in `rawData`, little-endian, or in a file beside the model (`dataLocation` 1). */
export interface OnnxTensor {
  readonly name: string;
  readonly dims: readonly bigint[];
  /** One of `ELEMENT_TYPES`. */
  readonly dataType: number;
  readonly rawData?: Uint8Array;
  readonly externalData?: readonly OnnxStringPair[];
  readonly dataLocation?: number;
}

export interface OnnxStringPair {
  readonly key: string;
  readonly value: string;
}

/** A size, or the name of one that each run may choose. */
export interface OnnxDimension {
  readonly dimValue?: bigint;
  readonly dimParam?: string;
}

export interface OnnxValueInfo {
  readonly name: string;
  readonly type: {
    readonly tensorType: {
      readonly elemType: number;
      readonly shape: { readonly dim: readonly OnnxDimension[] };
    };
  };
}

export interface OnnxGraph {
  readonly node: readonly OnnxNode[];
  readonly name: string;
  readonly initializer: readonly OnnxTensor[];
  readonly input: readonly OnnxValueInfo[];
  readonly output: readonly OnnxValueInfo[];
}

export interface OnnxModel {
  readonly irVersion: bigint;
  readonly opsetImport: readonly { readonly domain: string; readonly version: bigint }[];
  readonly producerName: string;
  readonly producerVersion: string;
  readonly docString?: string;
  readonly graph: OnnxGraph;
  readonly metadataProps: readonly OnnxStringPair[];
}

export const ATTRIBUTE_TYPES = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
};

/** By their names in this library. */
export const ELEMENT_TYPES = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int16: 5,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  bfloat16: 16,
} as const;

type FieldText = readonly [name: string, number: number, type: string];

/** `[]` marks a repeated field; a name with a capital is a message. */
const MESSAGES: Record<string, readonly FieldText[]> = {
  Model: [
    ['ir_version', 1, 'int64'],
    ['producer_name', 2, 'string'],
    ['producer_version', 3, 'string'],
    ['doc_string', 6, 'string'],
    ['graph', 7, 'Graph'],
    ['opset_import', 8, 'OperatorSet[]'],
    ['metadata_props', 14, 'StringPair[]'],
  ],
  OperatorSet: [
    ['domain', 1, 'string'],
    ['version', 2, 'int64'],
  ],
  StringPair: [
    ['key', 1, 'string'],
    ['value', 2, 'string'],
  ],
  Graph: [
    ['node', 1, 'Node[]'],
    ['name', 2, 'string'],
    ['initializer', 5, 'Tensor[]'],
    ['input', 11, 'ValueInfo[]'],
    ['output', 12, 'ValueInfo[]'],
  ],
  Node: [
    ['input', 1, 'string[]'],
    ['output', 2, 'string[]'],
    ['name', 3, 'string'],
    ['op_type', 4, 'string'],
    ['attribute', 5, 'Attribute[]'],
    ['domain', 7, 'string'],
  ],
  Attribute: [
    ['name', 1, 'string'],
    ['f', 2, 'float'],
    ['i', 3, 'int64'],
    ['s', 4, 'bytes'],
    ['t', 5, 'Tensor'],
    ['g', 6, 'Graph'],
    ['floats', 7, 'float[]'],
    ['ints', 8, 'int64[]'],
    ['strings', 9, 'bytes[]'],
    ['type', 20, 'int32'],
  ],
  Tensor: [
    ['dims', 1, 'int64[]'],
    ['data_type', 2, 'int32'],
    ['name', 8, 'string'],
    ['raw_data', 9, 'bytes'],
    ['external_data', 13, 'StringPair[]'],
    ['data_location', 14, 'int32'],
  ],
  ValueInfo: [
    ['name', 1, 'string'],
    ['type', 2, 'ValueType'],
  ],
  ValueType: [['tensor_type', 1, 'TensorType']],
  TensorType: [
    ['elem_type', 1, 'int32'],
    ['shape', 2, 'Shape'],
  ],
  Shape: [['dim', 1, 'Dimension[]']],
  Dimension: [
    ['dim_value', 1, 'int64'],
    ['dim_param', 2, 'string'],
  ],
};

const SCALARS: Record<string, Type> = {
  int64: Type.INT64,
  int32: Type.INT32,
  float: Type.FLOAT,
  string: Type.STRING,
  bytes: Type.BYTES,
};

function fieldOf([name, number, text]: FieldText) {
  const repeated = text.endsWith('[]');
  const type = repeated ? text.slice(0, -2) : text;
  const scalar = SCALARS[type];
  return {
    name,
    number,
    label: repeated ? Label.REPEATED : Label.OPTIONAL,
    ...(scalar === undefined ? { type: Type.MESSAGE, typeName: `.onnx.${type}` } : { type: scalar }),
  };
}

// proto2, as onnx.proto is: a number that is 0 is written where it was set.
const file = create(FileDescriptorProtoSchema, {
  name: 'onnx.proto',
  package: 'onnx',
  syntax: 'proto2',
  messageType: Object.entries(MESSAGES).map(([name, fields]) => ({ name, field: fields.map(fieldOf) })),
});

const modelMessage = createFileRegistry(file, () => undefined).getMessage('onnx.Model') as DescMessage;

/** The bytes of a model file. */
export function encodeOnnx(model: OnnxModel): Uint8Array {
  return toBinary(modelMessage, create(modelMessage, model as unknown as MessageInitShape<DescMessage>));
}

/** Bytes that are no model; the message is one line. */
export class OnnxError extends Error {
  override readonly name = 'OnnxError';
}

/** A model file's content. What it says is not checked. @throws OnnxError where the bytes are no such message */
export function decodeOnnx(bytes: Uint8Array): OnnxModel {
  try {
    return fromBinary(modelMessage, bytes) as unknown as OnnxModel;
  } catch (error) {
    // The library has words of its own for each kind of damage, and runs out of stack where messages lie in each other without end.
    const reason = error instanceof Error ? error.message : String(error);
    throw new OnnxError(`expected an ONNX model, received other bytes (${quoted(reason)})`, { cause: error });
  }
}
