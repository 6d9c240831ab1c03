/**
 * The weights of several graphs in one file beside them, each once, and in fewer bits where asked: the graphs turn them back into float32
 * when they are loaded.
 *
 * Shape letters: I inputs, O outputs of a matrix.
 */
import { createHash } from 'node:crypto';
import { float32ToHalfBits } from '@transformer-ls/formats';
import {
  ATTRIBUTE_TYPES,
  ELEMENT_TYPES,
  type OnnxGraph,
  type OnnxNode,
  type OnnxTensor,
} from '@transformer-ls/formats/onnx';

export type WeightType = 'float32' | 'float16' | 'int8';

/** Smaller tensors stay in the graph. */
const LEAST_BYTES = 1024;
/** Where a tensor begins in the file: a multiple of this. */
const ALIGNMENT = 64;
/** ONNX's mark of data in another file. */
const EXTERNAL = 1;

export interface StoredGraphs {
  /** In the order they were given. */
  readonly graphs: readonly OnnxGraph[];
  /** The file, piece by piece. */
  readonly pieces: readonly Uint8Array[];
}

/** @param file name of the file of weights, in the folder of the graphs */
export function storeWeights(graphs: readonly OnnxGraph[], type: WeightType, file: string): StoredGraphs {
  const weights = new WeightFile(file);
  return { graphs: graphs.map((graph) => stored(graph, type, weights)), pieces: weights.pieces };
}

function stored(graph: OnnxGraph, type: WeightType, file: WeightFile): OnnxGraph {
  const before: OnnxNode[] = [];
  const initializer = graph.initializer.flatMap((tensor) => {
    if ((tensor.rawData as Uint8Array).length < LEAST_BYTES) return [tensor];
    if (tensor.dataType !== ELEMENT_TYPES.float32 || type === 'float32') return [file.put(tensor)];
    const { tensors, nodes } = type === 'int8' && isMatrix(tensor) ? asInt8(tensor) : asHalf(tensor);
    before.push(...nodes);
    return tensors.map((one) => ((one.rawData as Uint8Array).length < LEAST_BYTES ? one : file.put(one)));
  });
  return { ...graph, initializer, node: [...before, ...graph.node] };
}

interface Compressed {
  readonly tensors: readonly OnnxTensor[];
  /** What makes the float32 tensor of them. */
  readonly nodes: readonly OnnxNode[];
}

/** Masks hold numbers that are not finite, which no factor turns into whole ones. */
function isMatrix(tensor: OnnxTensor): boolean {
  return tensor.dims.length >= 2 && numbersOf(tensor).every(Number.isFinite);
}

function asHalf(tensor: OnnxTensor): Compressed {
  const half = Uint16Array.from(numbersOf(tensor), float32ToHalfBits);
  const name = `${tensor.name}.float16`;
  return {
    tensors: [{ ...tensor, name, dataType: ELEMENT_TYPES.float16, rawData: new Uint8Array(half.buffer) }],
    nodes: [cast(name, tensor.name)],
  };
}

/** Whole numbers from -127 to 127, and a factor for each number of the last dimension. */
function asInt8(tensor: OnnxTensor): Compressed {
  const numbers = numbersOf(tensor);
  const columns = Number(tensor.dims.at(-1));
  const scales = new Float32Array(columns);
  numbers.forEach((value, i) => {
    scales[i % columns] = Math.max(scales[i % columns]!, Math.abs(value) / 127);
  });
  const whole = Int8Array.from(numbers, (value, i) => {
    const scale = scales[i % columns]!;
    return scale === 0 ? 0 : Math.round(value / scale);
  });
  const [name, scale, plain] = ['int8', 'scale', 'unscaled'].map((what) => `${tensor.name}.${what}`) as [
    string,
    string,
    string,
  ];
  return {
    tensors: [
      { ...tensor, name, dataType: ELEMENT_TYPES.int8, rawData: new Uint8Array(whole.buffer) },
      {
        name: scale,
        dims: [BigInt(columns)],
        dataType: ELEMENT_TYPES.float32,
        rawData: new Uint8Array(scales.buffer),
      },
    ],
    nodes: [
      cast(name, plain),
      { name: tensor.name, opType: 'Mul', input: [plain, scale], output: [tensor.name], attribute: [] },
    ],
  };
}

function cast(from: string, to: string): OnnxNode {
  const attribute = { name: 'to', type: ATTRIBUTE_TYPES.int, i: BigInt(ELEMENT_TYPES.float32) };
  return { name: to, opType: 'Cast', input: [from], output: [to], attribute: [attribute] };
}

function numbersOf({ rawData }: OnnxTensor): Float32Array {
  const bytes = rawData as Uint8Array;
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

class WeightFile {
  readonly pieces: Uint8Array[] = [];
  private size = 0;
  private readonly known = new Map<string, number>();

  constructor(private readonly name: string) {}

  /** The same tensor, its elements in the file. */
  put({ rawData, ...tensor }: OnnxTensor): OnnxTensor {
    const bytes = rawData as Uint8Array;
    const key = createHash('sha256').update(bytes).digest('hex');
    const offset = this.known.get(key) ?? this.append(bytes);
    this.known.set(key, offset);
    return {
      ...tensor,
      dataLocation: EXTERNAL,
      externalData: [
        { key: 'location', value: this.name },
        { key: 'offset', value: String(offset) },
        { key: 'length', value: String(bytes.length) },
      ],
    };
  }

  private append(bytes: Uint8Array): number {
    const padding = (ALIGNMENT - (this.size % ALIGNMENT)) % ALIGNMENT;
    this.pieces.push(new Uint8Array(padding), bytes);
    const offset = this.size + padding;
    this.size = offset + bytes.length;
    return offset;
  }
}
