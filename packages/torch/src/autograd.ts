/** Switches of autograd, and gradients as values. */
import { type DType, dtypeCode } from './dtype.js';
import { ArgumentError } from './errors.js';
import { TensorHandle } from './handle.js';
import { native } from './load.js';
import { describeValue, guard, wrapHandle } from './operator.js';
import type { Tensor } from './tensor.js';

/** A switch that is thrown back when `fn` returns would be thrown back too early for a promise. */
function finishesAtOnce<T>(name: string, result: T): T {
  if (!(result instanceof Promise)) return result;
  result.catch(() => {});
  throw new ArgumentError(
    `${name}: expected a function that finishes at once, received one that returns a promise`,
  );
}

function withGradMode<T>(name: string, enabled: boolean, fn: () => T): T {
  const before = native().gradEnabled();
  native().setGradEnabled(enabled);
  try {
    return finishesAtOnce(name, fn());
  } finally {
    native().setGradEnabled(before);
  }
}

/** Runs `fn` without building an autograd graph. */
export function noGrad<T>(fn: () => T): T {
  return withGradMode('noGrad', false, fn);
}

/** Runs `fn` with the autograd graph on, inside a `noGrad`. */
export function enableGrad<T>(fn: () => T): T {
  return withGradMode('enableGrad', true, fn);
}

export function isGradEnabled(): boolean {
  return native().gradEnabled();
}

export interface GradientOptions {
  /** Seeds of the outputs; scalars need none. */
  gradOutputs?: readonly Tensor[];
  retainGraph?: boolean;
  /** Makes the gradients themselves differentiable. */
  createGraph?: boolean;
  /** Gives null for an input that the outputs do not depend on, instead of an error. */
  allowUnused?: boolean;
}

/** Gradients of the outputs' sum with respect to the inputs, without touching `.grad`. */
export function gradients(
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  options: GradientOptions = {},
): (Tensor | null)[] {
  const { gradOutputs, createGraph = false, retainGraph = createGraph, allowUnused = false } = options;
  const seeds = gradOutputs === undefined ? null : handlesOf('gradOutputs', gradOutputs);
  if (seeds !== null && seeds.length !== outputs.length)
    throw new ArgumentError(
      `gradients: ${outputs.length} outputs need as many gradOutputs, received ${seeds.length}`,
    );
  const [from, to] = [handlesOf('outputs', outputs), handlesOf('inputs', inputs)];
  return guard('gradients', [outputs, inputs], () =>
    native().gradients(from, to, seeds, retainGraph, createGraph, allowUnused),
  ).map(wrapHandle);
}

function handlesOf(what: string, tensors: readonly Tensor[]): number[] {
  const handles: number[] = [];
  for (const tensor of Array.isArray(tensors) ? tensors : [tensors]) {
    if (!(tensor instanceof TensorHandle))
      throw new ArgumentError(
        `gradients: expected an array of Tensors as ${what}, received ${describeValue(tensors)}`,
      );
    handles.push(tensor.live('gradients'));
  }
  return handles;
}

/** Runs `fn` with matrix products and the like in a smaller dtype, as torch.autocast does. */
export function autocast<T>(deviceType: 'cpu' | 'cuda', dtype: DType, fn: () => T): T {
  const code = dtypeCode(dtype);
  const set = (enabled: boolean, to: number) =>
    guard('autocast', [deviceType, dtype], () => native().setAutocast(deviceType, enabled, to));
  const before = guard('autocast', [deviceType, dtype], () => native().autocast(deviceType));
  set(true, code);
  try {
    return finishesAtOnce('autocast', fn());
  } finally {
    set(before.enabled, before.dtype);
  }
}
