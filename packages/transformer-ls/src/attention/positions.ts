/** Sinusoidal position embeddings (spec 3.3). */
import { arange, cat, operator, type Tensor, tensor } from '@transformer-ls/torch';

const scalarPower = operator('aten::pow.Scalar');

/**
 * f_k = 10000^(-2k/D) for k = 0 … D/2-1, shape (D/2). Every step is rounded to float32 as in the published code, so that
 * models which recompute the frequencies get the same ones to the last bit.
 */
export function sinusoidFrequencies(modelDim: number): Tensor {
  const exponents = arange(0, modelDim, 2, { dtype: 'float32' }).div(modelDim);
  return scalarPower(10000, exponents).reciprocal();
}

/**
 * [sin(p f_0) … | cos(p f_0) …] for each position p.
 *
 * The angle is a product in the dtype of `frequencies`: in float16 or bfloat16 positions beyond 2048 or 256 would be rounded, so
 * frequencies are float32 and only the result may be converted to a smaller dtype.
 *
 * @param frequencies (D/2)
 * @returns (positions.length, D) in the dtype of `frequencies`
 */
export function sinusoids(positions: readonly number[], frequencies: Tensor): Tensor {
  const p = tensor(Float64Array.from(positions)).to({ dtype: frequencies.dtype, device: frequencies.device });
  const angles = p.unsqueeze(1).mul(frequencies.unsqueeze(0)); // (P, D/2)
  return cat([angles.sin(), angles.cos()], -1);
}

/** count-1, …, 1, 0, each cut to `clamp` (null: not cut): distances with the farthest first. */
export function descendingDistances(count: number, clamp: number | null): number[] {
  return Array.from({ length: count }, (_, i) => Math.min(count - 1 - i, clamp ?? Number.POSITIVE_INFINITY));
}
