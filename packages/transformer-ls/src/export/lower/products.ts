/** Products, tables, and what is summed over a dimension. */

import { ExportError } from '../error.js';
import type { GraphBuilder, Value } from '../graph-builder.js';
import type { Size } from '../sizes.js';
import type { Lowering, Rule, Rules } from './rule.js';

const product: Rule = ({ graph, value }) => graph.node('MatMul', [value(0), value(1)]);

const reduce =
  (opType: string): Rule =>
  (l) => {
    const rank = l.tensor(0).shape.length;
    const axes = (l.has(1) ? (l.sizes(1) as readonly number[]) : []).map((axis) => (axis + rank) % rank);
    const keep = l.call.inputs[2] === true ? 1 : 0;
    return l.graph.node(opType, [l.cast(0, l.result.dtype), l.graph.vector(axes)], { keepdims: keep });
  };

function addBias(graph: GraphBuilder, product: Value, bias: Value | null): Value {
  return bias === null ? product : graph.node('Add', [product, bias]);
}

export const PRODUCT_RULES: Rules = {
  'aten::matmul': product,
  'aten::bmm': product,
  'aten::mm': product,
  'aten::linear': (l) => {
    const weight = l.transposedWeight(1) ?? l.graph.transpose(l.value(1), [1, 0]);
    return addBias(l.graph, l.graph.node('MatMul', [l.value(0), weight]), l.has(2) ? l.value(2) : null);
  },
  'aten::embedding': ({ graph, value }) => graph.node('Gather', [value(0), value(1)], { axis: 0 }),
  'aten::conv1d': convolution,
  'aten::conv2d': convolution,
  'aten::softmax.int': (l) => l.graph.node('Softmax', [l.cast(0, l.result.dtype)], { axis: l.axis(1) }),
  'aten::layer_norm': (l) => {
    const axis = l.tensor(0).shape.length - l.sizes(1).length;
    const weight = l.has(2) ? l.value(2) : ones(l, l.sizes(1));
    const inputs = [l.value(0), weight, ...(l.has(3) ? [l.value(3)] : [])];
    return l.graph.node('LayerNormalization', inputs, { axis, epsilon: { float: l.number(4, 1e-5) } });
  },
  'aten::batch_norm': (l) => {
    if (l.call.inputs[5] !== false)
      throw new ExportError('aten::batch_norm: expected a model that is not trained');
    const inputs = [0, 1, 2, 3, 4].map((i) => l.value(i));
    return l.graph.node('BatchNormalization', inputs, { epsilon: { float: l.number(7) } });
  },
  'aten::sum.dim_IntList': reduce('ReduceSum'),
  'aten::mean.dim': reduce('ReduceMean'),
};

function ones({ graph, result }: Lowering, shape: readonly Size[]): Value {
  return graph.node('Expand', [graph.scalar(1, result.dtype), graph.vector(shape)]);
}

function convolution(l: Lowering): Value {
  const dimensions = l.tensor(0).shape.length - 2;
  /** One number is that of every dimension. */
  const list = (i: number): number[] => {
    const given = [l.call.inputs[i]].flat() as number[];
    return given.length === dimensions ? given : Array(dimensions).fill(given[0]);
  };
  return l.graph.node('Conv', [l.value(0), l.value(1), ...(l.has(2) ? [l.value(2)] : [])], {
    ...(l.has(3) ? { strides: list(3) } : {}),
    ...(l.has(4) ? { pads: [...list(4), ...list(4)] } : {}),
    ...(l.has(5) ? { dilations: list(5) } : {}),
    group: l.number(6, 1),
  });
}
