// The counter of multiply-accumulates is checked against the oracle table of the specification (section 7): the products
// of the Long Range Arena classifier (sections 2.2 to 2.5), batch 1, run on zeros.
import { expect, test } from 'vitest';
import {
  cat,
  countMultiplyAccumulates,
  einsum,
  linear,
  operator,
  recordOps,
  scope,
  type Tensor,
  zeros,
} from '../src/index.js';

const D = 64; // model width
const H = 2; // heads
const HIDDEN = 128;
const LAYERS = 2;
const blank = (...shape: number[]) => zeros(shape);
const dense = (x: Tensor, outputs: number) => linear(x, blank(outputs, x.size(-1)), blank(outputs));
const heads = (x: Tensor) => x.reshape([1, -1, H, D / H]).transpose(1, 2);

/** Products of one attention layer for L tokens, window W and rank R; with a class token in the last layer. */
function attention(x: Tensor, W: number, R: number, withClass: boolean): Tensor {
  const L = x.size(1);
  const d = D / H;
  const reach = Math.max(Math.floor(W / 2), 1);
  const keys = W + 2 * reach;
  const projected = withClass ? cat([blank(1, 1, D), x], 1) : x;
  const [q, k, v] = [dense(projected, D), dense(projected, D), dense(projected, D)].map((t) =>
    heads(t).narrow(2, 0, L),
  );
  const p = dense(x, H * R)
    .reshape([1, L, H, R])
    .permute([0, 2, 3, 1]);
  const extra = withClass ? [blank(1, H, 1, d)] : [];
  const compressed = [k!, v!].map((t) => cat([...extra, p.matmul(t)], 2));
  const longScores = q!.matmul(compressed[0]!.transpose(2, 3));
  const segments = q!.reshape([1, H, L / W, W, d]);
  const windowScores = segments.matmul(blank(1, H, L / W, keys, d).transpose(3, 4));
  const fromWindow = windowScores.matmul(blank(1, H, L / W, keys, d)).reshape([1, H, L, d]);
  let context = longScores.matmul(compressed[1]!).add(fromWindow);
  if (withClass) {
    const scores = blank(1, H, 1, d).matmul(cat([blank(1, H, 1, d), context], 2).transpose(2, 3));
    context = cat([scores.matmul(cat([blank(1, H, 1, d), context], 2)), context], 2);
  }
  return dense(context.transpose(1, 2).reshape([1, -1, D]), D);
}

const mlp = (x: Tensor) => dense(dense(x, HIDDEN).gelu(), D);

function encode(L: number, W: number, R: number): Tensor {
  let x = blank(1, L, D);
  for (let layer = 0; layer < LAYERS; layer++) x = mlp(attention(x, W, R, layer === LAYERS - 1));
  return x.select(1, 0);
}

function classify(L: number, W: number, R: number, classes: number): void {
  dense(dense(encode(L, W, R), HIDDEN).relu(), classes);
}

function matchDocuments(L: number, W: number, R: number): void {
  const [a, b] = [encode(L, W, R), encode(L, W, R)];
  dense(dense(cat([a, b, a.mul(b), a.sub(b)], -1), HIDDEN).relu(), 2);
}

test.each([
  ['ListOps (8,32)', () => classify(2048, 8, 32, 10), 0.194],
  ['ListOps (16,2)', () => classify(2048, 16, 2, 10), 0.155],
  ['Text (8,32)', () => classify(4096, 8, 32, 2), 0.387],
  ['Text (1,1)', () => classify(4096, 1, 1, 2), 0.276],
  ['Retrieval (8,32)', () => matchDocuments(4096, 8, 32), 0.774],
  ['Retrieval (1,254)', () => matchDocuments(4096, 1, 254), 2.143],
])('%s: the published multiply-accumulates', (_, run, expected) => {
  const { ops } = scope(() => recordOps(run));
  expect((countMultiplyAccumulates(ops) / 1e9).toFixed(3)).toBe(expected.toFixed(3));
});

test('every kind of product is counted', () => {
  const count = (run: () => unknown) => scope(() => countMultiplyAccumulates(recordOps(run).ops));
  expect(count(() => linear(blank(5, 3), blank(7, 3), blank(7)))).toBe(5 * 3 * 7);
  expect(count(() => blank(5, 3).matmul(blank(3)))).toBe(15);
  expect(count(() => blank(3).matmul(blank(3)))).toBe(3);
  expect(count(() => blank(3).matmul(blank(2, 3, 4)))).toBe(24);
  expect(count(() => blank(2, 1, 5, 3).matmul(blank(4, 3, 7)))).toBe(2 * 4 * 5 * 3 * 7);
  expect(count(() => blank(5, 3).mm(blank(3, 7)))).toBe(105);
  expect(count(() => blank(2, 5, 3).bmm(blank(2, 3, 7)))).toBe(210);
  expect(count(() => blank(7).addmm(blank(5, 3), blank(3, 7)))).toBe(105);
  expect(count(() => einsum('bld,dh->blh', blank(2, 5, 3), blank(3, 7)))).toBe(210);
  expect(count(() => einsum('...ld,...md->...lm', blank(2, 4, 5, 3), blank(2, 4, 6, 3)))).toBe(
    2 * 4 * 5 * 6 * 3,
  );
  const conv2d = operator('aten::conv2d');
  expect(count(() => conv2d(blank(1, 4, 8, 8), blank(6, 2, 3, 3), null, [1, 1], [1, 1], [1, 1], 2))).toBe(
    64 * 6 * 2 * 9,
  );
  expect(count(() => blank(5).add(1).mul(2).softmax(0).sum())).toBe(0);
});

test('what is recorded: names, shapes and dtypes, in order', () => {
  const { result, ops } = scope(() => recordOps(() => zeros([2, 3]).add(1).sum([1]).tolist()));
  expect(result).toEqual([3, 3]);
  expect(ops.map((op) => op.name)).toEqual(['aten::zeros', 'aten::add.Scalar', 'aten::sum.dim_IntList']);
  expect(ops[2]).toEqual({
    name: 'aten::sum.dim_IntList',
    inputs: [{ shape: [2, 3], dtype: 'float32' }, [1], false],
    outputs: { shape: [2], dtype: 'float32' },
  });
});

test('recordings nest, and end with an exception', () => {
  scope(() => {
    const x = zeros([1]);
    const outer = recordOps(() => {
      x.neg();
      const inner = recordOps(() => x.abs());
      expect(() =>
        recordOps(() => {
          x.exp();
          throw new RangeError('mine');
        }),
      ).toThrow('mine');
      return inner.ops.map((op) => op.name);
    });
    x.log();
    expect(outer.result).toEqual(['aten::abs']);
    expect(outer.ops.map((op) => op.name)).toEqual(['aten::neg', 'aten::abs', 'aten::exp']);
  });
});

test('shapes are those of the moment: an operator in place records what it left', () => {
  const { ops } = scope(() =>
    recordOps(() => {
      const x = zeros([2, 3]);
      operator('aten::resize_')(x, [6]);
    }),
  );
  expect(ops[1]!.outputs).toEqual({ shape: [6], dtype: 'float32' });
});
