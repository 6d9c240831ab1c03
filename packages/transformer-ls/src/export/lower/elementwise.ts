/** Operators on elements, one by one. */
import { ExportError } from '../error.js';
import type { Value } from '../graph-builder.js';
import type { Lowering, Rule, Rules } from './rule.js';

const unary =
  (opType: string): Rule =>
  ({ graph, value }) =>
    graph.node(opType, [value(0)]);

/** libtorch brings both sides to the result's dtype. */
const binary =
  (opType: string): Rule =>
  (l) =>
    l.graph.node(opType, [l.cast(0, l.result.dtype), scaled(l, l.cast(1, l.result.dtype))]);

const withNumber =
  (opType: string): Rule =>
  (l) => {
    const number = l.graph.scalar(l.number(1), l.result.dtype);
    return l.graph.node(opType, [l.cast(0, l.result.dtype), scaled(l, number)]);
  };

/** Sums and differences may have a third argument: a factor of the second. */
function scaled({ graph, call, number, result }: Lowering, value: Value): Value {
  const factor = call.inputs[2] === undefined ? 1 : number(2);
  return factor === 1 ? value : graph.node('Mul', [value, graph.scalar(factor, result.dtype)]);
}

const compareNumber =
  (opType: string, negate = false): Rule =>
  (l) => {
    const number = l.number(1);
    const { dtype } = l.tensor(0);
    const common = Number.isInteger(number) || FLOATS.has(dtype) ? dtype : 'float32';
    const found = l.graph.node(opType, [l.cast(0, common), l.graph.scalar(number, common)]);
    return negate ? l.graph.node('Not', [found]) : found;
  };

const compare =
  (opType: string): Rule =>
  (l) => {
    const [a, b] = [l.tensor(0).dtype, l.tensor(1).dtype];
    const common = DTYPES.indexOf(a) < DTYPES.indexOf(b) ? b : a;
    return l.graph.node(opType, [l.cast(0, common), l.cast(1, common)]);
  };

const logical =
  (opType: string, inputs: number): Rule =>
  (l) =>
    l.graph.node(
      opType,
      Array.from({ length: inputs }, (_, i) => l.cast(i, 'bool')),
    );

/** The sign of a remainder is that of the divisor; ONNX has that for whole numbers alone. */
const remainder: Rule = (l) => {
  const { graph, result } = l;
  const [value, divisor] = [l.cast(0, result.dtype), graph.scalar(l.number(1), result.dtype)];
  if (!FLOATS.has(result.dtype)) return graph.node('Mod', [value, divisor]);
  const whole = graph.node('Floor', [graph.node('Div', [value, divisor])]);
  return graph.node('Sub', [value, graph.node('Mul', [whole, divisor])]);
};

/** Where two meet, the later one is what both become. */
const DTYPES = [
  'bool',
  'uint8',
  'int8',
  'int16',
  'int32',
  'int64',
  'float16',
  'bfloat16',
  'float32',
  'float64',
];
const FLOATS = new Set(DTYPES.slice(6));

/** x/2 * (1 + erf(x / sqrt 2)): opset 17 has no GELU; engines find this pattern. */
const gelu: Rule = ({ graph, call, value, result: { dtype } }) => {
  if ((call.inputs[1] ?? 'none') !== 'none')
    throw new ExportError(`${call.name}: expected no approximation, received ${String(call.inputs[1])}`);
  const scaled = graph.node('Div', [value(0), graph.scalar(Math.SQRT2, dtype)]);
  const grown = graph.node('Add', [graph.node('Erf', [scaled]), graph.scalar(1, dtype)]);
  return graph.node('Mul', [graph.node('Mul', [value(0), grown]), graph.scalar(0.5, dtype)]);
};

export const ELEMENTWISE_RULES: Rules = {
  'aten::add.Tensor': binary('Add'),
  'aten::sub.Tensor': binary('Sub'),
  'aten::mul.Tensor': binary('Mul'),
  'aten::div.Tensor': binary('Div'),
  'aten::add.Scalar': withNumber('Add'),
  'aten::sub.Scalar': withNumber('Sub'),
  'aten::mul.Scalar': withNumber('Mul'),
  'aten::div.Scalar': withNumber('Div'),
  'aten::remainder.Scalar': remainder,
  'aten::eq.Scalar': compareNumber('Equal'),
  'aten::ne.Scalar': compareNumber('Equal', true),
  'aten::lt.Scalar': compareNumber('Less'),
  'aten::le.Scalar': compareNumber('LessOrEqual'),
  'aten::gt.Scalar': compareNumber('Greater'),
  'aten::ge.Scalar': compareNumber('GreaterOrEqual'),
  'aten::lt.Tensor': compare('Less'),
  'aten::ge.Tensor': compare('GreaterOrEqual'),
  'aten::eq.Tensor': compare('Equal'),
  'aten::logical_not': logical('Not', 1),
  'aten::logical_or': logical('Or', 2),
  'aten::logical_and': logical('And', 2),
  'aten::relu': unary('Relu'),
  'aten::sigmoid': unary('Sigmoid'),
  'aten::tanh': unary('Tanh'),
  'aten::exp': unary('Exp'),
  'aten::sqrt': unary('Sqrt'),
  'aten::gelu': gelu,
  'aten::clamp': (l) => {
    const bound = (i: number) => (l.has(i) ? l.graph.scalar(l.number(i), l.result.dtype) : '');
    return l.graph.node('Clip', [l.cast(0, l.result.dtype), bound(1), bound(2)]);
  },
  'aten::masked_fill.Scalar': (l) =>
    l.graph.node('Where', [l.value(1), l.graph.scalar(l.number(2), l.result.dtype), l.value(0)]),
  'aten::where.self': (l) =>
    l.graph.node('Where', [l.value(0), l.cast(1, l.result.dtype), l.cast(2, l.result.dtype)]),
  'aten::to.dtype': (l) => l.cast(0, l.result.dtype),
};
