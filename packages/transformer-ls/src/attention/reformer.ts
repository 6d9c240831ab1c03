/**
 * Reformer (Kitaev et al. 2020, section 2): queries and keys are the same vectors; those that random rotations hash to one
 * bucket are sorted together, and each chunk of the sorted sequence sees itself and the one before it.
 *
 * The rotations are drawn once and kept with the weights, and there are as many buckets as the longest sequence needs, so that
 * neither the hour nor padding changes a result.
 */
import {
  arange,
  cat,
  dropout,
  Linear,
  Module,
  noGrad,
  randn,
  stack,
  type Tensor,
} from '@transformer-ls/torch';
import { mergeHeads, splitHeads } from './heads.js';
import type { ProjectedAttentionConfig } from './projected-attention.js';
import { lowest, type SequenceAttention } from './sequence-attention.js';

export interface ReformerAttentionConfig extends ProjectedAttentionConfig {
  readonly hashes: number;
  readonly blockSize: number;
  readonly maxLength: number;
}

/** A token attends to itself only where it has nobody else (section 2, "causal masking for shared-QK attention"). */
const ITSELF = -5e4;

/** Shape letters: N heads, B batch, L length, H head size, c tokens of a chunk, G chunks. */
export class ReformerAttention extends Module implements SequenceAttention {
  readonly takesClassToken = false;
  readonly W_qk: Linear;
  readonly W_v: Linear;
  readonly ff: Linear;
  /** (hashes, H, buckets/2) */
  private readonly rotations: Tensor;
  private readonly buckets: number;

  constructor(readonly config: ReformerAttentionConfig) {
    super();
    const { modelDim: D, heads, hashes, blockSize, maxLength } = config;
    const square = () => new Linear({ inFeatures: D, outFeatures: D });
    this.W_qk = this.child('W_qk', square());
    this.W_v = this.child('W_v', square());
    this.ff = this.child('ff', square());
    this.buckets = 2 * Math.max(1, Math.round(maxLength / blockSize / 2));
    this.rotations = this.buffer('rotations', randn([hashes, D / heads, this.buckets / 2]));
  }

  forward(x: Tensor, mask: Tensor | null): Tensor {
    const { heads } = this.config;
    const query = splitHeads(this.W_qk.forward(x), heads); // (N, B, L, H)
    const value = splitHeads(this.W_v.forward(x), heads);
    const padding = mask === null ? null : mask.logicalNot();
    const rounds = this.rotations.unbind(0).map((rotation) => {
      const buckets = this.hash(query, rotation, padding);
      return this.attendSorted(query, value, buckets);
    });
    return this.ff.forward(mergeHeads(combine(rounds)));
  }

  /** (N, B, L) int64: the nearest of the rotated axes and their opposites; padding has a bucket of its own, the last. */
  private hash(query: Tensor, rotation: Tensor, padding: Tensor | null): Tensor {
    return noGrad(() => {
      const rotated = query.detach().matmul(rotation);
      const bucket = cat([rotated, rotated.neg()], -1).argmax(-1);
      return padding === null ? bucket : bucket.maskedFill(padding, this.buckets);
    });
  }

  private attendSorted(query: Tensor, value: Tensor, buckets: Tensor): Round {
    const { blockSize: c } = this.config;
    const L = query.size(2);
    const positions = arange(0, L, 1, { device: query.device });
    const order = buckets.mul(L).add(positions).sort(-1)[1]; // (N, B, L), stable: the keys are distinct
    const back = order.sort(-1)[1];
    const sorted = chunks(rows(query, order), c); // (N, B, G, c, H)
    const bucket = chunks(buckets.gather(2, order).unsqueeze(-1), c, this.buckets).squeeze(-1); // (N, B, G, c)
    const place = chunks(order.unsqueeze(-1), c, -1).squeeze(-1);
    const norm = sorted.norm(-1, true).clamp(1e-6);
    const keys = withPrevious(sorted.div(norm), 0); // (N, B, G, 2c, H)
    const scores = sorted.mul(1 / Math.sqrt(query.size(-1))).matmul(keys.transpose(-1, -2)); // (N, B, G, c, 2c)
    const keyBuckets = withPrevious(bucket.unsqueeze(-1), this.buckets).transpose(-1, -2); // (N, B, G, 1, 2c)
    const keyPlaces = withPrevious(place.unsqueeze(-1), -1).transpose(-1, -2);
    const others = scores
      .maskedFill(place.unsqueeze(-1).eq(keyPlaces), ITSELF)
      .maskedFill(bucket.unsqueeze(-1).ne(keyBuckets).logicalOr(keyBuckets.eq(this.buckets)), lowest(scores));
    const total = others.logsumexp(-1, true); // (N, B, G, c, 1)
    const weights = dropout(others.sub(total).exp(), this.config.attentionDropout, this.training);
    const values = withPrevious(chunks(rows(value, order), c), 0);
    const unsort = (x: Tensor) => rows(x.flatten(2, 3).narrow(2, 0, L), back);
    return { output: unsort(weights.matmul(values)), total: unsort(total) };
  }
}

/** What one round of hashing gives: (N, B, L, H), and the logarithm of the sum that its softmax divides by, (N, B, L, 1). */
interface Round {
  readonly output: Tensor;
  readonly total: Tensor;
}

/** Rounds count by how much attention each found (appendix A, equation 9). */
function combine(rounds: readonly Round[]): Tensor {
  if (rounds.length === 1) return rounds[0]!.output;
  const weights = stack(rounds.map(({ total }) => total)).softmax(0);
  return stack(rounds.map(({ output }) => output))
    .mul(weights)
    .sum(0);
}

/** Rows of x (N, B, L, X) in another order (N, B, L). */
function rows(x: Tensor, order: Tensor): Tensor {
  return x.gather(2, order.unsqueeze(-1).expand(x.shape));
}

/** (N, B, L, X) → (N, B, G, c, X), `filler` behind the last. */
function chunks(x: Tensor, c: number, filler = 0): Tensor {
  const [N, B, L, X] = x.shape as [number, number, number, number];
  const G = Math.ceil(L / c);
  const filled = G * c > L ? x.pad([0, 0, 0, G * c - L], filler) : x;
  return filled.reshape([N, B, G, c, X]);
}

/** (N, B, G, c, X) → (N, B, G, 2c, X): each chunk behind the one before it; before the first comes `filler`. */
function withPrevious(x: Tensor, filler: number): Tensor {
  const before = x.pad([0, 0, 0, 0, 1, 0], filler).narrow(2, 0, x.size(2));
  return cat([before, x], 3);
}
