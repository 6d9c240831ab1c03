import { empty } from '../creation.js';
import { embedding } from '../functional.js';
import type { Tensor } from '../tensor.js';
import { normal_ } from './init.js';
import { Module } from './module.js';
import { requireSize } from './sizes.js';

export interface EmbeddingOptions {
  /** Number of vectors. */
  count: number;
  /** Length of each. */
  dim: number;
}

/** A table of vectors looked up by index. Starts N(0, 1), as PyTorch's. */
export class Embedding extends Module {
  /** (count, dim) */
  readonly weight: Tensor;

  constructor({ count, dim }: EmbeddingOptions) {
    super();
    const shape = [requireSize('Embedding', 'count', count), requireSize('Embedding', 'dim', dim)];
    this.weight = this.parameter('weight', normal_(empty(shape)));
  }

  /** Integer indices of any shape → (…, dim). */
  forward(indices: Tensor): Tensor {
    return embedding(indices, this.weight);
  }
}
