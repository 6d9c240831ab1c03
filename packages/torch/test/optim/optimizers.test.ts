import { describe, expect, it } from 'vitest';
import {
  Adam,
  AdamW,
  Linear,
  manualSeed,
  memoryStats,
  type Optimizer,
  type OptimizerState,
  randn,
  SGD,
  scope,
  type Tensor,
  tensor,
} from '../../src/index.js';
import { optimFixture } from '../fixtures/optim.js';

const { start, shapes, gradients } = optimFixture;
type Dtype = 'float32' | 'float64';

function startParameters(dtype: Dtype = 'float64'): Map<string, Tensor> {
  return new Map(
    Object.entries(start).map(([name, values]) => [
      name,
      tensor(values, { shape: shapes[name]!, dtype, requiresGrad: true }),
    ]),
  );
}

function setGradients(parameters: ReadonlyMap<string, Tensor>, step: number): void {
  for (const [name, parameter] of parameters) {
    const values = gradients[step]![name]!;
    parameter.grad =
      values === null ? null : tensor(values, { shape: shapes[name]!, dtype: parameter.dtype as Dtype });
  }
}

/** The fixture's AdamW: two groups, one with its own decay and rate. */
function adamWInGroups(parameters: ReadonlyMap<string, Tensor>, fused: boolean): AdamW {
  const pick = (...names: string[]) => new Map(names.map((name) => [name, parameters.get(name)!]));
  return new AdamW(
    [
      { parameters: pick('matrix', 'rare') },
      { parameters: pick('vector'), weightDecay: 0, learningRate: 0.03 },
    ],
    { learningRate: 0.01, beta1: 0.8, beta2: 0.95, epsilon: 1e-6, weightDecay: 0.1, fused },
  );
}

function fairseqAdam(parameters: ReadonlyMap<string, Tensor>, fused: boolean): Adam {
  const { lr, betas, eps, weight_decay } = optimFixture.Adam.options;
  const [beta1, beta2] = betas!;
  return new Adam(parameters, {
    learningRate: lr!,
    beta1,
    beta2,
    epsilon: eps!,
    weightDecay: weight_decay!,
    fused,
  });
}

function sgd(parameters: ReadonlyMap<string, Tensor>): SGD {
  const { lr, momentum, weight_decay } = optimFixture.SGD.options;
  return new SGD(parameters, { learningRate: lr!, momentum: momentum!, weightDecay: weight_decay! });
}

type Make = (parameters: ReadonlyMap<string, Tensor>) => Optimizer<never> | Adam | AdamW | SGD;
const CASES: [string, 'AdamW' | 'Adam' | 'SGD', Make][] = [
  ['AdamW, native', 'AdamW', (parameters) => adamWInGroups(parameters, true)],
  ['AdamW, foreach', 'AdamW', (parameters) => adamWInGroups(parameters, false)],
  ['Adam of fairseq, native', 'Adam', (parameters) => fairseqAdam(parameters, true)],
  ['Adam of fairseq, foreach', 'Adam', (parameters) => fairseqAdam(parameters, false)],
  ['SGD', 'SGD', sgd],
];

describe("step by step, PyTorch's numbers", () => {
  it.each(CASES)('%s in float64', (_, kind, make) => {
    expectHistory(kind, make, 'float64', 12);
  });

  it.each(CASES)('%s in float32', (_, kind, make) => {
    expectHistory(kind, make, 'float32', 5);
  });
});

function expectHistory(kind: 'AdamW' | 'Adam' | 'SGD', make: Make, dtype: Dtype, digits: number): void {
  const parameters = startParameters(dtype);
  const optimizer = make(parameters);
  for (const [step, expected] of optimFixture[kind].history.entries()) {
    setGradients(parameters, step);
    optimizer.step();
    for (const [name, parameter] of parameters)
      for (const [i, value] of Array.from(parameter.toTypedArray(), Number).entries())
        expect(value, `${name}[${i}] after step ${step}`).toBeCloseTo(expected[name]![i]!, digits);
  }
}

describe('saved and resumed', () => {
  /** As through a file: copies of the tensors, and the rest as JSON text. */
  function throughFile({ tensors, state }: OptimizerState): OptimizerState {
    return {
      tensors: new Map([...tensors].map(([name, value]) => [name, value.clone()])),
      state: JSON.parse(JSON.stringify(state)),
    };
  }

  it.each(CASES)('%s continues bit for bit', (_name, _kind, make) => {
    const straight = startParameters('float32');
    const optimizer = make(straight);
    for (let step = 0; step < 3; step++) {
      setGradients(straight, step);
      optimizer.step();
    }
    const copied = new Map(
      [...straight].map(([name, value]) => [
        name,
        tensor(value.toTypedArray(), { shape: value.shape, requiresGrad: true }),
      ]),
    );
    const resumed = make(copied);
    resumed.loadStateDict(throughFile(optimizer.stateDict()));
    for (let step = 3; step < 6; step++)
      for (const [parameters, one] of [[straight, optimizer] as const, [copied, resumed] as const]) {
        setGradients(parameters, step);
        one.step();
      }
    for (const [name, value] of straight) expect(copied.get(name)!.tolist()).toEqual(value.tolist());
  });

  it('carries settings that a schedule has changed', () => {
    const saved = adamWInGroups(startParameters(), true);
    saved.set({ learningRate: 0.123, beta1: 0.85 });
    const resumed = adamWInGroups(startParameters(), true);
    resumed.loadStateDict(throughFile(saved.stateDict()));
    expect(
      resumed.groups.map(({ learningRate, beta1, weightDecay }) => [learningRate, beta1, weightDecay]),
    ).toEqual([
      [0.123, 0.85, 0.1],
      [0.123, 0.85, 0],
    ]);
  });

  it('goes back to the start with the state of the start', () => {
    const parameters = startParameters();
    const optimizer = sgd(parameters);
    const fresh = throughFile(optimizer.stateDict());
    setGradients(parameters, 0);
    optimizer.step();
    expect(optimizer.stateDict().tensors.size).toBe(3);
    optimizer.loadStateDict(fresh);
    expect(optimizer.stateDict()).toEqual({ tensors: new Map(), state: fresh.state });
  });

  it('names everything that does not fit, and changes nothing', () => {
    const parameters = startParameters();
    const optimizer = fairseqAdam(parameters, true);
    setGradients(parameters, 0);
    optimizer.step();
    const before = throughFile(optimizer.stateDict());
    const damaged = throughFile(optimizer.stateDict());
    const tensors = new Map(damaged.tensors);
    tensors.set('vectr.firstMoment', tensors.get('vector.firstMoment')!);
    tensors.delete('vector.firstMoment');
    tensors.set('rare.secondMoment', randn([3]));
    expect(() => optimizer.loadStateDict({ tensors, state: damaged.state })).toThrow(
      'Adam: the saved state does not fit: tensor vector.firstMoment is missing; tensor vectr.firstMoment is unexpected ' +
        '(did you mean vector.firstMoment?); tensor rare.secondMoment has shape [3], expected [2]',
    );
    const after = optimizer.stateDict();
    expect(after.state).toEqual(before.state);
    for (const [name, value] of before.tensors) expect(after.tensors.get(name)!.equal(value)).toBe(true);
  });

  it.each([
    [null, "expected an optimiser's state, received null"],
    [{ groups: [], steps: {} }, 'optimiser state: expected kind, received undefined'],
    [{ kind: 'SGD', groups: [], steps: {} }, 'expected the state of Adam, received that of "SGD"'],
    [{ kind: 'Adam', groups: [], steps: {} }, 'Adam: expected 1 parameter groups, received 0'],
    [{ kind: 'Adam', groups: [3], steps: {} }, 'optimiser state: expected groups to be a list of settings'],
    [
      { kind: 'Adam', groups: [{}], steps: { rare: -1 } },
      'expected steps to hold whole numbers of at least 0',
    ],
    [
      { kind: 'Adam', groups: [{}], steps: { matrx: 0, rare: 0, vector: 0 } },
      'parameter matrix is missing; parameter matrx is unexpected (did you mean matrix?)',
    ],
    [
      { kind: 'Adam', groups: [{ beta1: 0.9 }], steps: { matrix: 0, rare: 0, vector: 0 } },
      'Adam: group 0 of the saved state lacks some of',
    ],
    [
      { kind: 'Adam', groups: [{ beta1: 'x' }], steps: { matrix: 0, rare: 0, vector: 0 } },
      'Adam: expected beta1 to be a finite number, received "x"',
    ],
  ])('a hostile state gives one line (%#)', (state, message) => {
    const optimizer = fairseqAdam(startParameters(), true);
    expect(() => optimizer.loadStateDict({ tensors: new Map(), state })).toThrow(message);
  });
});

it('gradientScale is the same as scaling the gradients, which stay as they are', () => {
  for (const fused of [true, false]) {
    const [scaled, plain] = [startParameters(), startParameters()];
    setGradients(scaled, 0);
    setGradients(plain, 0);
    for (const parameter of scaled.values()) parameter.grad = parameter.grad!.mul(1024);
    const before = scaled.get('vector')!.grad!.tolist();
    adamWInGroups(scaled, fused).step({ gradientScale: 1 / 1024 });
    adamWInGroups(plain, fused).step();
    for (const [name, value] of plain) expect(scaled.get(name)!.tolist()).toEqual(value.tolist());
    expect(scaled.get('vector')!.grad!.tolist()).toEqual(before);
  }
});

it('live tensors and memory stay flat over 1,000 steps', () => {
  manualSeed(0);
  const layer = new Linear({ inFeatures: 8, outFeatures: 4 });
  const optimizers = [
    new AdamW(layer.namedParameters(), { learningRate: 1e-3 }),
    new Adam(layer.parameters(), { learningRate: 1e-3, fused: false }),
    new SGD(layer.parameters(), { learningRate: 1e-3, momentum: 0.9 }),
  ];
  const step = () => {
    scope(() =>
      layer
        .forward(randn([2, 8]))
        .square()
        .mean()
        .backward(),
    );
    for (const optimizer of optimizers) optimizer.step();
    layer.zeroGrad();
  };
  step();
  const before = memoryStats();
  for (let i = 0; i < 1000; i++) step();
  expect(memoryStats().liveTensors).toBe(before.liveTensors);
  expect(memoryStats().allocatedBytes).toBe(before.allocatedBytes);
});

it('frees its own memory and leaves the parameters', () => {
  const parameters = startParameters();
  setGradients(parameters, 0);
  const before = memoryStats().liveTensors;
  const optimizer = adamWInGroups(parameters, true);
  optimizer.step();
  expect(memoryStats().liveTensors).toBe(before + 6);
  optimizer.dispose();
  expect(memoryStats().liveTensors).toBe(before);
  optimizer.zeroGrad();
  expect(parameters.get('matrix')!.grad).toBeNull();
});

it('parameters without names are known by their position', () => {
  const parameters = [...startParameters().values()];
  const optimizer = new SGD([{ parameters: parameters.slice(0, 1) }, { parameters: parameters.slice(1) }], {
    learningRate: 1,
  });
  expect(Object.keys(optimizer.stateDict().state.steps)).toEqual(['0', '1', '2']);
});

it('a refused step leaves the counts as they were', () => {
  const weight = tensor([1, 2], { requiresGrad: true });
  const optimizer = new AdamW([weight], { learningRate: 0.1 });
  weight.grad = tensor([1, 1]);
  optimizer.groups[0]!.beta1 = 2;
  expect(() => optimizer.step()).toThrow(/tls::adamw_: expected betas in \[0, 1\), received 2 and 0.999/);
  expect(optimizer.stateDict().state.steps).toEqual({ '0': 0 });
  expect(weight.tolist()).toEqual([1, 2]);
});

describe('wrong arguments give one line', () => {
  const weight = tensor([1, 2], { requiresGrad: true });
  it.each([
    [() => new AdamW([], { learningRate: 1 }), 'AdamW: expected parameters, received none'],
    [() => new AdamW([weight, weight], { learningRate: 1 }), 'AdamW: parameter 1 is listed twice'],
    [
      () => new AdamW([weight.mul(2)], { learningRate: 1 }),
      'AdamW: parameter 0 was computed from other tensors',
    ],
    [
      () => new AdamW([weight], { learningRate: -1 }),
      'AdamW: expected learningRate to be at least 0, received -1',
    ],
    [
      () => new AdamW([weight], { learningRate: Number.NaN }),
      'AdamW: expected learningRate to be a finite number, received NaN',
    ],
    [
      () => new Adam([weight], { learningRate: 1, beta2: 1 }),
      'Adam: expected beta2 to be at least 0 and less than 1, received 1',
    ],
    [
      () => new SGD([{ parameters: [weight], ...{ momentun: 1 } }], { learningRate: 1 }),
      'SGD: no setting named momentun (did you mean momentum?)',
    ],
    [
      () => new SGD(3 as unknown as Tensor[], { learningRate: 1 }),
      'expected parameters as a Map or a list of Tensors, received 3',
    ],
    [
      () => new SGD(new Map([['a', 1 as unknown as Tensor]]), { learningRate: 1 }),
      'SGD: parameter a: expected a Tensor, received 1',
    ],
    [
      () => new SGD([weight], { learningRate: 1 }).set({ momentum: -1 }),
      'SGD: expected momentum to be at least 0, received -1',
    ],
    [
      () => new SGD([weight], { learningRate: 1 }).step({ gradientScale: '1' as unknown as number }),
      'SGD: expected gradientScale to be a number, received "1"',
    ],
  ])('%#', (make, message) => {
    expect(make).toThrow(message);
  });
});
