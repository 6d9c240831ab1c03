import { empty } from '../creation.js';
import { ArgumentError } from '../errors.js';
import { describeValue } from '../operator.js';
import type { Tensor } from '../tensor.js';
import { Module } from './module.js';

export interface DropPathOptions {
  /** Probability that a sample is zeroed while training, in [0, 1). */
  p: number;
}

/**
 * Stochastic depth (Huang et al. 2016): while training, zeroes whole samples of a residual branch at random and scales the rest by
 * 1/(1-p); otherwise the identity.
 */
export class DropPath extends Module {
  readonly p: number;

  constructor({ p }: DropPathOptions) {
    super();
    if (!(p >= 0 && p < 1))
      throw new ArgumentError(`DropPath: expected p of at least 0 and below 1, received ${describeValue(p)}`);
    this.p = p;
  }

  /** (B, …) → (B, …). */
  forward(x: Tensor): Tensor {
    if (this.p === 0 || !this.training) return x;
    const keep = 1 - this.p;
    const shape = [x.size(0), ...Array<number>(x.ndim - 1).fill(1)];
    const kept = empty(shape, { dtype: 'float32', device: x.device }).uniform_(0, 1).lt(keep);
    return x.mul(kept.to(x.dtype).div(keep));
  }
}
