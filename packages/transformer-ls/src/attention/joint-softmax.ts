/** Softmaxes of attention scores. Half-precision scores go through float32, as the published code does. */
import type { ShardedSequence, Tensor } from '@transformer-ls/torch';
import { cat } from '@transformer-ls/torch';

/** One softmax over the long-range and the short-term scores together (spec 3.2 step 10): that of [a | b], split into the two parts. */
export function jointSoftmax(a: Tensor, b: Tensor): [Tensor, Tensor] {
  const widths = [a.size(-1), b.size(-1)];
  return softmaxOver(cat([a, b], -1), -1).split(widths, -1) as [Tensor, Tensor];
}

export function softmaxOver(scores: Tensor, dim: number): Tensor {
  return isHalf(scores) ? scores.softmax(dim, 'float32').to(scores.dtype) : scores.softmax(dim);
}

/** Of the own scores (…, L) under a softmax over the tokens of all processes that share a sequence. */
export function softmaxOverSequence(scores: Tensor, sequence: ShardedSequence): Tensor {
  const wide = isHalf(scores) ? scores.to('float32') : scores;
  const exponentials = wide.sub(sequence.largest(wide.amax([-1], true))).exp();
  return exponentials.div(sequence.sum(exponentials.sum(-1, true))).to(scores.dtype);
}

/** The same together with a score that every process has, (…, 1), and that counts once: its weight, and those of the own scores. */
export function jointSoftmaxOverSequence(
  common: Tensor,
  own: Tensor,
  sequence: ShardedSequence,
): [Tensor, Tensor] {
  const [a, b] = isHalf(own) ? [common.to('float32'), own.to('float32')] : [common, own];
  const largest = sequence.largest(a.maximum(b.amax([-1], true)));
  const [ofCommon, ofOwn] = [a.sub(largest).exp(), b.sub(largest).exp()];
  const sum = ofCommon.add(sequence.sum(ofOwn.sum(-1, true)));
  return [ofCommon.div(sum).to(common.dtype), ofOwn.div(sum).to(own.dtype)];
}

function isHalf(x: Tensor): boolean {
  return x.dtype === 'float16' || x.dtype === 'bfloat16';
}
