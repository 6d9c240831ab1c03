/** One softmax over the long-range and the short-term scores together (spec 3.2 step 10). */
import type { Tensor } from '@transformer-ls/torch';
import { cat } from '@transformer-ls/torch';

/** Splits softmax([a | b]) back into the two parts. Half-precision scores go through float32, as the published code does. */
export function jointSoftmax(a: Tensor, b: Tensor): [Tensor, Tensor] {
  const widths = [a.size(-1), b.size(-1)];
  const scores = cat([a, b], -1);
  const weights = isHalf(scores) ? scores.softmax(-1, 'float32').to(scores.dtype) : scores.softmax(-1);
  return weights.split(widths, -1) as [Tensor, Tensor];
}

function isHalf(x: Tensor): boolean {
  return x.dtype === 'float16' || x.dtype === 'bfloat16';
}
