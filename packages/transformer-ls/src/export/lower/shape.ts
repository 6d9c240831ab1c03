/** Operators that move elements about and change none. */
import type { Value } from '../graph-builder.js';
import { addSizes, type Size, sameSize } from '../sizes.js';
import type { Lowering, Rules } from './rule.js';

/** To the shape of the result. */
function reshape({ graph, result, tensor, value }: Lowering): Value {
  return graph.reshape(value(0), tensor(0).shape, result.shape);
}

/** Elements [start, start + length) of an axis. */
function narrow(l: Lowering): Value {
  const { graph, tensor, value } = l;
  const axis = l.axis(1);
  const size = tensor(0).shape[axis]!;
  const [given, length] = [l.size(2), l.size(3)];
  const start = typeof given === 'number' && given < 0 ? addSizes(size, given) : given;
  if (start === 0 && sameSize(length, size)) return value(0);
  const end = addSizes(start, length);
  // A slice to the end needs no size of the input.
  const until = typeof end !== 'number' && sameSize(end, size) ? Number.MAX_SAFE_INTEGER : end;
  return graph.node('Slice', [value(0), graph.vector([start]), graph.vector([until]), graph.vector([axis])]);
}

const identity = ({ value }: Lowering) => value(0);

export const SHAPE_RULES: Rules = {
  'aten::contiguous': identity,
  'aten::detach': identity,
  'aten::clone': identity,
  'aten::reshape': reshape,
  'aten::view': reshape,
  'aten::flatten.using_ints': reshape,
  'aten::squeeze.dim': reshape,
  'aten::unsqueeze': reshape,
  'aten::permute': (l) => {
    const rank = l.tensor(0).shape.length;
    return l.graph.transpose(
      l.value(0),
      (l.sizes(1) as readonly number[]).map((axis) => (axis + rank) % rank),
    );
  },
  'aten::transpose.int': (l) => {
    const order = l.tensor(0).shape.map((_, i) => i);
    const [a, b] = [l.axis(1), l.axis(2)];
    [order[a], order[b]] = [order[b]!, order[a]!];
    return l.graph.transpose(l.value(0), order);
  },
  'aten::expand': (l) => {
    const before = l.tensor(0).shape;
    const { shape } = l.result;
    if (before.length === shape.length && shape.every((size, i) => sameSize(size, before[i]!)))
      return l.value(0);
    return l.graph.node('Expand', [l.value(0), l.graph.vector(shape)]);
  },
  'aten::narrow': narrow,
  'aten::select.int': (l) => {
    const index = l.graph.scalar(l.number(2), 'int64');
    return l.graph.node('Gather', [l.value(0), index], { axis: l.axis(1) });
  },
  'aten::cat': ({ graph, call, values, number }) => {
    const shapes = (call.inputs[0] as readonly { shape: readonly Size[] }[]).map(({ shape }) => shape);
    const rank = shapes[0]!.length;
    const axis = (number(1, 0) + rank) % rank;
    const all = values(0);
    const parts = all.filter((_, i) => shapes[i]![axis] !== 0);
    return parts.length <= 1 ? (parts[0] ?? all[0]!) : graph.node('Concat', parts, { axis });
  },
  'aten::split_with_sizes': (l) => l.graph.split(l.value(0), l.sizes(1), l.axis(2, 0)),
  'aten::chunk': (l) => {
    const axis = l.axis(2, 0);
    return l.graph.split(
      l.value(0),
      l.call.outputs.map(({ shape }) => shape[axis]!),
      axis,
    );
  },
  'aten::constant_pad_nd': (l) => {
    const rank = l.tensor(0).shape.length;
    const before: Size[] = Array(rank).fill(0);
    const after: Size[] = Array(rank).fill(0);
    // Pairs, of the last dimension first.
    l.sizes(1).forEach((size, i) => {
      (i % 2 === 0 ? before : after)[rank - 1 - Math.floor(i / 2)] = size;
    });
    const fill = l.graph.scalar(l.number(2, 0), l.result.dtype);
    return l.graph.node('Pad', [l.value(0), l.graph.vector([...before, ...after]), fill], {
      mode: 'constant',
    });
  },
  // Windows that overlap: their elements are gathered, as ONNX has no views.
  'aten::unfold': (l) => {
    const axis = l.axis(1);
    const [size, step] = [l.number(2), l.number(3)];
    const windows = l.graph.node('Range', [
      l.graph.scalar(0, 'int64'),
      l.graph.node('Squeeze', [l.graph.vector([l.result.shape[axis]!]), l.graph.vector([0])]),
      l.graph.scalar(1, 'int64'),
    ]);
    const starts = l.graph.node('Unsqueeze', [
      l.graph.node('Mul', [windows, l.graph.scalar(step, 'int64')]),
      l.graph.vector([1]),
    ]);
    const within = l.graph.vector(Array.from({ length: size }, (_, i) => i));
    const gathered = l.graph.node('Gather', [l.value(0), l.graph.node('Add', [starts, within])], { axis });
    // (…, windows, size, …) → (…, windows, …, size)
    const last = l.result.shape.length - 1;
    const order = l.result.shape.map((_, i) => (i <= axis ? i : i < last ? i + 1 : axis + 1));
    return l.graph.transpose(gathered, order);
  },
};
