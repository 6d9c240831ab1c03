import { noGrad } from '../autograd.js';
import { ArgumentError } from '../errors.js';
import { stack } from '../functional.js';
import { scope } from '../handle.js';
import { describeValue, operator } from '../operator.js';
import type { Tensor } from '../tensor.js';

const norms = operator('aten::_foreach_norm.Scalar');
const scaleInPlace = operator('aten::_foreach_mul_.Scalar');

/**
 * Scales all gradients down together so that their common Euclidean norm is at most `maxNorm`: by
 * min(1, maxNorm / (norm + 1e-6)), as PyTorch's `clip_grad_norm_`. The device is waited for once.
 *
 * @returns the norm before scaling; where it is not finite the gradients have become NaN, as in PyTorch
 */
export function clipGradNorm(parameters: Iterable<Tensor>, maxNorm: number): number {
  if (typeof maxNorm !== 'number' || !(maxNorm >= 0))
    throw new ArgumentError(
      `clipGradNorm: expected maxNorm of at least 0, received ${describeValue(maxNorm)}`,
    );
  return noGrad(() =>
    scope(() => {
      const gradients = Array.from(parameters, (parameter) => parameter.grad).filter((grad) => grad !== null);
      if (gradients.length === 0) return 0;
      const norm = stack(norms(gradients, 2)).norm().item();
      const factor = Math.min(1, maxNorm / (norm + 1e-6));
      if (factor !== 1) scaleInPlace(gradients, factor);
      return norm;
    }),
  );
}
