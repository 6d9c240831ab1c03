/** Softmaxes of attention scores. Half-precision scores go through float32, as the published code does. */
import type { Tensor } from '@transformer-ls/torch';
import { cat } from '@transformer-ls/torch';

/** One softmax over the long-range and the short-term scores together (spec 3.2 step 10): that of [a | b], split into the two parts. */
export function jointSoftmax(a: Tensor, b: Tensor): [Tensor, Tensor] {
  const widths = [a.size(-1), b.size(-1)];
  return softmaxOver(cat([a, b], -1), -1).split(widths, -1) as [Tensor, Tensor];
}

export function softmaxOver(scores: Tensor, dim: number): Tensor {
  return isHalf(scores) ? scores.softmax(dim, 'float32').to(scores.dtype) : scores.softmax(dim);
}

function isHalf(x: Tensor): boolean {
  return x.dtype === 'float16' || x.dtype === 'bfloat16';
}
