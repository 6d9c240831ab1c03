/** A recorded graph as an ONNX model: what depends on no input is computed now, the rest becomes nodes. */

import type { OnnxGraph, OnnxModel, OnnxNode, OnnxValueInfo } from '@transformer-ls/formats/onnx';
import { call as callOperator, dispose, keep, noGrad, scope, type Tensor } from '@transformer-ls/torch';
import { elementType, GraphBuilder, type SizeSource, type Value } from './graph-builder.js';
import { ruleFor } from './lower/index.js';
import { createLowering } from './lower/rule.js';
import {
  type GraphCall,
  type GraphTensor,
  type GraphValue,
  isGraphTensor,
  type RecordedGraph,
} from './recorded-graph.js';

const OPSET = 18n;
/** The oldest that has this opset. */
const IR_VERSION = 8n;

export interface OnnxNames {
  /** What the file calls its parameters; others are numbered. */
  readonly parameters: ReadonlyMap<Tensor, string>;
  /** Names of sizes that each run may choose, as other programs show them: `{ B: 'batch', L: 'length' }`. */
  readonly sizes: Readonly<Record<string, string>>;
  readonly graph: string;
  readonly producerVersion: string;
}

/** @throws ExportError for an operator that no rule knows */
export function onnxModel(recorded: RecordedGraph, names: OnnxNames): OnnxModel {
  return {
    irVersion: IR_VERSION,
    opsetImport: [{ domain: '', version: OPSET }],
    producerName: 'transformer-ls',
    producerVersion: names.producerVersion,
    graph: new Writer(recorded, names).graph(),
    metadataProps: [],
  };
}

class Writer {
  private readonly builder: GraphBuilder;
  private readonly values = new Map<number, Value>();
  private readonly constants: Map<number, Tensor>;
  private readonly parameterNames: ReadonlyMap<number, string>;
  /** Constants computed here. */
  private readonly computed: Tensor[] = [];

  constructor(
    private readonly recorded: RecordedGraph,
    private readonly names: OnnxNames,
  ) {
    this.builder = new GraphBuilder(sizeSources(recorded.inputs));
    this.constants = new Map([...recorded.constants].map(([id, { value }]) => [id, value]));
    this.parameterNames = new Map(
      [...recorded.constants].flatMap(([id, { source }]) => {
        const name = names.parameters.get(source);
        return name === undefined ? [] : [[id, name] as const];
      }),
    );
    for (const [name, { id }] of recorded.inputs) this.values.set(id, name);
  }

  graph(): OnnxGraph {
    try {
      for (const call of this.recorded.calls) if (!this.fold(call)) this.lower(call);
      const outputs = [...this.recorded.outputs].map(([name, tensor]) => {
        this.builder.nodes.push({
          name,
          opType: 'Identity',
          input: [this.valueOf(tensor)],
          output: [name],
          attribute: [],
        });
        return this.info(name, tensor);
      });
      const { nodes, initializers } = this.builder;
      const used = usedNodes(
        nodes,
        outputs.map(({ name }) => name),
      );
      const wanted = new Set(used.flatMap(({ input }) => input));
      return {
        name: this.names.graph,
        node: used,
        initializer: [...initializers.values()].filter(({ name }) => wanted.has(name)),
        // What a model does not look at, such as a mask, is no input of its graph.
        input: [...this.recorded.inputs]
          .filter(([name]) => wanted.has(name))
          .map(([name, tensor]) => this.info(name, tensor)),
        output: outputs,
      };
    } finally {
      dispose(this.computed);
    }
  }

  /** Computes a call all of whose inputs are known already. */
  private fold({ name, inputs, outputs }: GraphCall): boolean {
    if (!inputs.every((input) => this.isKnown(input))) return false;
    if (!outputs.every(({ shape }) => shape.every((size) => typeof size === 'number'))) return false;
    const result = noGrad(() =>
      scope(() => keep(callOperator(name, ...inputs.map((input) => this.known(input))))),
    );
    const tensors = (Array.isArray(result) ? result : [result]) as Tensor[];
    outputs.forEach(({ id }, i) => {
      this.constants.set(id, tensors[i]!);
    });
    this.computed.push(...tensors);
    return true;
  }

  private isKnown(value: GraphValue): boolean {
    if (isGraphTensor(value)) return this.constants.has(value.id);
    if (Array.isArray(value)) return value.every((item) => this.isKnown(item));
    return value === null || typeof value !== 'object';
  }

  private known(value: GraphValue): unknown {
    if (isGraphTensor(value)) return this.constants.get(value.id);
    return Array.isArray(value) ? value.map((item) => this.known(item)) : value;
  }

  private lower(call: GraphCall): void {
    const lowering = createLowering(
      this.builder,
      call,
      (tensor) => this.valueOf(tensor),
      (tensor) => this.transposed(tensor),
    );
    const results = [ruleFor(call)(lowering)].flat();
    call.outputs.forEach(({ id }, i) => {
      this.values.set(id, results[i]!);
    });
  }

  private valueOf({ id }: GraphTensor): Value {
    const known = this.values.get(id);
    if (known !== undefined) return known;
    const tensor = this.constants.get(id)!;
    const value = this.write(this.nameOf(id), tensor);
    this.values.set(id, value);
    return value;
  }

  /** A matrix that is known, turned over in the file, under a name of its own. */
  private transposed({ id }: GraphTensor): Value | null {
    const tensor = this.constants.get(id);
    if (tensor === undefined) return null;
    return scope(() => this.write(`${this.nameOf(id)}.transposed`, tensor.transpose(0, 1)));
  }

  private nameOf(id: number): string {
    return this.parameterNames.get(id) ?? `constant_${id}`;
  }

  private write(name: string, tensor: Tensor): Value {
    const bytes = scope(() => bytesOf(tensor));
    return this.builder.constant(name, tensor.dtype, tensor.shape, bytes);
  }

  private info(name: string, { dtype, shape }: GraphTensor): OnnxValueInfo {
    const dim = shape.map((size) => {
      if (typeof size === 'number') return { dimValue: BigInt(size) };
      const [term] = size.terms;
      const plain =
        size.terms.length === 1 && size.constant === 0 && size.divisor === 1 && term!.factor === 1;
      const [factor] = term!.product;
      const named = plain && term!.product.length === 1 && factor!.multipleOf === 1;
      return named ? { dimParam: this.names.sizes[factor!.name] ?? factor!.name } : {};
    });
    return { name, type: { tensorType: { elemType: elementType(dtype), shape: { dim } } } };
  }
}

function bytesOf(tensor: Tensor): Uint8Array {
  const array = tensor.to({ device: 'cpu' }).contiguous().toTypedArray() as ArrayBufferView;
  return new Uint8Array(array.buffer.slice(array.byteOffset, array.byteOffset + array.byteLength));
}

/** Each free size is read from the first input that has it as a dimension. */
function sizeSources(inputs: RecordedGraph['inputs']): Map<string, SizeSource> {
  const sources = new Map<string, SizeSource>();
  for (const [input, { shape }] of inputs)
    shape.forEach((size, axis) => {
      if (typeof size === 'number') return;
      const [term] = size.terms;
      const [factor] = term!.product;
      if (!sources.has(factor!.name)) sources.set(factor!.name, { input, axis });
    });
  return sources;
}

function usedNodes(nodes: readonly OnnxNode[], outputs: readonly string[]): OnnxNode[] {
  const wanted = new Set(outputs);
  const used = nodes.toReversed().filter(({ input, output }) => {
    if (!output.some((name) => wanted.has(name))) return false;
    for (const name of input) wanted.add(name);
    return true;
  });
  return used.reverse();
}
