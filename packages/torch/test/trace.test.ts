import { describe, expect, test } from 'vitest';
import {
  call,
  cat,
  dispose,
  isTracedTensor,
  keep,
  memoryStats,
  randn,
  recordOps,
  scope,
  type Tensor,
  type Trace,
  type TracedValue,
  tensor,
  traceCalls,
  zeros,
} from '../src/index.js';

/** Traces in a scope of its own; constants are freed when `look` has seen the trace. */
function traced<T>(inputs: readonly Tensor[], fn: () => T, look: (trace: Trace<T>) => void): void {
  scope(() => {
    const trace = traceCalls(inputs, fn);
    look(trace);
    freeConstants(trace);
  });
}

function freeConstants({ constants }: Pick<Trace<unknown>, 'constants'>): void {
  for (const { value } of constants.values()) dispose(value);
}

function ids(values: readonly TracedValue[]): unknown[] {
  return values.map((value) => {
    if (isTracedTensor(value)) return value.id;
    return Array.isArray(value) ? ids(value) : value;
  });
}

const live = () => memoryStats().liveTensors;

describe('traceCalls', () => {
  test('gives the same number to the same tensor, wherever it is met', () => {
    scope(() => {
      const [a, b] = [randn([2, 3]), randn([2, 3])];
      traced(
        [a, b],
        () => cat([a, a.add(b), a], 0),
        (trace) => {
          expect(trace.inputs).toEqual([
            { id: 0, shape: [2, 3], dtype: 'float32' },
            { id: 1, shape: [2, 3], dtype: 'float32' },
          ]);
          expect(trace.calls.map(({ name }) => name)).toEqual(['aten::add.Tensor', 'aten::cat']);
          const [add, joined] = trace.calls;
          expect(ids(add!.inputs)).toEqual([0, 1]);
          expect(add!.outputs).toEqual([{ id: 2, shape: [2, 3], dtype: 'float32' }]);
          expect(ids(joined!.inputs)).toEqual([[0, 2, 0], 0]);
          expect(trace.find(trace.result)).toEqual({ id: 3, shape: [6, 3], dtype: 'float32' });
          expect(trace.find(a)).toBe(trace.inputs[0]);
        },
      );
    });
  });

  test('tells tensors apart that have equal elements, or the same elements', () => {
    scope(() => {
      const x = zeros([4]);
      traced(
        [x],
        () => [x.reshape([2, 2]), x.reshape([2, 2]), x.detach()] as const,
        (trace) => {
          const found = trace.result.map((view) => trace.find(view).id);
          expect(new Set(found).size).toBe(3);
          expect(trace.constants.size).toBe(0);
        },
      );
    });
  });

  test('lists every result of an operator that gives several', () => {
    scope(() => {
      const x = randn([5, 2]);
      traced(
        [x],
        () => x.split([2, 3], 0),
        (trace) => {
          const [split] = trace.calls;
          expect(split!.outputs.map(({ shape }) => shape)).toEqual([
            [2, 2],
            [3, 2],
          ]);
          expect(trace.result.map((part) => trace.find(part))).toEqual(split!.outputs);
        },
      );
    });
  });

  test('holds constants apart: that one is freed outside does not matter', () => {
    scope(() => {
      const x = zeros([2]);
      const weight = keep(tensor([1, 2]));
      const trace = traceCalls([x], () => x.add(weight).add(tensor([10, 20])));
      weight.dispose();
      const values = [...trace.constants.values()];
      expect(values.map(({ value }) => value.tolist())).toEqual([
        [1, 2],
        [10, 20],
      ]);
      expect(values[0]!.source).toBe(weight);
      freeConstants(trace);
    });
  });

  test('meets a constant once, however often it is used', () => {
    scope(() => {
      const x = zeros([2]);
      const weight = tensor([1, 2]);
      traced(
        [x],
        () => x.add(weight).mul(weight),
        (trace) => {
          expect(trace.constants.size).toBe(1);
          const [constant] = trace.constants.keys();
          expect(trace.calls.map(({ inputs }) => ids(inputs)[1])).toEqual([constant, constant]);
        },
      );
    });
  });

  test('keeps constants out of the scope of the run', () => {
    const before = live();
    const held: Tensor[] = [];
    scope(() => {
      const { constants } = traceCalls([], () => tensor([1, 2]).neg());
      held.push(...[...constants.values()].map(({ value }) => value));
    });
    expect(held.map((value) => value.tolist())).toEqual([[1, 2]]);
    expect(live()).toBe(before + 1);
    dispose(held);
    expect(live()).toBe(before);
  });

  test('frees its constants where the run throws', () => {
    const before = live();
    expect(() =>
      scope(() =>
        traceCalls([], () => {
          tensor([1]).add(tensor([2]));
          throw new RangeError('mine');
        }),
      ),
    ).toThrow('mine');
    expect(live()).toBe(before);
  });

  test('is seen by observers around it, and sees what observers inside it see', () => {
    scope(() => {
      const x = zeros([1]);
      const outer = recordOps(() => {
        x.neg();
        const trace = traceCalls([x], () => {
          const inner = recordOps(() => x.add(tensor([1])));
          const within = traceCalls([x], () => x.exp());
          freeConstants(within);
          return { inner, within };
        });
        x.abs();
        return trace;
      });
      const { result: trace, ops } = outer;
      expect(trace.result.inner.ops.map(({ name }) => name)).toEqual(['aten::add.Tensor']);
      expect(trace.result.within.calls.map(({ name }) => name)).toEqual(['aten::exp']);
      expect(trace.calls.map(({ name }) => name)).toEqual(['aten::add.Tensor', 'aten::exp']);
      // Holding the constant apart is no work of the program's.
      expect(ops.map(({ name }) => name)).toEqual([
        'aten::neg',
        'aten::add.Tensor',
        'aten::exp',
        'aten::abs',
      ]);
      freeConstants(trace);
    });
  });

  test('ends with the run, and with an error in it', () => {
    scope(() => {
      const x = zeros([1]);
      const trace = traceCalls([x], () => x.neg());
      x.abs();
      expect(trace.calls).toHaveLength(1);
      expect(() =>
        traceCalls([x], () => {
          throw new RangeError('mine');
        }),
      ).toThrow('mine');
      expect(recordOps(() => x.exp()).ops).toHaveLength(1);
      expect(trace.calls).toHaveLength(1);
    });
  });

  test.each([
    ['aten::add_.Tensor', (x: Tensor) => x.add_(x)],
    ['aten::zero_', (x: Tensor) => x.zero_()],
    ['aten::add.out', (x: Tensor) => call('aten::add.out', x, x, 1, x)],
  ])('refuses %s, which changes a tensor in place', (name, change) => {
    scope(() => {
      const x = zeros([2]);
      expect(() => traceCalls([x], () => change(x))).toThrow(`trace: ${name} changes a tensor in place`);
      expect(recordOps(() => x.neg()).ops).toHaveLength(1);
    });
  });

  test('takes operators whose names end in an underscore and change nothing', () => {
    scope(() => {
      const x = tensor([true, false]);
      traced(
        [x],
        () => call('aten::__and__.Scalar', x, true) as Tensor,
        (trace) => expect(trace.calls.map(({ name }) => name)).toEqual(['aten::__and__.Scalar']),
      );
    });
  });

  test('finds no tensor that the run neither met nor made', () => {
    scope(() => {
      const x = zeros([2]);
      traced(
        [x],
        () => x.neg(),
        (trace) => expect(() => trace.find(zeros([3]))).toThrow('trace: the run neither met nor made'),
      );
    });
  });

  test('keeps numbers, texts, lists and what was left out as they were given', () => {
    scope(() => {
      const x = randn([2, 3]);
      traced(
        [x],
        () => x.sum([1], true),
        ({ calls }) => {
          expect(ids(calls[0]!.inputs)).toEqual([0, [1], true]);
        },
      );
    });
  });
});
