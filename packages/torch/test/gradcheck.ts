/** Gradients against central differences in float64, with the tolerances of PyTorch's `gradcheck`. */
import { gradients, noGrad, scope, type Tensor, zerosLike } from '../src/index.js';

const EPSILON = 1e-6;
const ABSOLUTE = 1e-5;
const RELATIVE = 1e-3;

/**
 * Compares the whole Jacobian of `fn` with respect to each input.
 *
 * @param inputs contiguous float64 leaves that require grad; `fn` may use them from outside too (parameters)
 * @throws Error naming the first element that disagrees
 */
export function gradcheck(fn: () => Tensor, inputs: readonly Tensor[]): void {
  for (const [index, input] of inputs.entries()) {
    if (input.dtype !== 'float64' || !input.requiresGrad)
      throw new Error(`gradcheck: input ${index} is not a float64 tensor that requires grad`);
    const analytic = analyticJacobian(fn, input);
    const numeric = numericJacobian(fn, input);
    for (const [o, row] of analytic.entries())
      for (const [i, slope] of row.entries()) {
        const measured = numeric[i]![o]!;
        if (!(Math.abs(slope - measured) <= ABSOLUTE + RELATIVE * Math.abs(measured)))
          throw new Error(
            `gradcheck: d output[${o}] / d input${index}[${i}] is ${slope}, measured ${measured}`,
          );
      }
  }
}

/** [output element][input element] */
function analyticJacobian(fn: () => Tensor, input: Tensor): Float64Array[] {
  return scope(() => {
    const output = fn();
    return Array.from({ length: output.numel }, (_, o) => {
      const seed = zerosLike(output.detach());
      noGrad(() => seed.view([-1]).select(0, o).fill_(1));
      const [gradient] = gradients([output], [input], {
        gradOutputs: [seed],
        retainGraph: true,
        allowUnused: true,
      });
      return gradient ? (gradient.toTypedArray() as Float64Array) : new Float64Array(input.numel);
    });
  });
}

/** [input element][output element] */
function numericJacobian(fn: () => Tensor, input: Tensor): Float64Array[] {
  return noGrad(() =>
    scope(() => {
      const flat = input.detach().view([-1]);
      return Array.from({ length: input.numel }, (_, i) => {
        const element = flat.select(0, i);
        const value = element.item();
        element.fill_(value + EPSILON);
        const above = fn().toTypedArray() as Float64Array;
        element.fill_(value - EPSILON);
        const below = fn().toTypedArray() as Float64Array;
        element.fill_(value);
        return above.map((y, o) => (y - below[o]!) / (2 * EPSILON));
      });
    }),
  );
}
