/** What turns one recorded operator into nodes. */

import { ExportError } from '../error.js';
import { elementType, type GraphBuilder, type Value } from '../graph-builder.js';
import { type GraphCall, type GraphTensor, isGraphTensor } from '../recorded-graph.js';
import type { Size } from '../sizes.js';

/** One operator while it is lowered. */
export interface Lowering {
  readonly graph: GraphBuilder;
  readonly call: GraphCall;
  /** The first result. */
  readonly result: GraphTensor;
  /** The value of the tensor that is input `i`. */
  value(i: number): Value;
  /** The same in another dtype. */
  cast(i: number, dtype: string): Value;
  /** The values of a list of tensors. */
  values(i: number): Value[];
  /** Input `i` as the tensor it was. */
  tensor(i: number): GraphTensor;
  /** Input `i` as a number that is the same in all runs; `otherwise` where it was not given. */
  number(i: number, otherwise?: number): number;
  size(i: number): Size;
  sizes(i: number): readonly Size[];
  /** A dimension, counted from the front. */
  axis(i: number, otherwise?: number): number;
  has(i: number): boolean;
  /** A parameter, dimensions in another order: turned over once, in the file. */
  transposedWeight(i: number): Value | null;
}

/** Nodes of an operator; its results. */
export type Rule = (lowering: Lowering) => Value | Value[];

export type Rules = Readonly<Record<string, Rule>>;

export function createLowering(
  graph: GraphBuilder,
  call: GraphCall,
  named: (tensor: GraphTensor) => Value,
  transposed: (tensor: GraphTensor) => Value | null,
): Lowering {
  const wrong = (i: number, expected: string) =>
    new ExportError(`${call.name}: expected ${expected} as argument ${i + 1}`);
  const tensor = (i: number): GraphTensor => {
    const input = call.inputs[i];
    if (!isGraphTensor(input)) throw wrong(i, 'a tensor');
    return input;
  };
  const number = (i: number, otherwise?: number): number => {
    const input = call.inputs[i] ?? otherwise;
    if (typeof input !== 'number') throw wrong(i, 'a number that does not depend on sizes');
    return input;
  };
  return {
    graph,
    call,
    result: call.outputs[0]!,
    tensor,
    number,
    value: (i) => named(tensor(i)),
    cast: (i, dtype) =>
      tensor(i).dtype === dtype
        ? named(tensor(i))
        : graph.node('Cast', [named(tensor(i))], { to: elementType(dtype) }),
    values: (i) => (call.inputs[i] as readonly GraphTensor[]).map(named),
    size: (i) => call.inputs[i] as Size,
    sizes: (i) => call.inputs[i] as readonly Size[],
    axis: (i, otherwise) => {
      const rank = tensor(0).shape.length;
      return (number(i, otherwise) + rank) % rank;
    },
    has: (i) => call.inputs[i] !== null && call.inputs[i] !== undefined,
    transposedWeight: (i) => transposed(tensor(i)),
  };
}
