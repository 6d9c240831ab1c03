import { describe, expect, it } from 'vitest';
import {
  Dropout,
  Embedding,
  empty,
  LayerNorm,
  Linear,
  ModuleList,
  manualSeed,
  ones,
  randn,
  Sequential,
  tensor,
} from '../../src/index.js';
import { gradcheck } from '../gradcheck.js';

function input(...shape: number[]) {
  return randn(shape, { dtype: 'float64', requiresGrad: true });
}

describe('gradients against central differences', () => {
  it('Linear', () => {
    const layer = new Linear({ inFeatures: 3, outFeatures: 2 }).to({ dtype: 'float64' });
    const x = input(2, 2, 3);
    gradcheck(() => layer.forward(x).tanh(), [x, ...layer.parameters()]);
  });

  it('Linear without bias', () => {
    const layer = new Linear({ inFeatures: 3, outFeatures: 2, bias: false }).to({ dtype: 'float64' });
    expect(layer.bias).toBeNull();
    const x = input(2, 3);
    gradcheck(() => layer.forward(x).tanh(), [x, layer.weight]);
  });

  it('Embedding, an index used twice', () => {
    const layer = new Embedding({ count: 4, dim: 3 }).to({ dtype: 'float64' });
    const indices = tensor([
      [0, 2],
      [2, 3],
    ]).to('int64');
    gradcheck(() => layer.forward(indices).sin(), [layer.weight]);
  });

  it('LayerNorm', () => {
    const layer = new LayerNorm({ dim: 4, epsilon: 1e-3 }).to({ dtype: 'float64' });
    const x = input(3, 4);
    gradcheck(() => layer.forward(x).tanh(), [x, layer.weight, layer.bias]);
  });

  it('Dropout under a fixed seed', () => {
    const layer = new Dropout({ p: 0.4 });
    const x = input(4, 3);
    gradcheck(() => {
      manualSeed(3);
      return layer.forward(x).square();
    }, [x]);
  });

  it('Sequential', () => {
    const model = new Sequential([
      new Linear({ inFeatures: 2, outFeatures: 3 }),
      new LayerNorm({ dim: 3 }),
    ]).to({ dtype: 'float64' });
    const x = input(2, 2);
    gradcheck(() => model.forward(x), [x, ...model.parameters()]);
  });

  it('notices a wrong gradient', () => {
    const x = input(3);
    expect(() => gradcheck(() => x.mul(x.detach()), [x])).toThrow(/d output\[0\] \/ d input0\[0\]/);
  });
});

it('LayerNorm normalises with the biased variance plus epsilon', () => {
  const layer = new LayerNorm({ dim: 2, epsilon: 3 });
  expect(layer.forward(tensor([[-1, 1]])).tolist()).toEqual([[-0.5, 0.5]]);
});

it('Dropout keeps the mean while training and is the identity in evaluation', () => {
  manualSeed(0);
  const layer = new Dropout({ p: 0.25 });
  const x = ones([100_000]);
  const dropped = layer.forward(x);
  expect(dropped.eq(0).to('float32').mean().item()).toBeCloseTo(0.25, 2);
  expect(dropped.max().item()).toBeCloseTo(1 / 0.75, 6);
  expect(layer.eval().forward(x)).toBe(x);
});

it('ModuleList is indexed and iterated', () => {
  const first = new Dropout({ p: 0 });
  const second = new Dropout({ p: 0.5 });
  const list = new ModuleList([first, second]);
  expect([list.length, list.at(0), list.at(-1), list.at(2)]).toEqual([2, first, second, undefined]);
  expect([...list]).toEqual([first, second]);
});

it.each([
  [
    () => new Linear({ inFeatures: 0, outFeatures: 2 }),
    'Linear: expected inFeatures to be a whole number of at least 1, received 0',
  ],
  [
    () => new Linear({ inFeatures: 2, outFeatures: 1.5 }),
    'Linear: expected outFeatures to be a whole number of at least 1, received 1.5',
  ],
  [
    () => new Linear({ inFeatures: 2, outFeatures: 3, weight: empty([2, 3]) }),
    'Linear: expected a weight of shape [3,2], received [2,3]',
  ],
  [
    () => new Embedding({ count: Number.NaN, dim: 2 }),
    'Embedding: expected count to be a whole number of at least 1, received NaN',
  ],
  [
    () => new LayerNorm({ dim: -1 }),
    'LayerNorm: expected dim to be a whole number of at least 1, received -1',
  ],
  [() => new LayerNorm({ dim: 2, epsilon: -1 }), 'LayerNorm: expected epsilon of at least 0, received -1'],
  [() => new Dropout({ p: 1.5 }), 'Dropout: expected p between 0 and 1, received 1.5'],
])('wrong options give one line (%#)', (make, message) => {
  expect(make).toThrow(message);
});

it('wrong inputs name the operator and the shapes', () => {
  expect(() => new Linear({ inFeatures: 3, outFeatures: 2 }).forward(ones([2, 4]))).toThrow(
    /aten::linear: .*float32\[2,4\]/s,
  );
  expect(() => new Embedding({ count: 3, dim: 2 }).forward(tensor([5]).to('int64'))).toThrow(/out of range/);
  expect(() => new LayerNorm({ dim: 3 }).forward(ones([2, 4]))).toThrow(
    /aten::layer_norm: .*float32\[2,4\]/s,
  );
});
