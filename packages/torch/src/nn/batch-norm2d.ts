import { noGrad } from '../autograd.js';
import { ones, zeros } from '../creation.js';
import { ArgumentError } from '../errors.js';
import { batchNorm } from '../functional.js';
import { describeValue } from '../operator.js';
import type { Tensor } from '../tensor.js';
import { Module } from './module.js';
import { requireSize } from './sizes.js';

export interface BatchNorm2dOptions {
  channels: number;
  /** Added to the variance. Default 1e-5. */
  epsilon?: number;
  /** Part of the newest batch in the running statistics, in (0, 1]. Default 0.1. */
  momentum?: number;
}

/**
 * Normalises each channel, then scales by `weight` and shifts by `bias` (Ioffe and Szegedy 2015). Training takes mean and biased
 * variance of the batch and moves the running ones towards them, in place and outside autograd (the running variance is the
 * unbiased one, as PyTorch's); evaluation takes the running ones, so that an image's result does not depend on its batch.
 *
 * The running statistics are buffers: in the state dict, no parameters. A forward pass that is recomputed (checkpointing) moves them twice.
 */
export class BatchNorm2d extends Module {
  /** (channels), starts at 1 */
  readonly weight: Tensor;
  /** (channels), starts at 0 */
  readonly bias: Tensor;
  /** (channels), starts at 0 */
  readonly running_mean: Tensor;
  /** (channels), starts at 1 */
  readonly running_var: Tensor;
  /** () int64: forward passes in training */
  readonly num_batches_tracked: Tensor;
  readonly epsilon: number;
  readonly momentum: number;

  constructor({ channels, epsilon = 1e-5, momentum = 0.1 }: BatchNorm2dOptions) {
    super();
    requireSize('BatchNorm2d', 'channels', channels);
    if (!(epsilon >= 0))
      throw new ArgumentError(
        `BatchNorm2d: expected epsilon of at least 0, received ${describeValue(epsilon)}`,
      );
    if (!(momentum > 0 && momentum <= 1))
      throw new ArgumentError(
        `BatchNorm2d: expected momentum above 0 and at most 1, received ${describeValue(momentum)}`,
      );
    this.weight = this.parameter('weight', ones([channels]));
    this.bias = this.parameter('bias', zeros([channels]));
    this.running_mean = this.buffer('running_mean', zeros([channels]));
    this.running_var = this.buffer('running_var', ones([channels]));
    this.num_batches_tracked = this.buffer('num_batches_tracked', zeros([], { dtype: 'int64' }));
    [this.epsilon, this.momentum] = [epsilon, momentum];
  }

  /**
   * (B, channels, height, width) → the same.
   *
   * @throws ArgumentError for another shape; in training for a single value a channel, which has no variance
   */
  forward(x: Tensor): Tensor {
    this.checkShape(x);
    if (this.training) noGrad(() => this.num_batches_tracked.add_(1));
    // Autocast gives smaller types: computed in that of the weights, as LayerNorm is.
    const same = x.dtype === this.weight.dtype ? x : x.to(this.weight.dtype);
    const { weight, bias, running_mean: mean, running_var: variance, training, momentum, epsilon } = this;
    // Of four dimensions libtorch's gradients are wrong on the CPU for a batch of one whose channels lie last in memory.
    const flat = same.reshape([x.size(0), x.size(1), -1]).contiguous();
    return batchNorm(flat, { weight, bias, mean, variance, training, momentum, epsilon }).reshape(x.shape);
  }

  private checkShape({ shape }: Tensor): void {
    const channels = this.weight.numel;
    if (shape.length !== 4 || shape[1] !== channels)
      throw new ArgumentError(
        `BatchNorm2d: expected shape (batch, ${channels}, height, width), received (${shape.join(', ')})`,
      );
    const values = shape[0]! * shape[2]! * shape[3]!;
    if (this.training && values < 2)
      throw new ArgumentError(
        `BatchNorm2d: expected at least 2 values per channel in training, received ${values} in shape (${shape.join(', ')})`,
      );
  }
}
