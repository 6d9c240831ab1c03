import { ones, zeros } from '../creation.js';
import { ArgumentError } from '../errors.js';
import { layerNorm } from '../functional.js';
import { describeValue } from '../operator.js';
import type { Tensor } from '../tensor.js';
import { Module } from './module.js';
import { requireSize } from './sizes.js';

export interface LayerNormOptions {
  /** Size of the last dimension. */
  dim: number;
  /** Added to the variance. Default 1e-5. */
  epsilon?: number;
}

/** Normalises the last dimension (biased variance), then scales by `weight` and shifts by `bias`. */
export class LayerNorm extends Module {
  /** (dim), starts at 1 */
  readonly weight: Tensor;
  /** (dim), starts at 0 */
  readonly bias: Tensor;
  readonly epsilon: number;

  constructor({ dim, epsilon = 1e-5 }: LayerNormOptions) {
    super();
    requireSize('LayerNorm', 'dim', dim);
    if (!(epsilon >= 0))
      throw new ArgumentError(
        `LayerNorm: expected epsilon of at least 0, received ${describeValue(epsilon)}`,
      );
    this.weight = this.parameter('weight', ones([dim]));
    this.bias = this.parameter('bias', zeros([dim]));
    this.epsilon = epsilon;
  }

  /** (…, dim) → (…, dim). */
  forward(x: Tensor): Tensor {
    // Autocast gives smaller types: computed in that of the weights, as on CUDA. libtorch 1.13 takes no mixture on the CPU.
    const same = x.dtype === this.weight.dtype ? x : x.to(this.weight.dtype);
    return layerNorm(same, this.weight.shape, this.weight, this.bias, this.epsilon);
  }
}
