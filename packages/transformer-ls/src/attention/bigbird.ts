/**
 * BigBird (Zaheer et al. 2020, section 2 and appendix D), in blocks of b tokens: every block sees the first block, which is
 * global, itself and its two neighbours, and r random blocks; the first block sees everything.
 *
 * Random blocks are picked among a row's own blocks, so that padding changes nothing. A pick that is visible anyway counts for
 * nothing.
 */
import { arange, cat, rand, stack, type Tensor } from '@transformer-ls/torch';
import { inverseRoot, ProjectedAttention, type ProjectedAttentionConfig } from './projected-attention.js';
import { lowest } from './sequence-attention.js';
import { hiddenTileKeys, segmentTiling, tileQueries, untileQueries } from './windows.js';

export interface BigBirdAttentionConfig extends ProjectedAttentionConfig {
  readonly blockSize: number;
  readonly randomBlocks: number;
  readonly maxLength: number;
}

/** Shape letters: N heads, B batch, L length, H head size, b tokens of a block, G blocks, r random blocks, V = 4+r seen blocks. */
export class BigBirdAttention extends ProjectedAttention {
  /** (blocks of the longest sequence, r) in [0, 1): which part of the sequence a random block comes from. */
  private readonly picks: Tensor;

  constructor(override readonly config: BigBirdAttentionConfig) {
    super(config);
    const { maxLength, blockSize, randomBlocks } = config;
    this.picks = this.buffer('picks', rand([Math.ceil(maxLength / blockSize), randomBlocks]));
  }

  protected attend(query: Tensor, key: Tensor, value: Tensor, padding: Tensor | null): Tensor {
    const { blockSize: b } = this.config;
    const tiling = segmentTiling(query.size(2), b, 0);
    const [q, k, v] = [query, key, value].map((x) => tileQueries(x, tiling)) as [Tensor, Tensor, Tensor]; // (N, B, G, b, H)
    const hidden = hiddenTileKeys(query, padding, tiling).squeeze(2); // (B or 1, G, b)
    const scaled = q.mul(inverseRoot(q));
    const blocks = this.seenBlocks(hidden);
    const seen = (x: Tensor) => blocksAt(x, blocks); // (N, B, G, V*b, H)
    const scores = scaled.matmul(seen(k).transpose(-1, -2)); // (N, B, G, b, V*b)
    const visible = scores.maskedFill(unseenKeys(hidden, blocks), lowest(scores));
    const sparse = this.drop(visible.softmax(-1)).matmul(seen(v));
    const first = this.attendEverywhere(scaled.select(2, 0), key, value, padding);
    const all = cat([first.unsqueeze(2), sparse.narrow(2, 1, sparse.size(2) - 1)], 2);
    return untileQueries(all, tiling);
  }

  /**
   * The first block, the neighbours, the block itself and the random ones.
   *
   * @param hidden (B or 1, G, b)
   * @returns indices (B or 1, G, V) int64, and which of them do not exist or are seen already
   */
  private seenBlocks(hidden: Tensor): SeenBlocks {
    const G = hidden.size(1);
    const own = arange(0, G, 1, { dtype: 'float32', device: hidden.device }).unsqueeze(0); // (1, G)
    const filled = hidden.logicalNot().to('float32').amax(-1); // (B or 1, G): 1 = holds a token
    const count = filled.mul(own.add(1)).amax(1, true); // (B or 1, 1): blocks up to the last token
    const places = [own.mul(0), own.sub(1).clamp(0), own, own.add(1).clamp(0, G - 1)];
    const repeated = [own.lt(0), own.le(1), own.eq(0), own.ge(G - 1)];
    for (const pick of this.picks.narrow(0, 0, G).unbind(1)) {
      const place = count.mul(pick.to('float32').unsqueeze(0)).floor();
      const before = [...places.map((other) => place.eq(other)), place.eq(own.add(1)), place.eq(own.sub(1))];
      places.push(place);
      repeated.push(before.reduce((a, b) => a.logicalOr(b)));
    }
    const shape = [count.size(0), G];
    return {
      places: stack(
        places.map((place) => place.expand(shape)),
        -1,
      ).to('int64'),
      repeated: stack(
        repeated.map((flag) => flag.expand(shape)),
        -1,
      ),
    };
  }

  private attendEverywhere(query: Tensor, key: Tensor, value: Tensor, padding: Tensor | null): Tensor {
    const scores = query.matmul(key.transpose(-1, -2)); // (N, B, b, L)
    const visible = padding === null ? scores : scores.maskedFill(padding.unsqueeze(1), lowest(scores));
    return this.drop(visible.softmax(-1)).matmul(value);
  }
}

interface SeenBlocks {
  /** (B or 1, G, V) int64 */
  readonly places: Tensor;
  /** (B or 1, G, V) bool */
  readonly repeated: Tensor;
}

/** x (N, B, G, b, H) → (N, B, G, V*b, H). */
function blocksAt(x: Tensor, { places }: SeenBlocks): Tensor {
  const [N, B, G, b, H] = x.shape as [number, number, number, number, number];
  const V = places.size(-1);
  const rows = arange(0, B * G, G, { device: x.device }).reshape([B, 1, 1]);
  const flat = places.add(rows).reshape([B * G * V]);
  return x
    .reshape([N, B * G, b, H])
    .indexSelect(1, flat)
    .reshape([N, B, G, V * b, H]);
}

/** (B or 1, G, 1, V*b) bool, true = hidden. */
function unseenKeys(hidden: Tensor, { places, repeated }: SeenBlocks): Tensor {
  const [B, G, b] = hidden.shape as [number, number, number];
  const V = places.size(-1);
  const rows = arange(0, B * G, G, { device: hidden.device }).reshape([B, 1, 1]);
  const blocks = hidden
    .reshape([B * G, b])
    .indexSelect(0, places.add(rows).reshape([B * G * V]))
    .reshape([B, G, V, b]);
  return blocks.logicalOr(repeated.unsqueeze(-1)).reshape([B, G, 1, V * b]);
}
