import { ArgumentError } from '../errors.js';
import { dropout } from '../functional.js';
import { describeValue } from '../operator.js';
import type { Tensor } from '../tensor.js';
import { Module } from './module.js';

export interface DropoutOptions {
  /** Probability that an element is zeroed while training, in [0, 1]. */
  p: number;
}

/** While training, zeroes elements at random and scales the rest by 1/(1-p); otherwise the identity. */
export class Dropout extends Module {
  readonly p: number;

  constructor({ p }: DropoutOptions) {
    super();
    if (!(p >= 0 && p <= 1))
      throw new ArgumentError(`Dropout: expected p between 0 and 1, received ${describeValue(p)}`);
    this.p = p;
  }

  forward(x: Tensor): Tensor {
    return dropout(x, this.p, this.training);
  }
}
