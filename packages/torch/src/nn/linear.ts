import { empty } from '../creation.js';
import { ArgumentError } from '../errors.js';
import { linear, linearMaps } from '../functional.js';
import type { Tensor } from '../tensor.js';
import { kaimingUniform_, uniform_ } from './init.js';
import { Module } from './module.js';
import { requireSize } from './sizes.js';

export interface LinearOptions {
  inFeatures: number;
  outFeatures: number;
  /** Default true. */
  bias?: boolean;
  /** Uses this tensor (outFeatures, inFeatures) instead of a new one: tied weights. */
  weight?: Tensor;
}

/** x Wᵀ + b. Starts uniform within ±1/sqrt(inFeatures), weight and bias, as PyTorch's. */
export class Linear extends Module {
  /** (outFeatures, inFeatures) */
  readonly weight: Tensor;
  /** (outFeatures) */
  readonly bias: Tensor | null;

  constructor({ inFeatures, outFeatures, bias = true, weight }: LinearOptions) {
    super();
    const shape = [
      requireSize('Linear', 'outFeatures', outFeatures),
      requireSize('Linear', 'inFeatures', inFeatures),
    ];
    if (weight !== undefined && String(weight.shape) !== String(shape))
      throw new ArgumentError(`Linear: expected a weight of shape [${shape}], received [${weight.shape}]`);
    this.weight = this.parameter('weight', weight ?? kaimingUniform_(empty(shape), Math.sqrt(5)));
    const bound = 1 / Math.sqrt(inFeatures);
    this.bias = bias ? this.parameter('bias', uniform_(empty([outFeatures]), -bound, bound)) : null;
  }

  /** (…, inFeatures) → (…, outFeatures). */
  forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias);
  }
}

/** Several layers of one input, which is read once where that is possible: (…, inFeatures) → (…, outFeatures) each. */
export function forwardAll(layers: readonly Linear[], x: Tensor): readonly Tensor[] {
  return linearMaps(
    x,
    layers.map(({ weight }) => weight),
    layers.map(({ bias }) => bias),
  );
}
