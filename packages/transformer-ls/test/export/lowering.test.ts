// Each rule: a small function of torch operators, recorded, and run in ONNX Runtime beside libtorch at sizes that were not recorded too.
import {
  arange,
  call,
  cat,
  dropout,
  embedding,
  fusedOperatorsWanted,
  layerNorm,
  linear,
  manualSeed,
  memoryStats,
  ones,
  operator,
  randint,
  randn,
  scope,
  setFusedOperators,
  type Tensor,
  tensor,
  where,
  zeros,
} from '@transformer-ls/torch';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CREATE_RULES } from '../../src/export/lower/create.js';
import { ELEMENTWISE_RULES } from '../../src/export/lower/elementwise.js';
import { PRODUCT_RULES } from '../../src/export/lower/products.js';
import { SHAPE_RULES } from '../../src/export/lower/shape.js';
import { freeConstants, type Recordable, recordGraph } from '../../src/export/recorded-graph.js';
import type { FreeSizes, Sample } from '../../src/export/sizes.js';
import { expectAlike, graphOf } from './run-onnx.js';

const D = 6;
const SIZES: FreeSizes = {
  samples: [
    { B: 2, L: 7 },
    { B: 3, L: 10 },
    { B: 5, L: 17 },
    { B: 4, L: 13 },
    { B: 2, L: 23 },
    { B: 3, L: 6 },
    { B: 7, L: 19 },
  ],
  multiples: [4],
};
const COMPARED: readonly Sample[] = [
  { B: 1, L: 1 },
  { B: 1, L: 4 },
  { B: 2, L: 5 },
  { B: 3, L: 8 },
  { B: 1, L: 33 },
];

/** x (B, L, 6), y (B, 1, 6) float32; ids, more (B, L) int64 from -3 to 4; mask, other (B, L) bool. */
interface Inputs {
  readonly x: Tensor;
  readonly y: Tensor;
  readonly ids: Tensor;
  readonly more: Tensor;
  readonly mask: Tensor;
  readonly other: Tensor;
  readonly B: number;
  readonly L: number;
}

type Run = (inputs: Inputs) => Tensor | readonly Tensor[];

function recordable(run: Run): Recordable {
  return {
    inputs: ({ B, L }) => ({
      x: randn([B!, L!, D]),
      y: randn([B!, 1, D]),
      ids: randint(-3, 5, [B!, L!]),
      more: randint(-3, 5, [B!, L!]),
      mask: randint(0, 2, [B!, L!]).to('bool'),
      other: randint(0, 2, [B!, L!]).to('bool'),
    }),
    run(inputs) {
      const { x, y, ids, more, mask, other } = inputs as unknown as Inputs;
      const [B, L] = [x.size(0), x.size(1)];
      const results = [run({ x, y, ids, more, mask, other, B, L })].flat();
      return Object.fromEntries(results.map((result, i) => [`result${i}`, result]));
    },
  };
}

const conv1d = operator('aten::conv1d');
const conv2d = operator('aten::conv2d');
const batchNorm = operator('aten::batch_norm');
const windows = (L: number) => Math.ceil(L / 4);

const weights = {
  square: randn([D, D]),
  wide: randn([4, D]),
  bias: randn([4]),
  scale: randn([D]),
  shift: randn([D]),
  table: randn([8, 5]),
  kernel: randn([4, D, 3]),
  depthwise: randn([D, 1, 3, 3]),
  positive: ones([D]).add(randn([D]).mul(0.1)),
};

const CASES: Record<string, readonly [name: string, run: Run][]> = {
  'what moves nothing': [
    ['contiguous, detach and clone', ({ x }) => x.transpose(1, 2).contiguous().detach().clone()],
    ['an input itself', ({ x }) => x],
    ['what depends on no input', () => weights.square.add(1)],
  ],
  'another shape': [
    ['reshape that splits and joins', ({ x, B, L }) => x.reshape([B, L, 2, 3]).reshape([B * L, 6])],
    ['reshape that infers', ({ x }) => x.reshape([-1, 3])],
    ['reshape after another order', ({ x, B, L }) => x.transpose(1, 2).reshape([B, 2, 3, L])],
    ['reshape that joins after another order', ({ x, B, L }) => x.transpose(1, 2).reshape([B, D * L])],
    [
      'reshape of whole windows',
      ({ x, B, L }) => x.pad([0, 0, 0, windows(L) * 4 - L]).reshape([B, windows(L), 4, D]),
    ],
    ['view', ({ x, B, L }) => x.view([B, L * D])],
    ['flatten', ({ x }) => [x.flatten(), x.flatten(1, 2), x.flatten(0, 1)]],
    ['squeeze and unsqueeze', ({ y }) => [y.squeeze(1), y.squeeze(-2), y.unsqueeze(0), y.unsqueeze(-1)]],
    ['squeeze of what is not 1 at any size', ({ x }) => x.squeeze(2)],
    ['expand', ({ y, x, B, L }) => [y.expand([B, L, D]), y.expand([-1, -1, D]), x.expand([3, -1, -1, -1])]],
  ],
  'another order': [
    ['permute', ({ x }) => [x.permute([2, 0, 1]), x.permute([-1, 0, -2])]],
    ['transpose', ({ x }) => [x.transpose(0, 1), x.transpose(-1, -2)]],
    ['two orders after one another', ({ x }) => x.transpose(0, 1).permute([2, 1, 0])],
    ['an order and back', ({ x }) => x.transpose(0, 2).transpose(0, 2)],
    ['an order and a product of it', ({ x }) => x.matmul(x.transpose(1, 2))],
  ],
  'a part': [
    ['the first', ({ x }) => x.narrow(1, 0, 1)],
    ['all of it', ({ x, L }) => x.narrow(1, 0, L)],
    ['from the second on', ({ x, L }) => x.narrow(1, 1, L - 1)],
    ['all but the last', ({ x, L }) => x.narrow(1, 0, L - 1)],
    ['the last', ({ x, L }) => [x.narrow(1, L - 1, 1), x.narrow(1, -1, 1)]],
    ['from the middle on, along another dimension', ({ x }) => x.narrow(-1, 2, 3)],
    [
      'a part whose start and length both depend on sizes, not to the end',
      ({ x, L }) => cat([x, x, x], 1).narrow(1, L, L),
    ],
    [
      'the same to the end',
      ({ x, L }) => x.pad([0, 0, windows(L) * 4 - L, 0]).narrow(1, windows(L) * 4 - L, L),
    ],
    ['as many from the start as another size says', ({ x, B }) => cat([x, x, x, x], 2).narrow(2, 0, B)],
    ['select', ({ x }) => [x.select(1, 0), x.select(1, -1), x.select(2, 5), x.select(0, 0)]],
    ['split by sizes', ({ x, L }) => [x.split([1, 2, 3], 2), x.split([1, L - 1], 1)].flat()],
    ['split by sizes, of the first dimension', ({ x, B }) => cat([x, x, x], 0).split([B, 2 * B])],
    ['chunk', ({ x }) => [x.chunk(4, 2), x.chunk(2, -1)].flat()],
    ['chunk of the first dimension', ({ x }) => cat([x, x], 0).chunk(2)],
    ['unfold', ({ x }) => [x.unfold(2, 4, 2), x.unfold(-1, 3, 1)]],
    [
      'unfold of windows that overlap',
      ({ x, L }) => x.pad([0, 0, 2, windows(L) * 4 - L + 2]).unfold(1, 8, 4),
    ],
  ],
  'joined and padded': [
    ['cat', ({ x, y }) => [cat([x, y], 1), cat([y, x, y], -2), cat([x, x])]],
    ['cat of nothing alone', ({ x }) => cat([x.narrow(1, 0, 0), x.narrow(1, 0, 0)], 1)],
    ['cat with nothing', ({ x, y, B }) => [cat([zeros([B, 0, D]), x], 1), cat([y.narrow(1, 0, 0), x], 1)]],
    [
      'pad on both sides',
      ({ x }) => [x.pad([1, 2]), x.pad([0, 0, 3, 1], 0.5), x.pad([1, 0, 2, 0, 0, 1], -1)],
    ],
    ['pad to whole windows', ({ x, L }) => x.pad([0, 0, 0, windows(L) * 4 - L])],
    ['pad of a mask', ({ mask }) => mask.to('float32').pad([2, 1])],
  ],
  'made of sizes': [
    ['zeros and ones', ({ B, L }) => [zeros([B, L]), ones([L, 2]), zeros([B], { dtype: 'int64' })]],
    ['zeros of a fixed size, as a constant', ({ x }) => x.add(zeros([D]))],
  ],
  arithmetic: [
    ['sums', ({ x, y }) => [x.add(y), x.add(2), x.add(weights.shift), y.add(x)]],
    ['differences', ({ x, y }) => [x.sub(y), x.sub(2), y.sub(x)]],
    ['products', ({ x, y }) => [x.mul(y), x.mul(0.5), y.mul(x)]],
    ['quotients', ({ x, y }) => [x.div(y.mul(y).add(1)), x.div(3)]],
    [
      'whole numbers',
      ({ ids, more }) => [ids.add(more), ids.sub(more), ids.mul(more), ids.add(3), ids.mul(-2)],
    ],
    ['quotients of whole numbers', ({ ids }) => [ids.div(4), ids.div(tensor(3))]],
    ['of a mask', ({ mask, x }) => [mask.to('float32').sub(1), x.mul(mask.unsqueeze(2)), mask.mul(2)]],
    [
      'whole numbers and fractions',
      ({ ids, x }) => [ids.unsqueeze(2).mul(x), x.sub(ids.unsqueeze(2)), ids.add(0.5)],
    ],
    [
      'with a factor',
      ({ x, y }) => [
        call('aten::add.Tensor', x, y, 3) as Tensor,
        call('aten::sub.Tensor', x, y, 0.5) as Tensor,
        call('aten::add.Scalar', x, 2, 3) as Tensor,
        call('aten::sub.Scalar', x, 2, -1) as Tensor,
      ],
    ],
    [
      'remainders',
      ({ ids, x }) => [ids.remainder(3), ids.remainder(-3), x.remainder(0.7), x.remainder(-0.7)],
    ],
  ],
  comparisons: [
    [
      'with a number',
      ({ ids, x }) => [ids.eq(1), ids.ne(1), ids.lt(1), ids.le(1), ids.gt(1), ids.ge(1), x.ge(0.5)],
    ],
    ['of whole numbers with a fraction', ({ ids }) => [ids.lt(0.5), ids.eq(0.5)]],
    ['of tensors', ({ ids, more }) => [ids.lt(more), ids.ge(more), ids.eq(more)]],
    ['of tensors of different dtypes', ({ ids, x }) => [ids.unsqueeze(2).lt(x), x.ge(ids.unsqueeze(2))]],
    ['of masks', ({ mask, other }) => mask.eq(other)],
    ['logic', ({ mask, other }) => [mask.logicalNot(), mask.logicalOr(other), mask.logicalAnd(other)]],
    ['logic of numbers', ({ ids, more }) => [ids.logicalNot(), ids.logicalOr(more), ids.logicalAnd(more)]],
  ],
  'functions of one number': [
    ['relu, sigmoid, tanh, exp, gelu', ({ x }) => [x.relu(), x.sigmoid(), x.tanh(), x.exp(), x.gelu()]],
    ['sqrt', ({ x }) => x.mul(x).sqrt()],
    ['clamp', ({ x, ids }) => [x.clamp(-0.5, 0.5), x.clamp(null, 0.1), x.clamp(0.1), ids.clamp(-1, 2)]],
    [
      'to another dtype',
      ({ x, ids, mask }) => [x.to('int64'), ids.to('float32'), mask.to('int64'), ids.to('bool')],
    ],
  ],
  choices: [
    [
      'masked fill',
      ({ x, mask }) => [
        x.maskedFill(mask.unsqueeze(2), -1),
        x.maskedFill(mask.unsqueeze(2), Number.NEGATIVE_INFINITY),
      ],
    ],
    ['masked fill of whole numbers', ({ ids, mask }) => ids.maskedFill(mask, 0)],
    [
      'where',
      ({ x, y, mask }) => [where(mask.unsqueeze(2), x, y), where(mask.unsqueeze(2), y, weights.scale)],
    ],
    ['where of different dtypes', ({ ids, x, mask }) => where(mask.unsqueeze(2), ids.unsqueeze(2), x)],
  ],
  'matrix products': [
    [
      'matmul',
      ({ x }) => [
        x.matmul(weights.square),
        x.matmul(weights.scale),
        weights.square.matmul(x.transpose(1, 2)),
      ],
    ],
    ['bmm and mm', ({ x }) => [x.bmm(x.transpose(1, 2)), x.select(0, 0).mm(weights.square)]],
    ['linear', ({ x }) => [linear(x, weights.wide, weights.bias), linear(x, weights.square)]],
    ['linear with computed weights', ({ x, y }) => linear(x, y.select(0, 0).mul(weights.square))],
    ['embedding', ({ ids }) => embedding(ids.add(3), weights.table)],
    ['conv1d', ({ x }) => conv1d(x.transpose(1, 2), weights.kernel, weights.bias, [1], [1], [1], 1)],
    [
      'conv1d with numbers and no bias',
      ({ x }) => conv1d(x.pad([0, 0, 0, 2]).transpose(1, 2), weights.kernel),
    ],
    [
      'conv1d with strides and holes',
      ({ x, L }) =>
        conv1d(x.pad([0, 0, 0, windows(L) * 4 - L]).transpose(1, 2), weights.kernel, null, [2], [2], [2], 1),
    ],
    [
      'conv2d, a kernel for each channel',
      ({ x, B, L }) =>
        conv2d(
          x.transpose(1, 2).reshape([B, D, L, 1]).expand([B, D, L, 5]),
          weights.depthwise,
          null,
          [1, 2],
          [1, 1],
          [1, 1],
          D,
        ),
    ],
    [
      'conv2d whose sides are said once',
      ({ x, B, L }) =>
        conv2d(
          x.transpose(1, 2).reshape([B, D, L, 1]).expand([B, D, L, 5]),
          weights.depthwise,
          weights.shift,
          [1],
          [1],
          [1],
          D,
        ),
    ],
  ],
  'over a dimension': [
    ['softmax', ({ x }) => [x.softmax(-1), x.softmax(1)]],
    ['softmax of whole numbers as fractions', ({ ids }) => ids.softmax(-1, 'float32')],
    ['layer norm', ({ x }) => layerNorm(x, [D], weights.scale, weights.shift, 1e-3)],
    ['layer norm without weights', ({ x }) => [layerNorm(x, [D]), layerNorm(x, [D], weights.scale)]],
    ['layer norm with a bias alone', ({ x }) => layerNorm(x, [D], null, weights.shift)],
    [
      'layer norm over two dimensions',
      ({ x, B, L }) =>
        layerNorm(
          x.reshape([B, L, 2, 3]),
          [2, 3],
          weights.scale.reshape([2, 3]),
          weights.shift.reshape([2, 3]),
        ),
    ],
    [
      'batch norm',
      ({ x }) =>
        batchNorm(
          x.transpose(1, 2),
          weights.scale,
          weights.shift,
          weights.shift,
          weights.positive,
          false,
          0.1,
          1e-5,
          false,
        ),
    ],
    ['sum', ({ x }) => [x.sum(-1), x.sum([0, 2]), x.sum(1, true), x.sum(null, true)]],
    ['sum of a mask', ({ mask, ids }) => [mask.sum(1), ids.sum([1], true)]],
    ['mean', ({ x }) => [x.mean(-1), x.mean([0, -1], true), x.mean(1)]],
  ],
};

const RULES = { ...SHAPE_RULES, ...ELEMENTWISE_RULES, ...PRODUCT_RULES, ...CREATE_RULES };
const seen = new Set<string>();

let fused = true;
beforeAll(() => {
  fused = fusedOperatorsWanted();
  setFusedOperators(false);
});
afterAll(() => setFusedOperators(fused));
beforeEach(() => manualSeed(11));

describe.each(Object.entries(CASES))('%s', (_, cases) => {
  it.each(cases)('%s', async (_, run) => {
    const what = recordable(run);
    const recorded = recordGraph(what, SIZES);
    for (const { name } of recorded.calls) seen.add(name);
    freeConstants(recorded);
    await expectAlike(graphOf(what, SIZES), what, COMPARED);
  });
});

describe('rules', () => {
  it('are all met by what is tested here', () => {
    expect(Object.keys(RULES).filter((name) => !seen.has(name))).toEqual([]);
  });
});

/** What refuses the function, in one line. */
function refusal(run: Run, sizes = SIZES): string {
  try {
    graphOf(recordable(run), sizes);
  } catch (error) {
    const { name, message } = error as Error;
    expect(name, message).toBe('ExportError');
    expect(message).not.toContain('\n');
    return message;
  }
  throw new Error('no error came');
}

describe('refused is', () => {
  it.each<[string, Run, string]>([
    [
      'an operator without a rule, by name and what it was called with',
      ({ x }) => x.sin(),
      'no rule says what aten::sin(float32[B,L,6]) is in ONNX',
    ],
    [
      'a tensor made of numbers that depend on a size',
      ({ x, L }) => x.add(tensor([L])),
      'a tensor of shape [1] that is made of numbers in TypeScript depends on the sizes of the input',
    ],
    [
      'a tensor made of numbers whose own size depends on another',
      ({ x, L }) => x.add(tensor(new Float32Array(L), { shape: [L, 1] })),
      'that is made of numbers in TypeScript depends on the sizes of the input',
    ],
    [
      'a range as long as the input',
      ({ x, L }) => x.add(arange(0, L).unsqueeze(1)),
      'aten::arange.start_step',
    ],
    [
      'a number that depends on a size where an operator takes a fixed one',
      ({ x, L }) => x.mul(L),
      'aten::mul.Scalar: expected a number that does not depend on sizes as argument 2',
    ],
    [
      'a fraction that depends on a size',
      ({ x, L }) => x.mul(1 / L),
      'aten::mul.Scalar: no rule says how this depends on',
    ],
    [
      'a size that is none of the sought form',
      ({ L }) => zeros([L * L]),
      'aten::zeros: no rule says how this depends on',
    ],
    [
      'a model that does something else at another size',
      ({ x, L }) => (L > 12 ? x.relu() : x.exp()),
      'expected the same operators at every size, received aten::exp and aten::relu',
    ],
    [
      'a model that does more at another size',
      ({ x, L }) => (L > 12 ? x.relu().exp() : x.relu()),
      'expected as many operators at every size, received 1 and 2',
    ],
    [
      'a model that takes another tensor at another size',
      ({ x, y, L }) => x.add(y).mul(L > 12 ? x : y),
      'aten::mul.Tensor: no rule says how this depends on',
    ],
    [
      'a list that is longer at another size',
      ({ x, y, L }) => cat(L > 12 ? [x, y, y] : [x, y], 1),
      'aten::cat: no rule says how this depends on',
    ],
    [
      'an operator that gives more at another size',
      ({ x, L }) => (x.split(4, 1).length + L > 0 ? x.split(4, 1)[0]! : x),
      'aten::split.Tensor: no rule says how this depends on',
    ],
    [
      'what is random',
      ({ x }) => dropout(x, 0.5, true),
      'random numbers are drawn, which a graph cannot say',
    ],
    ['what is random and depends on no input', ({ x }) => x.add(randn([D])), 'random numbers are drawn'],
    [
      'an approximation of GELU',
      ({ x }) => call('aten::gelu', x, 'tanh') as Tensor,
      'aten::gelu: expected no approximation, received tanh',
    ],
    [
      'batch norm in training',
      ({ x }) => batchNorm(x, null, null, null, null, true, 0.1, 1e-5, false),
      'aten::batch_norm: expected a model that is not trained',
    ],
  ])('%s', (_, run, message) => {
    const before = memoryStats().liveTensors;
    expect(scope(() => refusal(run))).toContain(message);
    expect(memoryStats().liveTensors).toBe(before);
  });

  it('a result that the run did not make', () => {
    const before = memoryStats().liveTensors;
    expect(() =>
      scope(() =>
        graphOf(
          recordable(({ x }) => [x.add(weights.shift), weights.scale]),
          SIZES,
        ),
      ),
    ).toThrow('the run neither met nor made float32[6]');
    expect(memoryStats().liveTensors).toBe(before);
  });
});

describe('a graph', () => {
  it('has no input that it does not read, and none of the constants and nodes that nothing needs', () => {
    const model = graphOf(
      recordable(({ x, mask }) => {
        mask.logicalNot().add(weights.scale.size(0));
        return x.relu();
      }),
      SIZES,
    );
    expect(model.graph.input.map(({ name }) => name)).toEqual(['x']);
    expect(model.graph.node.map(({ opType }) => opType)).toEqual(['Relu', 'Identity']);
    expect(model.graph.initializer).toEqual([]);
  });

  it('computes beforehand what depends on no input', () => {
    const model = graphOf(
      recordable(({ x }) => x.add(weights.square.mm(weights.square).softmax(-1).sum(0))),
      SIZES,
    );
    expect(model.graph.node.map(({ opType }) => opType)).toEqual(['Add', 'Identity']);
    expect(model.graph.initializer.map(({ dims }) => dims)).toEqual([[6n]]);
  });

  it('reads a size off the inputs, and names it', () => {
    const model = graphOf(
      recordable(({ B, L }) => zeros([B, L])),
      SIZES,
    );
    const dims = (at: 'input' | 'output') =>
      model.graph[at].map(({ type }) =>
        type.tensorType.shape.dim.map(({ dimParam, dimValue }) => dimParam ?? dimValue),
      );
    expect(dims('input')).toEqual([['B', 'L', 6n]]);
    expect(dims('output')).toEqual([['B', 'L']]);
  });
});
