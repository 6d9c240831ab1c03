/** Functions of several tensors, under the names of `torch` and `torch.nn.functional`. */
import { fusedFeedForward, fusedGelu, fusedLayerNorm, fusedLinearMaps, type LinearWeights } from './fused.js';
import { scope } from './handle.js';
import { operator } from './operator.js';
import { type Reduction, reductionCode, type Tensor } from './tensor.js';

const catOp = operator('aten::cat');
const stackOp = operator('aten::stack');
const einsumOp = operator('aten::einsum');
const linearOp = operator('aten::linear');
const embeddingOp = operator('aten::embedding');
const layerNormOp = operator('aten::layer_norm');
const batchNormOp = operator('aten::batch_norm');
const dropoutOp = operator('aten::dropout');
const crossEntropyOp = operator('aten::cross_entropy_loss');
const conv2dOp = operator('aten::conv2d');
const whereOp = operator('aten::where.self');

/** Joined along a dimension that exists. */
export function cat(tensors: readonly Tensor[], dim = 0): Tensor {
  return catOp(tensors, dim);
}

/** Joined along a new dimension. */
export function stack(tensors: readonly Tensor[], dim = 0): Tensor {
  return stackOp(tensors, dim);
}

/** Sum of products in Einstein's notation: `einsum('bld,dh->blh', x, w)`. */
export function einsum(equation: string, ...tensors: Tensor[]): Tensor {
  return einsumOp(equation, tensors);
}

/** x W^T + b: input (…, in), weight (out, in), bias (out). */
export function linear(input: Tensor, weight: Tensor, bias: Tensor | null = null): Tensor {
  return fusedLinearMaps(input, [weight], [bias])?.[0] ?? linearOp(input, weight, bias);
}

/** The same for several weights and their biases, reading the input once where that is possible. */
export function linearMaps(
  input: Tensor,
  weights: readonly Tensor[],
  biases: readonly (Tensor | null)[],
): readonly Tensor[] {
  const fused = fusedLinearMaps(input, weights, biases);
  return fused ?? weights.map((weight, i) => linear(input, weight, biases[i] ?? null));
}

/** x Phi(x), Phi the distribution function of the normal distribution. */
export function gelu(input: Tensor): Tensor {
  return fusedGelu(input) ?? input.gelu();
}

/** Rows of weight (V, D) by integer indices of any shape. */
export function embedding(indices: Tensor, weight: Tensor): Tensor {
  return embeddingOp(weight, indices);
}

/** Normalised over the last dimensions with biased variance, then scaled and shifted. */
export function layerNorm(
  input: Tensor,
  normalizedShape: readonly number[],
  weight: Tensor | null = null,
  bias: Tensor | null = null,
  epsilon = 1e-5,
): Tensor {
  const isLast = normalizedShape.length === 1 && normalizedShape[0] === input.size(-1);
  const fused = isLast ? fusedLayerNorm(input, weight, bias, epsilon) : null;
  return fused ?? layerNormOp(input, normalizedShape, weight, bias, epsilon);
}

/**
 * GELU and dropout between two linear maps: (…, in) → (…, inner) → (…, out). Where neither gradients nor dropout are wanted, nothing of
 * the inner width is ever in memory.
 */
export function feedForward(
  input: Tensor,
  first: LinearWeights,
  second: LinearWeights,
  p: number,
  training: boolean,
): Tensor {
  const fused = p > 0 && training ? null : fusedFeedForward(input, first, second);
  if (fused !== null) return fused;
  const inner = scope(() => dropout(gelu(linear(input, first.weight, first.bias)), p, training));
  return linear(inner, second.weight, second.bias);
}

export interface BatchNormOptions {
  /** (channels), as are all tensors here. */
  weight: Tensor;
  bias: Tensor;
  /** Running mean: read in evaluation, changed in place while training. */
  mean: Tensor;
  /** Running variance, likewise. */
  variance: Tensor;
  training: boolean;
  /** Part of this batch in the running statistics. */
  momentum: number;
  epsilon: number;
}

/** Each channel of input (B, channels, …) normalised over everything else, then scaled and shifted. */
export function batchNorm(input: Tensor, options: BatchNormOptions): Tensor {
  const { weight, bias, mean, variance, training, momentum, epsilon } = options;
  return batchNormOp(input, weight, bias, mean, variance, training, momentum, epsilon, true);
}

/** While training, zeroes each element with probability p and scales the rest by 1/(1-p). */
export function dropout(input: Tensor, p: number, training: boolean): Tensor {
  return p === 0 || !training ? input : dropoutOp(input, p, true);
}

export interface CrossEntropyOptions {
  reduction?: Reduction;
  /** Targets with this value count for nothing. */
  ignoreIndex?: number;
  labelSmoothing?: number;
}

/**
 * -log softmax(logits)[target], in nats: logits (n, classes), target int64 (n). A target of the logits' dtype, (n, classes), gives each
 * class its share instead, as where images are mixed; it takes no `ignoreIndex`.
 */
export function crossEntropy(logits: Tensor, target: Tensor, options: CrossEntropyOptions = {}): Tensor {
  const { reduction = 'mean', ignoreIndex = -100, labelSmoothing = 0 } = options;
  return crossEntropyOp(logits, target, null, reductionCode(reduction), ignoreIndex, labelSmoothing);
}

/** a where condition is true, else b. */
export function where(condition: Tensor, a: Tensor, b: Tensor): Tensor {
  return whereOp(condition, a, b);
}

export interface ConvolutionOptions {
  /** Default 1. */
  stride?: number;
  /** Zeros around the map. Default 0. */
  padding?: number;
  /** Default 1. */
  groups?: number;
}

/** Input (B, in, height, width), weight (out, in / groups, kernel height, kernel width), bias (out). */
export function conv2d(
  input: Tensor,
  weight: Tensor,
  bias: Tensor | null = null,
  { stride = 1, padding = 0, groups = 1 }: ConvolutionOptions = {},
): Tensor {
  return conv2dOp(input, weight, bias, [stride, stride], [padding, padding], [1, 1], groups);
}
