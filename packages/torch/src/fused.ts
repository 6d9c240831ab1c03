/**
 * Operators of our own (`packages/torch/native/kernels/`) that take the place of several of libtorch's, and whether they are used.
 *
 * What they replace is what they answer to in the tests, what an export records, and what other devices and types take.
 */
import { isGradEnabled } from './autograd.js';
import { operator } from './operator.js';
import type { Tensor } from './tensor.js';

let wanted = process.env.TRANSFORMER_LS_OPERATORS !== 'composed';

/** Switches fused operators on (as at the start, unless TRANSFORMER_LS_OPERATORS is `composed`) or off. */
export function setFusedOperators(on: boolean): void {
  wanted = on;
}

export function fusedOperatorsWanted(): boolean {
  return wanted;
}

const available = operator<(like: Tensor, headSize: number) => boolean>('tls::available');

/** Whether fused operators are to be used, and exist for the device and type of `like` and of what is computed of it. */
export function fusedFor(like: Tensor): boolean {
  return wanted && like.device === 'cpu' && available(like, 1);
}

/** Rows from which on packing a weight pays, and numbers of a weight up to which it stays in a cache. */
const LEAST_ROWS = 128;
const LARGEST_WEIGHT = 2 ** 20;

const mapsOp =
  operator<(input: Tensor, weights: readonly Tensor[], biases: readonly Tensor[]) => readonly Tensor[]>(
    'tls::linear_maps',
  );
const feedForwardOp =
  operator<
    (
      input: Tensor,
      first: Tensor,
      firstBias: Tensor | null,
      second: Tensor,
      secondBias: Tensor | null,
    ) => Tensor
  >('tls::feed_forward');
const layerNormOp =
  operator<(input: Tensor, weight: Tensor | null, bias: Tensor | null, epsilon: number) => Tensor>(
    'tls::layer_norm',
  );
const geluOp = operator<(input: Tensor) => Tensor>('tls::gelu');

/** x W^T + b for each of several weights (out, in) and their biases, all there or none; null where libtorch does it as well. */
export function fusedLinearMaps(
  input: Tensor,
  weights: readonly Tensor[],
  biases: readonly (Tensor | null)[],
): readonly Tensor[] | null {
  const given = biases.filter((bias) => bias !== null);
  const alike = given.length === 0 || given.length === weights.length;
  return alike && fusedMapsFor(input, weights) ? mapsOp(input, weights, given) : null;
}

/** Whether fused operators are to be used for maps (…, in) → (…, out) by these weights: many rows, and weights that stay in a cache. */
export function fusedMapsFor(input: Tensor, weights: readonly Tensor[]): boolean {
  return (
    fusedFor(input) &&
    input.ndim > 1 &&
    input.size(-1) > 0 &&
    input.numel >= LEAST_ROWS * input.size(-1) &&
    weights.every(({ dtype, numel }) => dtype === input.dtype && numel <= LARGEST_WEIGHT)
  );
}

/** One linear map of `fusedFeedForward`. */
export interface LinearWeights {
  /** (out, in) */
  readonly weight: Tensor;
  /** (out) */
  readonly bias: Tensor | null;
}

/** GELU between two linear maps; null where gradients are wanted, or there is none of ours. */
export function fusedFeedForward(input: Tensor, first: LinearWeights, second: LinearWeights): Tensor | null {
  if (isGradEnabled() || !fusedMapsFor(input, [first.weight, second.weight])) return null;
  return feedForwardOp(input, first.weight, first.bias, second.weight, second.bias);
}

/** Of the last dimension; null where there is none of ours. */
export function fusedLayerNorm(
  input: Tensor,
  weight: Tensor | null,
  bias: Tensor | null,
  epsilon: number,
): Tensor | null {
  const same = (weight ?? input).dtype === input.dtype && (bias ?? input).dtype === input.dtype;
  return same && input.ndim > 0 && input.numel > 0 && fusedFor(input)
    ? layerNormOp(input, weight, bias, epsilon)
    : null;
}

export function fusedGelu(input: Tensor): Tensor | null {
  return fusedFor(input) ? geluOp(input) : null;
}
