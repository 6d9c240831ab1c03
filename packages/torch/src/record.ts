/**
 * Recording the operators of one run. Multiply-accumulate counts, attention pictures and exports come from what a real run
 * executed, not from formulas.
 */
import { ArgumentError } from './errors.js';
import { observeCalls } from './operator.js';
import { Tensor } from './tensor.js';

/** A tensor as it was when an operator saw it. */
export interface RecordedTensor {
  readonly shape: readonly number[];
  readonly dtype: string;
}

export type RecordedValue =
  | RecordedTensor
  | readonly RecordedValue[]
  | string
  | number
  | bigint
  | boolean
  | null
  | undefined;

/** One operator call, in the order of execution. */
export interface RecordedOp {
  /** `aten::linear`, `aten::bmm`, … */
  readonly name: string;
  readonly inputs: readonly RecordedValue[];
  readonly outputs: RecordedValue;
}

export interface Recording<T> {
  readonly result: T;
  readonly ops: readonly RecordedOp[];
}

/** Runs `fn` and lists every operator called through this package, with shapes. Nested recordings each see their own part. */
export function recordOps<T>(fn: () => T): Recording<T> {
  const ops: RecordedOp[] = [];
  const outer = observeCalls(null);
  observeCalls((name, values, result) => {
    outer?.(name, values, result);
    ops.push({ name, inputs: values.map(recorded), outputs: recorded(result) });
  });
  try {
    return { result: fn(), ops };
  } finally {
    observeCalls(outer);
  }
}

function recorded(value: unknown): RecordedValue {
  if (value instanceof Tensor) return { shape: value.shape, dtype: value.dtype };
  if (Array.isArray(value)) return value.map(recorded);
  if (value === null || ['string', 'number', 'bigint', 'boolean'].includes(typeof value))
    return value as RecordedValue;
  return undefined;
}

/** Multiply-accumulates of matrix products and convolutions; element-wise work, softmax and biases count as nothing. */
export function countMultiplyAccumulates(ops: readonly RecordedOp[]): number {
  let total = 0;
  for (const op of ops) total += COUNTERS[op.name]?.(op) ?? 0;
  return total;
}

function shapeOf(value: RecordedValue | undefined): readonly number[] {
  if (value !== null && typeof value === 'object' && 'shape' in value) return value.shape;
  throw new ArgumentError('countMultiplyAccumulates: expected a recorded tensor');
}

function product(sizes: readonly number[]): number {
  return sizes.reduce((total, size) => total * size, 1);
}

/** Every output element of a matrix product sums over the last dimension of the left factor. */
function matrixProduct(op: RecordedOp, left: number): number {
  return product(shapeOf(op.outputs)) * (shapeOf(op.inputs[left]).at(-1) ?? 1);
}

/** Every output element of a convolution sums over the kernel: weight (out, in / groups, …kernel). */
function convolution(op: RecordedOp): number {
  return product(shapeOf(op.outputs)) * product(shapeOf(op.inputs[1]).slice(1));
}

/** A sum over all letters of the equation: the product of their sizes. One factor alone multiplies nothing. */
function einsum(op: RecordedOp): number {
  const [equation, factors] = op.inputs;
  const terms = String(equation).replace(/\s/g, '').split('->')[0]!.split(',');
  if (terms.length === 1) return 0;
  if (terms.length > 2 || !Array.isArray(factors))
    throw new ArgumentError(
      `countMultiplyAccumulates: expected an einsum of two factors, received ${equation}`,
    );
  const sizes = new Map<string, number>();
  terms.forEach((term, t) => {
    const shape = shapeOf((factors as readonly RecordedValue[])[t]);
    lettersOf(term, shape.length).forEach((letter, i) => {
      sizes.set(letter, Math.max(sizes.get(letter) ?? 1, shape[i]!));
    });
  });
  return product([...sizes.values()]);
}

/** The dimensions behind `...` are named by their place from the right, as they broadcast. */
function lettersOf(term: string, rank: number): string[] {
  const [before = '', after] = term.split('...');
  if (after === undefined) return [...before];
  const hidden = rank - before.length - after.length;
  return [...before, ...Array.from({ length: hidden }, (_, i) => `.${hidden - i}`), ...after];
}

/** Every output element of every map sums over the input's last dimension. */
function linearMaps({ inputs, outputs }: RecordedOp): number {
  const results = outputs as readonly RecordedValue[];
  return (
    results.reduce((total: number, result) => total + product(shapeOf(result)), 0) *
    shapeOf(inputs[0]).at(-1)!
  );
}

/** Two maps, to the inner width and from it. */
function feedForward({ inputs, outputs }: RecordedOp): number {
  return (product(shapeOf(inputs[0])) + product(shapeOf(outputs))) * shapeOf(inputs[1])[0]!;
}

/** Scores and what is taken by them: each query with the shared keys, and with the keys around its segment, off the grid or not. */
function windowAttention({ inputs }: RecordedOp): number {
  const [B, , N, H] = shapeOf(inputs[0]) as [number, number, number, number];
  const [grid, window, reach] = inputs.slice(7, 10) as [number, number][];
  const along = (i: 0 | 1) => (window![i] === 0 ? 0 : Math.ceil(grid![i] / window![i]) * window![i]);
  const queries = along(0) * along(1);
  const seen = (window![0] + 2 * reach![0]) * (window![1] + 2 * reach![1]);
  const shared = inputs[3] === null ? 0 : shapeOf(inputs[3])[1]!;
  return 2 * B * N * H * (queries * seen + grid![0] * grid![1] * shared);
}

/** Maps of x, two sums over all tokens for every slot, two products with shared keys and with those around each segment. */
function bidirectionalLayer({ inputs }: RecordedOp): number {
  const [B, L, D] = shapeOf(inputs[0]) as [number, number, number];
  const [heads, window, reach] = inputs.slice(5, 8) as [number, number, number];
  const maps = (inputs[1] as readonly RecordedValue[]).reduce(
    (total: number, weight) => total + product(shapeOf(weight)),
    0,
  );
  const slots = shapeOf((inputs[1] as readonly RecordedValue[])[3])[0]! / heads;
  const queries = Math.ceil(L / window) * window;
  return B * (L * maps + 4 * L * D * slots + 2 * queries * D * (window + 2 * reach));
}

/** Keys and values of every slot are sums over all tokens. */
function poolTokens({ inputs }: RecordedOp): number {
  return 2 * product(shapeOf(inputs[1])) * shapeOf(inputs[0])[3]!;
}

/**
 * Scores and what the values make of them, for each pair of a query and a key that it sees. Window keys meet it twice, by content
 * and by distance; a chunk's key and that of its id are one.
 */
function causalAttention(op: RecordedOp): number {
  const [batch, T, N, H] = shapeOf(op.inputs[0]) as [number, number, number, number];
  const before = shapeOf(op.inputs[1])[1]! - T;
  const [size, rank, offset, remembered, reach] = op.inputs[10] as [number, number, number, number, number];
  let pairs = 0;
  for (let t = 0; t < T; t++) {
    const chunks = op.inputs[6] === null ? 0 : remembered + Math.floor((offset + t) / size);
    pairs += 3 * Math.min(op.inputs[9] as number, before + t + 1) + 2 * Math.min(reach, chunks * rank);
  }
  return pairs * batch * N * H;
}

const COUNTERS: Record<string, (op: RecordedOp) => number> = {
  'aten::linear': (op) => matrixProduct(op, 0),
  'aten::matmul': (op) => matrixProduct(op, 0),
  'aten::mm': (op) => matrixProduct(op, 0),
  'aten::bmm': (op) => matrixProduct(op, 0),
  'aten::mv': (op) => matrixProduct(op, 0),
  'aten::dot': (op) => matrixProduct(op, 0),
  'aten::addmm': (op) => matrixProduct(op, 1),
  'aten::baddbmm': (op) => matrixProduct(op, 1),
  'aten::einsum': einsum,
  'aten::conv1d': convolution,
  'aten::conv2d': convolution,
  'aten::conv3d': convolution,
  'aten::convolution': convolution,
  'tls::bidirectional_layer': bidirectionalLayer,
  'tls::linear_maps': linearMaps,
  'tls::feed_forward': feedForward,
  'tls::window_attention': windowAttention,
  'tls::pool_tokens': poolTokens,
  'tls::causal_attention': causalAttention,
};
