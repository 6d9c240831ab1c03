/**
 * Tracing one run: every operator with the very tensors that went in and came out, so that the run can be written down as a graph.
 * `recordOps` (record.ts) has names and shapes alone.
 */
import { ArgumentError } from './errors.js';
import { dispose, keep } from './handle.js';
import { observeCalls, operatorSchema } from './operator.js';
import { Tensor } from './tensor.js';

/** A tensor of the run: the same number stands for the same tensor. */
export interface TracedTensor {
  readonly id: number;
  readonly shape: readonly number[];
  readonly dtype: string;
}

export type TracedValue =
  | TracedTensor
  | readonly TracedValue[]
  | string
  | number
  | bigint
  | boolean
  | null
  | undefined;

/** One operator call, in the order of execution. */
export interface TracedCall {
  /** `aten::linear`, `aten::bmm`, … */
  readonly name: string;
  readonly inputs: readonly TracedValue[];
  /** One tensor, or as many as the operator gives. */
  readonly outputs: readonly TracedTensor[];
}

export interface TracedConstant {
  /** A hold of its own on the elements; the caller's to free. */
  readonly value: Tensor;
  /** The tensor that was met; it may be freed since. */
  readonly source: Tensor;
}

export interface Trace<T> {
  readonly result: T;
  readonly calls: readonly TracedCall[];
  /** The number of each tensor given as an input. */
  readonly inputs: readonly TracedTensor[];
  /** Tensors that were there before, or were made from numbers in TypeScript. */
  readonly constants: ReadonlyMap<number, TracedConstant>;
  /** The traced tensor that a tensor of the result is. @throws ArgumentError for one that the run neither met nor made */
  find(tensor: Tensor): TracedTensor;
}

export function isTracedTensor(value: TracedValue): value is TracedTensor {
  return value !== null && typeof value === 'object' && 'id' in value;
}

/**
 * Runs `fn` and lists every operator called through this package. What `fn` returns, and the constants, are the caller's to free.
 *
 * @throws ArgumentError for an operator that changes a tensor: what that is would then depend on when it is looked at
 */
export function traceCalls<T>(inputs: readonly Tensor[], fn: () => T): Trace<T> {
  const tracer = new Tracer(inputs);
  const outer = observeCalls(null);
  observeCalls((name, values, result) => {
    outer?.(name, values, result);
    tracer.call(name, values, result);
  });
  try {
    return tracer.finish(fn());
  } catch (error) {
    tracer.freeConstants();
    throw error;
  } finally {
    observeCalls(outer);
  }
}

class Tracer {
  private readonly calls: TracedCall[] = [];
  private readonly constants = new Map<number, TracedConstant>();
  private readonly known = new WeakMap<Tensor, TracedTensor>();
  private readonly inputs: readonly TracedTensor[];
  private count = 0;

  constructor(inputs: readonly Tensor[]) {
    this.inputs = inputs.map((input) => this.introduce(input));
  }

  call(name: string, values: readonly unknown[], result: unknown): void {
    if (changesItsInputs(name))
      throw new ArgumentError(`trace: ${name} changes a tensor in place, which a graph cannot say`, name);
    const inputs = values.map((value) => this.seen(value));
    const results = Array.isArray(result) ? result : [result];
    const outputs = results.filter((one) => one instanceof Tensor).map((one) => this.introduce(one));
    this.calls.push({ name, inputs, outputs });
  }

  finish<T>(result: T): Trace<T> {
    const find = (tensor: Tensor): TracedTensor => {
      const found = this.known.get(tensor);
      if (found !== undefined) return found;
      throw new ArgumentError(`trace: the run neither met nor made ${String(tensor)}`);
    };
    return { result, calls: this.calls, inputs: this.inputs, constants: this.constants, find };
  }

  freeConstants(): void {
    for (const { value } of this.constants.values()) dispose(value);
  }

  private introduce(tensor: Tensor): TracedTensor {
    const traced = { id: this.count++, shape: tensor.shape, dtype: tensor.dtype };
    this.known.set(tensor, traced);
    return traced;
  }

  private seen(value: unknown): TracedValue {
    if (value instanceof Tensor) {
      const known = this.known.get(value);
      if (known !== undefined) return known;
      const constant = this.introduce(value);
      this.constants.set(constant.id, { value: heldApart(value), source: value });
      return constant;
    }
    if (Array.isArray(value)) return value.map((item) => this.seen(item));
    return value as TracedValue;
  }
}

/** A schema marks what is written to: `Tensor(a!) self`. */
function changesItsInputs(name: string): boolean {
  return /\(\w+!/.test(operatorSchema(name));
}

/** The same elements under another handle, which no scope frees. */
function heldApart(tensor: Tensor): Tensor {
  const observer = observeCalls(null);
  try {
    return keep(tensor.detach());
  } finally {
    observeCalls(observer);
  }
}
