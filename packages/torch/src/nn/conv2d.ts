import { empty } from '../creation.js';
import { ArgumentError } from '../errors.js';
import { conv2d } from '../functional.js';
import type { Tensor } from '../tensor.js';
import { kaimingUniform_, uniform_ } from './init.js';
import { Module } from './module.js';
import { requireSize } from './sizes.js';

export interface Conv2dOptions {
  inChannels: number;
  outChannels: number;
  /** Side of the square kernel. */
  kernelSize: number;
  /** Default 1. */
  stride?: number;
  /** Zeros around the map. Default 0. */
  padding?: number;
  /** Channels are cut into this many groups that do not see each other. Default 1. */
  groups?: number;
  /** Default true. */
  bias?: boolean;
}

/** A two-dimensional convolution. Starts uniform within ±1/sqrt(fan in), weight and bias, as PyTorch's. */
export class Conv2d extends Module {
  /** (outChannels, inChannels / groups, kernelSize, kernelSize) */
  readonly weight: Tensor;
  /** (outChannels) */
  readonly bias: Tensor | null;
  private readonly stride: number;
  private readonly padding: number;
  private readonly groups: number;

  constructor(options: Conv2dOptions) {
    super();
    const { inChannels, outChannels, kernelSize, stride = 1, padding = 0, groups = 1, bias = true } = options;
    for (const [name, value] of Object.entries({ inChannels, outChannels, kernelSize, stride, groups }))
      requireSize('Conv2d', name, value);
    if (inChannels % groups !== 0 || outChannels % groups !== 0)
      throw new ArgumentError(
        `Conv2d: expected groups to divide ${inChannels} and ${outChannels} channels, received ${groups}`,
      );
    const shape = [outChannels, inChannels / groups, kernelSize, kernelSize];
    this.weight = this.parameter('weight', kaimingUniform_(empty(shape), Math.sqrt(5)));
    const bound = 1 / Math.sqrt((inChannels / groups) * kernelSize ** 2);
    this.bias = bias ? this.parameter('bias', uniform_(empty([outChannels]), -bound, bound)) : null;
    [this.stride, this.padding, this.groups] = [stride, padding, groups];
  }

  /** (B, inChannels, height, width) → (B, outChannels, …). */
  forward(x: Tensor): Tensor {
    const { stride, padding, groups } = this;
    return conv2d(x, this.weight, this.bias, { stride, padding, groups });
  }
}
