import { describe, expect, it } from 'vitest';
import {
  type Block,
  checkpointSequence,
  Dropout,
  LayerNorm,
  Linear,
  Module,
  ModuleList,
  manualSeed,
  memoryStats,
  rand,
  randn,
  resetPeakMemory,
  scope,
  type Tensor,
  tensor,
} from '../../src/index.js';

const DIM = 32;

class FeedForward extends Module {
  readonly norm = this.child('norm', new LayerNorm({ dim: DIM }));
  readonly up = this.child('up', new Linear({ inFeatures: DIM, outFeatures: 4 * DIM }));
  readonly down = this.child('down', new Linear({ inFeatures: 4 * DIM, outFeatures: DIM }));
  readonly drop = this.child('drop', new Dropout({ p: 0.3 }));

  forward(x: Tensor): Tensor {
    return x.add(
      this.drop.forward(this.down.forward(this.drop.forward(this.up.forward(this.norm.forward(x)).gelu()))),
    );
  }
}

function makeLayers(): ModuleList<FeedForward> {
  manualSeed(5);
  return new ModuleList(Array.from({ length: 6 }, () => new FeedForward()));
}

function asBlocks(layers: Iterable<FeedForward>): Block<Tensor>[] {
  return Array.from(layers, (layer) => (x: Tensor) => ({ output: layer.forward(x), extra: x.sum() }));
}

interface Outcome {
  loss: number;
  gradients: Map<string, unknown>;
  nextRandom: unknown;
  peakBytes: number;
}

/** One training step; the input is computed from a parameter, so that its gradient has somewhere to go. */
function train(checkpointed: boolean): Outcome {
  const layers = makeLayers();
  const source = randn([8, 64, DIM], { requiresGrad: true });
  const before = memoryStats().allocatedBytes;
  resetPeakMemory();
  const loss = scope(() => {
    const input = source.mul(2);
    if (!checkpointed) {
      let x = input;
      for (const layer of layers) x = layer.forward(x);
      const total = x.square().mean();
      total.backward();
      return total.item();
    }
    const sequence = checkpointSequence(asBlocks(layers), input);
    const total = sequence.output.square().mean();
    total.backward();
    sequence.backward();
    return total.item();
  });
  const peakBytes = memoryStats().peakAllocatedBytes - before;
  const leaves = new Map([...layers.namedParameters(), ['source', source] as const]);
  const gradients = new Map([...leaves].map(([name, leaf]) => [name, leaf.grad!.tolist()]));
  return { loss, gradients, nextRandom: rand([3]).tolist(), peakBytes };
}

it('gives bit-equal loss, gradients and following random numbers, with dropout, in less memory', () => {
  const plain = train(false);
  const checkpointed = train(true);
  expect(checkpointed.loss).toBe(plain.loss);
  expect(checkpointed.gradients).toEqual(plain.gradients);
  expect(checkpointed.nextRandom).toEqual(plain.nextRandom);
  expect(checkpointed.peakBytes).toBeLessThan(0.5 * plain.peakBytes);
});

it('gives the extras of the forward pass', () => {
  const layers = makeLayers().eval();
  const x = randn([2, DIM]);
  const { extras, output } = checkpointSequence(asBlocks(layers), x);
  expect(extras).toHaveLength(6);
  expect(extras[0]!.item()).toBeCloseTo(x.sum().item(), 5);
  expect([output.isLeaf, output.requiresGrad]).toEqual([true, true]);
});

it('keeps the live count flat over steps', () => {
  const layers = makeLayers();
  const blocks = asBlocks(layers);
  const step = () =>
    scope(() => {
      const sequence = checkpointSequence(blocks, randn([2, DIM]));
      sequence.output.sum().backward();
      sequence.backward();
      layers.zeroGrad();
    });
  step();
  const before = memoryStats();
  for (let i = 0; i < 200; i++) step();
  expect(memoryStats().liveTensors).toBe(before.liveTensors);
  expect(memoryStats().allocatedBytes).toBe(before.allocatedBytes);
});

describe('edges', () => {
  it('no blocks: the gradient reaches the input', () => {
    const leaf = tensor([1, 2], { requiresGrad: true });
    const sequence = checkpointSequence([], leaf);
    sequence.output.mul(3).sum().backward();
    sequence.backward();
    expect(leaf.grad!.tolist()).toEqual([3, 3]);
  });

  it('a block that ignores its input stops the gradient', () => {
    const leaf = tensor([1, 2], { requiresGrad: true });
    const weight = tensor([4, 5], { requiresGrad: true });
    const sequence = checkpointSequence(
      [(x: Tensor) => ({ output: x.mul(2), extra: null }), () => ({ output: weight.mul(2), extra: null })],
      leaf,
    );
    sequence.output.sum().backward();
    sequence.backward();
    expect([leaf.grad, weight.grad!.tolist()]).toEqual([null, [2, 2]]);
  });

  it('backward before the loss, or twice, is refused in one line', () => {
    const sequence = checkpointSequence(asBlocks(makeLayers()), randn([2, DIM]));
    expect(() => sequence.backward()).toThrow('no gradient has reached the output');
    sequence.output.sum().backward();
    sequence.backward();
    expect(() => sequence.backward()).toThrow('no gradient has reached the output');
  });

  it('integers are refused', () => {
    expect(() => checkpointSequence([], tensor([1]).to('int64'))).toThrow(
      'checkpointSequence: expected a floating-point input, received int64[1]',
    );
  });
});
