/** One AdamW step over lists of tensors: by the native operator where it can, else composed of foreach operators. */
import { operator } from '../operator.js';
import type { Tensor } from '../tensor.js';

/** One update with its moments; all tensors have the parameter's shape. */
export interface AdamWUpdate {
  readonly parameter: Tensor;
  readonly gradient: Tensor;
  readonly firstMoment: Tensor;
  readonly secondMoment: Tensor;
}

export interface AdamWNumbers {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  /** Added to the corrected root of the second moment. */
  readonly epsilon: number;
  readonly weightDecay: number;
  /** Counts from 1. */
  readonly step: number;
  /** Multiplies the gradients first. */
  readonly gradientScale: number;
}

type FusedAdamW = (
  parameters: readonly Tensor[],
  gradients: readonly Tensor[],
  firstMoments: readonly Tensor[],
  secondMoments: readonly Tensor[],
  lr: number,
  beta1: number,
  beta2: number,
  epsilon: number,
  weightDecay: number,
  step: number,
  gradientScale: number,
) => void;

const fusedAdamW = operator<FusedAdamW>('tls::adamw_');
const addLists = operator('aten::_foreach_add_.List');
const addScalar = operator('aten::_foreach_add_.Scalar');
const scale = operator('aten::_foreach_mul.Scalar');
const scaleInPlace = operator('aten::_foreach_mul_.Scalar');
const divideInPlace = operator('aten::_foreach_div_.Scalar');
const addProducts = operator('aten::_foreach_addcmul_.Scalar');
const addQuotients = operator('aten::_foreach_addcdiv_.Scalar');
const squareRoots = operator('aten::_foreach_sqrt');

/** Whether the native operator takes this update. */
export function isFusable({ parameter, gradient, firstMoment, secondMoment }: AdamWUpdate): boolean {
  const { dtype } = parameter;
  return (
    parameter.device === 'cpu' &&
    (dtype === 'float32' || dtype === 'float64') &&
    gradient.dtype === dtype &&
    [parameter, firstMoment, secondMoment].every((written) => written.isContiguous)
  );
}

/** One pass over memory. */
export function fusedStep(updates: readonly AdamWUpdate[], numbers: AdamWNumbers): void {
  if (updates.length === 0) return;
  const { learningRate, beta1, beta2, epsilon, weightDecay, step, gradientScale } = numbers;
  fusedAdamW(
    updates.map((update) => update.parameter),
    updates.map((update) => update.gradient),
    updates.map((update) => update.firstMoment),
    updates.map((update) => update.secondMoment),
    learningRate,
    beta1,
    beta2,
    epsilon,
    weightDecay,
    step,
    gradientScale,
  );
}

/** The reference, and the way on CUDA. Loshchilov and Hutter 2019, algorithm 2, with PyTorch's order of operations. */
export function foreachStep(updates: readonly AdamWUpdate[], numbers: AdamWNumbers): void {
  if (updates.length === 0) return;
  const { learningRate, beta1, beta2, epsilon, weightDecay, step, gradientScale } = numbers;
  const parameters = updates.map((update) => update.parameter);
  const unscaled = updates.map((update) => update.gradient);
  const first = updates.map((update) => update.firstMoment);
  const second = updates.map((update) => update.secondMoment);
  const gradients = gradientScale === 1 ? unscaled : scale(unscaled, gradientScale);
  if (weightDecay !== 0) scaleInPlace(parameters, 1 - learningRate * weightDecay);
  scaleInPlace(first, beta1);
  addLists(first, gradients, 1 - beta1);
  scaleInPlace(second, beta2);
  addProducts(second, gradients, gradients, 1 - beta2);
  const denominators = squareRoots(second);
  divideInPlace(denominators, Math.sqrt(1 - beta2 ** step));
  addScalar(denominators, epsilon);
  addQuotients(parameters, first, denominators, -learningRate / (1 - beta1 ** step));
}

/** The decay by itself: every parameter loses `learningRate * weightDecay` of what it is. */
export function shrink(
  updates: readonly AdamWUpdate[],
  { learningRate, weightDecay }: Pick<AdamWNumbers, 'learningRate' | 'weightDecay'>,
): void {
  if (updates.length === 0 || weightDecay === 0) return;
  const parameters = updates.map(({ parameter }) => parameter);
  scaleInPlace(parameters, 1 - learningRate * weightDecay);
}
