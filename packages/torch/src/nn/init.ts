/** Filling tensors with starting values, in place and outside autograd. Names and formulas are those of `torch.nn.init`. */
import { noGrad } from '../autograd.js';
import { tensor } from '../creation.js';
import { ArgumentError } from '../errors.js';
import { scope } from '../handle.js';
import { operator } from '../operator.js';
import type { Tensor } from '../tensor.js';

const erfinvInPlace = operator('aten::erfinv_');
const clampInPlace = operator('aten::clamp_');

/** Normal random numbers. */
export function normal_(value: Tensor, mean = 0, std = 1): Tensor {
  return noGrad(() => value.normal_(mean, std));
}

/** Uniform random numbers from [low, high). */
export function uniform_(value: Tensor, low = 0, high = 1): Tensor {
  return noGrad(() => value.uniform_(low, high));
}

export function constant_(value: Tensor, constant: number): Tensor {
  return noGrad(() => value.fill_(constant));
}

export function zeros_(value: Tensor): Tensor {
  return constant_(value, 0);
}

export function ones_(value: Tensor): Tensor {
  return constant_(value, 1);
}

/**
 * Normal random numbers cut off at `low` and `high`. These are values, not multiples of `std`, as in PyTorch: with std 0.02
 * the default cut at -2 and 2 cuts nothing.
 */
export function truncNormal_(value: Tensor, mean = 0, std = 1, low = -2, high = 2): Tensor {
  if (!(low < high))
    throw new ArgumentError(`truncNormal_: expected low < high, received ${low} and ${high}`);
  const erfLow = erf((low - mean) / (std * Math.SQRT2));
  const erfHigh = erf((high - mean) / (std * Math.SQRT2));
  return noGrad(() => {
    // Drawn uniformly on the scale of the distribution function, then mapped back through its inverse.
    erfinvInPlace(value.uniform_(erfLow, erfHigh));
    value.mul_(std * Math.SQRT2).add_(mean);
    // The end of the interval maps to infinity where the cut lies far out.
    clampInPlace(value, low, high);
    return value;
  });
}

/** JavaScript has no error function. */
function erf(x: number): number {
  return scope(() => tensor(x, { dtype: 'float64' }).erf().item());
}

/** Glorot and Bengio's uniform: the bound is gain * sqrt(6 / (fanIn + fanOut)). Weight (out, in, …kernel). */
export function xavierUniform_(value: Tensor, gain = 1): Tensor {
  const { fanIn, fanOut } = fans(value, 'xavierUniform_');
  const bound = gain * Math.sqrt(6 / (fanIn + fanOut));
  return uniform_(value, -bound, bound);
}

/** He's uniform for a leaky ReLU of slope `a`: the bound is sqrt(6 / ((1 + a²) fanIn)). Weight (out, in, …kernel). */
export function kaimingUniform_(value: Tensor, a = 0): Tensor {
  const { fanIn } = fans(value, 'kaimingUniform_');
  // In PyTorch's order of rounding, so that equal seeds give equal weights.
  const std = Math.sqrt(2 / (1 + a * a)) / Math.sqrt(fanIn);
  const bound = Math.sqrt(3) * std;
  return uniform_(value, -bound, bound);
}

/** How many inputs each output sums over, and the reverse. */
function fans(value: Tensor, name: string): { fanIn: number; fanOut: number } {
  if (value.ndim < 2)
    throw new ArgumentError(`${name}: expected at least 2 dimensions, received shape [${value.shape}]`);
  const kernel = value.shape.slice(2).reduce((product, size) => product * size, 1);
  return { fanIn: value.size(1) * kernel, fanOut: value.size(0) * kernel };
}
