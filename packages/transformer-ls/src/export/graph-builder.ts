/** Building an ONNX graph: nodes, constants, and sizes that are read off the inputs. */
import {
  ATTRIBUTE_TYPES,
  ELEMENT_TYPES,
  type OnnxAttribute,
  type OnnxNode,
  type OnnxTensor,
} from '@transformer-ls/formats/onnx';
import { ExportError } from './error.js';
import { type DynamicSize, type Factor, type Size, sameSize, sizeText } from './sizes.js';

/** The name of a value in the graph. */
export type Value = string;

export type AttributeValue = number | string | readonly number[] | { readonly float: number };

/** Where a free size is read: an axis of an input. */
export interface SizeSource {
  readonly input: Value;
  readonly axis: number;
}

export type ElementType = keyof typeof ELEMENT_TYPES;

export class GraphBuilder {
  readonly nodes: OnnxNode[] = [];
  readonly initializers = new Map<Value, OnnxTensor>();
  private readonly sizes = new Map<string, Value>();
  private readonly transposed = new Map<
    Value,
    { readonly source: Value; readonly order: readonly number[] }
  >();
  private count = 0;

  constructor(private readonly sources: ReadonlyMap<string, SizeSource>) {}

  /** One node with one result. */
  node(opType: string, input: readonly Value[], attributes: Record<string, AttributeValue> = {}): Value {
    return this.nodes_(opType, input, attributes, 1)[0]!;
  }

  /** One node with several results. */
  split(input: Value, sizes: readonly Size[], axis: number): Value[] {
    return this.nodes_('Split', [input, this.vector(sizes)], { axis }, sizes.length);
  }

  private nodes_(
    opType: string,
    input: readonly Value[],
    attributes: Record<string, AttributeValue>,
    results: number,
  ): Value[] {
    const name = `${opType}_${this.count++}`;
    const output = results === 1 ? [name] : Array.from({ length: results }, (_, i) => `${name}.${i}`);
    const attribute = Object.entries(attributes).map(([key, value]) => attributeOf(key, value));
    this.nodes.push({ name, opType, input, output, attribute });
    return output;
  }

  /**
   * Dimensions in another order; two orders after one another become one. But rows that lie in one piece stay so where all that is wanted
   * of them is their transpose: products take that as it is, and moving numbers one by one is what costs.
   */
  transpose(input: Value, order: readonly number[]): Value {
    const known = this.transposed.get(input);
    const last = order.length - 1;
    const before = known?.order[last] === last && swapsLastTwo(order) ? undefined : known;
    const source = before?.source ?? input;
    const whole = before === undefined ? order : order.map((axis) => before.order[axis]!);
    if (whole.every((axis, i) => axis === i)) return source;
    const result = this.node('Transpose', [source], { perm: whole });
    this.transposed.set(result, { source, order: whole });
    return result;
  }

  /**
   * Another shape. Of a tensor whose dimensions were put in another order, each dimension that is split is split before that: orders then
   * still become one.
   *
   * @param before the shape it has
   */
  reshape(input: Value, before: readonly Size[], shape: readonly Size[]): Value {
    if (sameSizes(before, shape)) return input;
    const turned = this.transposed.get(input);
    const parts = turned === undefined ? null : splitDimensions(before, shape);
    if (turned === undefined || parts === null)
      return this.node('Reshape', [input, this.vector(shapeArgument(before, shape))]);
    const sizesOfSource: Size[][] = [];
    turned.order.forEach((axis, i) => {
      sizesOfSource[axis] = parts[i]!.map((at) => shape[at]!);
    });
    const sourceShape: Size[] = [];
    turned.order.forEach((axis, i) => {
      sourceShape[axis] = before[i]!;
    });
    const source = this.reshape(turned.source, sourceShape, sizesOfSource.flat());
    const firsts = sizesOfSource.map((_, axis) => sizesOfSource.slice(0, axis).flat().length);
    const order = turned.order.flatMap((axis) => sizesOfSource[axis]!.map((_, part) => firsts[axis]! + part));
    return this.transpose(source, order);
  }

  /** A tensor of the file. Equal names are the same tensor. */
  constant(name: Value, dtype: string, dims: readonly number[], rawData: Uint8Array): Value {
    if (!this.initializers.has(name))
      this.initializers.set(name, { name, dataType: elementType(dtype), dims: dims.map(BigInt), rawData });
    return name;
  }

  /** A number as a tensor without dimensions. */
  scalar(value: number, dtype: string): Value {
    return this.constant(`${dtype}(${value})`, dtype, [], bytesOf([value], dtype));
  }

  /** Whole numbers as an int64 tensor of one dimension. */
  vector(sizes: readonly Size[]): Value {
    if (sizes.every((size) => typeof size === 'number'))
      return this.constant(`[${sizes}]`, 'int64', [sizes.length], bytesOf(sizes, 'int64'));
    const parts = sizes.map((size) => this.size(size));
    return parts.length === 1
      ? parts[0]!
      : this.once(`[${parts}]`, () => this.node('Concat', parts, { axis: 0 }));
  }

  /** One whole number, as a vector of one. */
  private size(size: Size): Value {
    return typeof size === 'number'
      ? this.vector([size])
      : this.once(sizeText(size), () => this.computed(size));
  }

  private computed({ constant, terms, divisor }: DynamicSize): Value {
    const parts = terms.map(({ factor, product }) => {
      const value = product.map((one) => this.factor(one)).reduce((a, b) => this.node('Mul', [a, b]));
      return factor === 1 ? value : this.node('Mul', [value, this.vector([factor])]);
    });
    if (constant !== 0) parts.push(this.vector([constant]));
    const sum = parts.reduce((a, b) => this.node('Add', [a, b]));
    return divisor === 1 ? sum : this.node('Div', [sum, this.vector([divisor])]);
  }

  private factor({ name, plus, multipleOf: m }: Factor): Value {
    return this.once(`${name} + ${plus} to ${m}`, () => {
      if (plus !== 0 || m > 1) {
        const plain = this.factor({ name, plus: 0, multipleOf: 1 });
        const above = this.node('Add', [plain, this.vector([plus + m - 1])]);
        if (m === 1) return above;
        return this.node('Mul', [this.node('Div', [above, this.vector([m])]), this.vector([m])]);
      }
      const source = this.sources.get(name);
      if (source === undefined) throw new ExportError(`no input says the size ${name}`);
      return this.node('Shape', [source.input], { start: source.axis, end: source.axis + 1 });
    });
  }

  private once(key: string, make: () => Value): Value {
    const known = this.sizes.get(key);
    if (known !== undefined) return known;
    const made = make();
    this.sizes.set(key, made);
    return made;
  }
}

function swapsLastTwo(order: readonly number[]): boolean {
  const last = order.length - 1;
  return order.every((axis, i) => axis === (i === last ? last - 1 : i === last - 1 ? last : i));
}

function sameSizes(a: readonly Size[], b: readonly Size[]): boolean {
  return a.length === b.length && a.every((size, i) => sameSize(size, b[i]!));
}

/** Sizes that stay at their place are copied (0), and one that is left is inferred (-1), so that the graph seldom has to compute them. */
function shapeArgument(before: readonly Size[], shape: readonly Size[]): Size[] {
  const sizes: Size[] = [...shape];
  for (let i = 0; i < shape.length && i < before.length && sameSize(shape[i]!, before[i]!); i++)
    if (typeof shape[i] !== 'number') sizes[i] = 0;
  const unknown = sizes.flatMap((size, i) => (typeof size === 'number' ? [] : [i]));
  if (unknown.length === 1) sizes[unknown[0]!] = -1;
  return sizes;
}

/** Which dimensions of the new shape each of the old ones becomes; null where some are joined. */
function splitDimensions(before: readonly Size[], shape: readonly Size[]): number[][] | null {
  const parts: number[][] = [];
  let at = 0;
  for (const size of before) {
    const own = partsOf(size, shape, at);
    if (own === null) return null;
    parts.push(own);
    at += own.length;
  }
  return at === shape.length ? parts : null;
}

function partsOf(size: Size, shape: readonly Size[], first: number): number[] | null {
  if (first < shape.length && sameSize(size, shape[first]!)) return [first];
  if (typeof size !== 'number') return null;
  let product = 1;
  for (let at = first; at < shape.length; at++) {
    const part = shape[at]!;
    if (typeof part !== 'number') return null;
    product *= part;
    if (product === size) return Array.from({ length: at - first + 1 }, (_, i) => first + i);
  }
  return null;
}

function attributeOf(name: string, value: AttributeValue): OnnxAttribute {
  if (typeof value === 'number') return { name, type: ATTRIBUTE_TYPES.int, i: BigInt(value) };
  if (typeof value === 'string')
    return { name, type: ATTRIBUTE_TYPES.string, s: new TextEncoder().encode(value) };
  if ('float' in value) return { name, type: ATTRIBUTE_TYPES.float, f: value.float };
  return { name, type: ATTRIBUTE_TYPES.ints, ints: value.map(BigInt) };
}

export function elementType(dtype: string): number {
  const type = ELEMENT_TYPES[dtype as ElementType];
  if (type === undefined) throw new ExportError(`no ONNX type for ${dtype}`);
  return type;
}

/** Numbers in the bytes of a dtype. */
function bytesOf(values: readonly number[], dtype: string): Uint8Array {
  switch (dtype) {
    case 'int64':
      return new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    case 'int32':
      return new Uint8Array(Int32Array.from(values).buffer);
    case 'float32':
      return new Uint8Array(Float32Array.from(values).buffer);
    case 'float64':
      return new Uint8Array(Float64Array.from(values).buffer);
    case 'uint8':
    case 'bool':
      return Uint8Array.from(values);
    default:
      throw new ExportError(`no constants of ${dtype}`);
  }
}
