/**
 * Causal long-short attention exactly as the published code computes it (spec 3.2), quirks included: cached tokens are
 * compressed as hidden states and projected afterwards, current tokens the other way round, so that results depend on how
 * the input is cut into segments. For published weights and numbers; new models use causal.ts.
 *
 * Shape letters: B batch, T tokens of the segment, M tokens of the cache, c chunk size, R rank, W window, D width, N heads,
 * H head size, n = (T+M)/c chunks.
 */
import {
  ArgumentError,
  cat,
  forwardAll,
  type LayerNorm,
  type Linear,
  type Tensor,
  tensor,
} from '@transformer-ls/torch';
import { causalAttention } from './causal-operator.js';
import { CausalAttentionParameters, positionKeys } from './causal-parameters.js';
import { attentionFused } from './fused.js';

import { mergeHeads, sharedScores, splitHeads } from './heads.js';
import { jointSoftmax } from './joint-softmax.js';
import { chunkWeights, compressChunks } from './projection.js';
import { bandOf, pool, type Tiling, tileKeys, tileQueries, tilingFor, untileQueries } from './windows.js';

interface KeysAndValues {
  readonly keys: Tensor;
  readonly values: Tensor;
}

/** Positions as keys: (N, H, W) and (N, H, n*R). */
interface Positions {
  readonly window: Tensor;
  readonly chunks: Tensor;
}

/** Keys and values of the window, (B, W-1+T, D), and the compressed ones, (B, n*R, D). */
interface SeenTokens {
  readonly window: KeysAndValues;
  readonly compressed: KeysAndValues;
}

/** true = may not attend, broadcast to (N, B, T/c, c, n*R); `causal`: the mask of `causalChunkMask`. */
export type ChunkMask = Tensor | 'causal';

export class ReferenceCausalAttention extends CausalAttentionParameters {
  /**
   * @param h (B, T, D) the segment; T a multiple of c
   * @param cache (B, M, D) the same layer's earlier inputs; M a multiple of c and at least W
   * @param chunkPositions (1, n*R, D) embeddings of chunk ids n*R-1 … 0
   * @param windowPositions (1, W, D) embeddings of distances W-1 … 0
   * @param chunkMask without it the long-range part is not causal
   * @returns (B, T, D)
   */
  forward(
    h: Tensor,
    cache: Tensor,
    chunkPositions: Tensor,
    windowPositions: Tensor,
    chunkMask: ChunkMask | null,
  ): Tensor {
    this.checkLengths(h, cache);
    const { heads, chunkSize: c, projectionRank } = this.config;
    const maps = [this.proj_query, this.proj_key, this.proj_val];
    const [query, keys, values] = forwardAll(maps, h) as [Tensor, Tensor, Tensor];
    const joined = this.withMemory(cache, { keys, values });
    const seen = {
      window: {
        keys: this.dual_ln_win.forward(joined.keys),
        values: this.dual_ln_win.forward(joined.values),
      },
      compressed: this.compressedMemory(h, cache, joined),
    };
    const positions = {
      window: positionKeys(this.r_net.forward(windowPositions.squeeze(0)), heads), // (N, H, W)
      chunks: positionKeys((this.r_net_chunk as Linear).forward(chunkPositions.squeeze(0)), heads), // (N, H, n*R)
    };
    const cached = cache.size(1) / c;
    if (chunkMask === 'causal' && attentionFused(query, query.size(2) / heads))
      return this.proj_out.forward(this.fused(query, seen, positions, cached));
    const mask =
      chunkMask === 'causal' ? causalMaskTensor(h.size(1) / c, cached, projectionRank, h.device) : chunkMask;
    return this.proj_out.forward(this.composed(query, seen, positions, mask));
  }

  /** (B, T, D) of one operator that keeps no scores. */
  private fused(
    query: Tensor,
    { window, compressed }: SeenTokens,
    positions: Positions,
    cached: number,
  ): Tensor {
    const { heads, chunkSize, projectionRank } = this.config;
    return causalAttention({
      query,
      windowKeys: window.keys,
      windowValues: window.values,
      windowBias: this.r_w_bias,
      positionBias: this.r_r_bias,
      windowPositions: positions.window,
      chunks: {
        ...compressed,
        positions: positions.chunks,
        size: chunkSize,
        rank: projectionRank,
        offset: 0,
        remembered: cached,
        reach: positions.chunks.size(2),
      },
      heads,
    });
  }

  /** The same composed of plain operators. */
  private composed(
    projected: Tensor,
    { window, compressed }: SeenTokens,
    positions: Positions,
    mask: Tensor | null,
  ): Tensor {
    const { heads: N } = this.config;
    const [, T, D] = projected.shape as [number, number, number];
    const tiling = tilingFor(T, this.config.windowSize);
    const query = splitHeads(projected, N)
      .mul(1 / Math.sqrt(D / N))
      .contiguous(); // (N, B, T, H)
    const windowScores = this.windowScores(query, window.keys, positions.window, tiling); // (N, B, G, S, Y)
    const chunkScores = this.chunkScores(query, compressed.keys, positions.chunks, mask); // (N, B, T, n*R)
    const [toChunks, toWindow] = jointSoftmax(tileQueries(chunkScores, tiling), windowScores);

    const fromWindow = toWindow.matmul(tileKeys(window.values, N, tiling));
    const fromChunks = pool(toChunks, splitHeads(compressed.values, N));
    return mergeHeads(untileQueries(fromWindow.add(fromChunks), tiling));
  }

  private checkLengths(h: Tensor, cache: Tensor): void {
    const { chunkSize, windowSize } = this.config;
    const [T, M] = [h.size(1), cache.size(1)];
    if (T % chunkSize !== 0 || M % chunkSize !== 0)
      throw new ArgumentError(
        `expected lengths that are multiples of the chunk size ${chunkSize}, received ${T} and a cache of ${M}`,
      );
    if (M < windowSize)
      throw new ArgumentError(`expected a cache of at least the window size ${windowSize}, received ${M}`);
  }

  /** Projections of the W-1 tokens before the segment and of the segment: each (B, W-1+T, D). */
  private withMemory(cache: Tensor, projected: KeysAndValues): KeysAndValues {
    const before = this.config.windowSize - 1;
    const tail = cache.narrow(1, cache.size(1) - before, before);
    const joined = (projection: Linear, current: Tensor) => cat([projection.forward(tail), current], 1);
    return { keys: joined(this.proj_key, projected.keys), values: joined(this.proj_val, projected.values) };
  }

  /**
   * Compressed keys and values, the cache's chunks before the segment's: each (B, n*R, D).
   *
   * @param joined (B, W-1+T, D), of which the segment's are read: the backward pass then holds no other copy of them
   */
  private compressedMemory(h: Tensor, cache: Tensor, joined: KeysAndValues): KeysAndValues {
    const norm = this.dual_ln_dproj as LayerNorm;
    const cached = compressChunks(cache, this.weightsOf(cache)); // hidden states, (B, M/c*R, D)
    const weights = this.weightsOf(h);
    const T = h.size(1);
    const compressed = (projection: Linear, all: Tensor) => {
      const current = all.narrow(1, all.size(1) - T, T);
      return cat(
        [norm.forward(projection.forward(cached)), norm.forward(compressChunks(current, weights))],
        1,
      );
    };
    return {
      keys: compressed(this.proj_key, joined.keys),
      values: compressed(this.proj_val, joined.values),
    };
  }

  private weightsOf(hidden: Tensor): Tensor {
    return chunkWeights((this.dconv_1 as Linear).forward(hidden), this.config.chunkSize, this.config.heads);
  }

  /** (N, B, G, S, Y). The biases join an already scaled query: they are not divided by sqrt(H) (quirk 10). */
  private windowScores(query: Tensor, keys: Tensor, positions: Tensor, tiling: Tiling): Tensor {
    const { heads } = this.config;
    const byContent = tileQueries(query, tiling)
      .add(this.r_w_bias.transpose(0, 1))
      .matmul(tileKeys(keys, heads, tiling).transpose(-1, -2));
    const byDistance = sharedScores(query.add(this.r_r_bias.transpose(0, 1)), positions);
    return byContent.add(bandOf(byDistance, tiling));
  }

  /** (N, B, T, n*R). */
  private chunkScores(query: Tensor, keys: Tensor, positions: Tensor, mask: Tensor | null): Tensor {
    const { heads, chunkSize: c } = this.config;
    const [N, B, T] = query.shape as [number, number, number];
    const byContent = query.matmul(splitHeads(keys, heads).transpose(-1, -2));
    const scores = byContent.add(this.shiftByChunk(sharedScores(query, positions)));
    if (mask === null) return scores;
    const [rows, columns] = [T / c, scores.size(-1)];
    return scores
      .reshape([N, B, rows, c, columns])
      .maskedFill(mask, Number.NEGATIVE_INFINITY)
      .reshape([N, B, T, columns]);
  }

  /**
   * Moves the scores of chunk row i left by (T/c - i)*R columns. What is shifted in from the next row belongs to chunks the
   * query may not see; the published code leaves it there for the mask to hide, and without a mask it counts.
   */
  private shiftByChunk(byId: Tensor): Tensor {
    const { chunkSize: c, projectionRank: R } = this.config;
    const [N, B, T, columns] = byId.shape as [number, number, number, number];
    const rows = T / c;
    const flat = byId
      .reshape([N, B, rows, c, columns])
      .transpose(2, 3)
      .pad([0, R])
      .reshape([N, B, c, rows * (columns + R)]);
    return flat
      .narrow(-1, rows * R, rows * columns)
      .reshape([N, B, c, rows, columns])
      .transpose(2, 3)
      .reshape([N, B, T, columns]);
  }
}

/**
 * The published causal mask: chunk a is hidden from chunk row i of the segment unless it lies before it.
 *
 * @returns n[row][column] as a flat list of booleans, T/c rows of n*R columns, true = hidden
 */
export function causalChunkMask(segmentChunks: number, cachedChunks: number, rank: number): boolean[] {
  const columns = (segmentChunks + cachedChunks) * rank;
  return Array.from({ length: segmentChunks * columns }, (_, index) => {
    const row = Math.floor(index / columns);
    const chunk = Math.floor((index % columns) / rank);
    return chunk >= cachedChunks + row;
  });
}

/** The mask for a forward pass: a tensor (1, 1, T/c, 1, n*R) where attention is composed, once for all layers. */
export function causalMaskFor(
  like: Tensor,
  headSize: number,
  segmentChunks: number,
  cachedChunks: number,
  rank: number,
): ChunkMask {
  return attentionFused(like, headSize)
    ? 'causal'
    : causalMaskTensor(segmentChunks, cachedChunks, rank, like.device);
}

function causalMaskTensor(segmentChunks: number, cachedChunks: number, rank: number, device: string): Tensor {
  const hidden = Uint8Array.from(causalChunkMask(segmentChunks, cachedChunks, rank), Number);
  const columns = (segmentChunks + cachedChunks) * rank;
  return tensor(hidden, { dtype: 'bool', shape: [1, 1, segmentChunks, 1, columns], device });
}
