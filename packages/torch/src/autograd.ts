/** Switches of autograd, and gradients as values. */
import { type DType, dtypeCode, dtypeOfCode } from './dtype.js';
import { ArgumentError } from './errors.js';
import { native } from './load.js';
import { guard, wrapHandle } from './operator.js';
import type { Tensor } from './tensor.js';

function withGradMode<T>(enabled: boolean, fn: () => T): T {
  const before = native().gradEnabled();
  native().setGradEnabled(enabled);
  try {
    const result = fn();
    if (result instanceof Promise) {
      result.catch(() => {});
      throw new ArgumentError(
        'noGrad: expected a function that finishes at once, received one that returns a promise',
      );
    }
    return result;
  } finally {
    native().setGradEnabled(before);
  }
}

/** Runs `fn` without building an autograd graph. */
export function noGrad<T>(fn: () => T): T {
  return withGradMode(false, fn);
}

/** Runs `fn` with the autograd graph on, inside a `noGrad`. */
export function enableGrad<T>(fn: () => T): T {
  return withGradMode(true, fn);
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
  const handles = (tensors: readonly Tensor[]) => tensors.map((tensor) => tensor.live('gradients'));
  const seeds = gradOutputs === undefined ? null : handles(gradOutputs);
  const found = guard('gradients', [outputs, inputs], () =>
    native().gradients(handles(outputs), handles(inputs), seeds, retainGraph, createGraph, allowUnused),
  );
  return found.map(wrapHandle);
}

/** Runs `fn` with matrix products and the like in a smaller dtype, as torch.autocast does. */
export function autocast<T>(deviceType: 'cpu' | 'cuda', dtype: DType, fn: () => T): T {
  const before = native().autocast(deviceType);
  native().setAutocast(deviceType, true, dtypeCode(dtype));
  try {
    return fn();
  } finally {
    native().setAutocast(deviceType, before.enabled, dtypeCode(dtypeOfCode(before.dtype)));
  }
}
