import { expect, it } from 'vitest';
import {
  ArgumentError,
  arange,
  Dropout,
  Embedding,
  LayerNorm,
  Linear,
  Module,
  ModuleList,
  memoryStats,
  ones,
  Sequential,
  scope,
  type Tensor,
  zeros,
} from '../../src/index.js';
import { optimFixture } from '../fixtures/optim.js';

class Attention extends Module {
  readonly proj_query = this.child('proj_query', new Linear({ inFeatures: 4, outFeatures: 4, bias: false }));
  readonly dconv_1 = this.child('dconv_1', new Linear({ inFeatures: 4, outFeatures: 2 }));
  readonly bias = this.parameter('bias', zeros([1, 2]));
}

class Block extends Module {
  readonly attn = this.child('attn', new Attention());
  readonly norm1 = this.child('norm1', new LayerNorm({ dim: 4 }));
}

/** The module of the same structure in make_optim.py. */
class Model extends Module {
  readonly embedding = this.child('in_emb', new Embedding({ count: 6, dim: 4 }));
  readonly layers = this.child('layers', new ModuleList([new Block(), new Block()]));
  readonly head = this.child(
    'head',
    new Sequential([
      new LayerNorm({ dim: 4 }),
      new Dropout({ p: 0.1 }),
      new Linear({ inFeatures: 4, outFeatures: 3 }),
    ]),
  );
  readonly frequencies = this.buffer('inv_freq', ones([2]));
  readonly scratch = this.buffer('scratch', ones([2]), { persistent: false });
  readonly output = this.child(
    'out_emb',
    new Linear({ inFeatures: 4, outFeatures: 6, weight: this.embedding.weight }),
  );
  readonly scale = this.parameter('scale', ones([1]));
}

class Holder extends Module {
  addParameter(name: string, value: Tensor) {
    return this.parameter(name, value);
  }
  addBuffer(name: string, value: Tensor) {
    return this.buffer(name, value);
  }
  addChild(name: string, value: Module) {
    return this.child(name, value);
  }
}

it("names everything as PyTorch does, in PyTorch's order, tied weights once", () => {
  const model = new Model();
  const { names } = optimFixture;
  expect([...model.namedParameters().keys()]).toEqual(names.parameters);
  expect([...model.namedBuffers().keys()]).toEqual(names.buffers);
  expect([...model.namedModules().keys()]).toEqual(names.modules);
  expect([...model.stateDict().keys()]).toEqual(names.state);
  expect(model.countParameters()).toBe(names.count);
});

it('keeps parameters alive past the scope they were made in, requiring grad', () => {
  const model = scope(() => new Model());
  expect(model.parameters().every((parameter) => !parameter.isDisposed && parameter.requiresGrad)).toBe(true);
  expect(model.frequencies.requiresGrad).toBe(false);
});

it('trains a tied weight through both of its uses', () => {
  const model = new Model();
  scope(() => {
    const hidden = model.embedding.forward(arange(0, 6));
    model.output.forward(hidden).sum().backward();
    // d/dW sum(W Wᵀ) = 2 * (column sums) in every row.
    const expected = model.embedding.weight.detach().sum(0).mul(2).expand([6, 4]);
    expect(model.embedding.weight.grad!.allclose(expected, 1e-5, 1e-5)).toBe(true);
  });
});

it('switches training and evaluation everywhere', () => {
  const model = new Model();
  model.eval();
  expect([...model.namedModules().values()].some((module) => module.training)).toBe(false);
  model.train();
  expect([...model.namedModules().values()].every((module) => module.training)).toBe(true);
});

it('loads a state dict by copying, converting the dtype', () => {
  const source = new Model().to({ dtype: 'float64' });
  const target = new Model();
  const weight = target.head.at(2)!.stateDict().get('weight')!;
  expect(target.loadStateDict(source.stateDict())).toEqual({ missing: [], unexpected: [] });
  expect(target.head.at(2)!.stateDict().get('weight')).toBe(weight);
  for (const [name, value] of target.stateDict()) {
    expect(value.dtype).toBe('float32');
    expect(value.tolist()).toEqual(source.stateDict().get(name)!.tolist());
  }
});

it('lists missing, unexpected and misshapen names together and changes nothing', () => {
  const model = new Model();
  const before = model.scale.item();
  const state = new Map(new Model().stateDict());
  state.set('scale', zeros([1]));
  state.set('layers.0.attn.proj_qery.weight', zeros([4, 4]));
  state.delete('layers.0.attn.proj_query.weight');
  state.set('head.2.bias', zeros([4]));
  expect(() => model.loadStateDict(state)).toThrow(
    'loadStateDict: missing: layers.0.attn.proj_query.weight; unexpected: layers.0.attn.proj_qery.weight ' +
      '(did you mean layers.0.attn.proj_query.weight?); wrong shape: head.2.bias (expected [3], received [4])',
  );
  expect(model.scale.item()).toBe(before);
});

it('passes over missing and unexpected names where asked to, but never over a wrong shape', () => {
  const model = new Model();
  const state = new Map([
    ['scale', zeros([1])],
    ['else', zeros([1])],
  ]);
  const report = model.loadStateDict(state, { strict: false });
  expect(report.unexpected).toEqual(['else']);
  expect(report.missing).toHaveLength(optimFixture.names.state.length - 1);
  expect(model.scale.item()).toBe(0);
  state.set('scale', zeros([2]));
  expect(() => model.loadStateDict(state, { strict: false })).toThrow('expected [1], received [2]');
});

it('shortens a long list of names', () => {
  expect(() => new Model().loadStateDict(new Map())).toThrow(/missing: scale, .* and 11 more$/);
});

it('converts in place: the same Tensor objects, another dtype, integers untouched', () => {
  const holder = new Holder();
  const weight = holder.addParameter('weight', ones([2]));
  const ids = holder.addBuffer('ids', arange(0, 2));
  weight.sum().backward();
  holder.to({ dtype: 'float64' });
  expect([weight.dtype, weight.requiresGrad, weight.grad, ids.dtype]).toEqual([
    'float64',
    true,
    null,
    'int64',
  ]);
  expect(weight.tolist()).toEqual([1, 1]);
  weight.sum().backward();
  expect(weight.grad!.dtype).toBe('float64');
});

it('forgets gradients and frees what it holds', () => {
  const before = memoryStats().liveTensors;
  const model = new Model();
  scope(() => model.scale.mul(2).sum().backward());
  model.zeroGrad();
  expect(model.scale.grad).toBeNull();
  model.dispose();
  expect(memoryStats().liveTensors).toBe(before);
  expect(model.scale.isDisposed).toBe(true);
});

it('refuses names that PyTorch would not write, names used twice, and things of the wrong kind', () => {
  const holder = new Holder();
  holder.addParameter('weight', ones([1]));
  expect(() => holder.addBuffer('weight', ones([1]))).toThrow('Holder has something named weight already');
  expect(() => holder.addParameter('a.b', ones([1]))).toThrow('expected a name without dots, received "a.b"');
  expect(() => holder.addChild('', new Holder())).toThrow('expected a name without dots, received ""');
  expect(() => holder.addParameter('list', [1, 2] as unknown as Tensor)).toThrow(
    'parameter list: expected a Tensor, received [1, 2]',
  );
  expect(() => holder.addParameter('computed', ones([1], { requiresGrad: true }).mul(2))).toThrow(
    ArgumentError,
  );
  expect(() => holder.addParameter('integers', arange(0, 2))).toThrow(
    'parameter integers: expected floating point, received int64[2]',
  );
  expect(() => holder.addChild('self', holder)).toThrow('child self: a module cannot be inside itself');
  expect(() => holder.loadStateDict({} as unknown as Map<string, Tensor>)).toThrow(
    'expected a Map of Tensors',
  );
});
