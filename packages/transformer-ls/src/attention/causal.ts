/**
 * Causal long-short attention with memory, in the form whose results do not depend on how the input is cut (design section
 * 4, `consistent`): each query sees its window of W tokens and the compressed chunks before its own, up to a maximum counted
 * from its own chunk. Chunks lie at multiples of c of the stream's positions; one rule compresses them all: project, pool
 * per chunk, normalise. Nothing is padded into the memory and nothing empty is attended to.
 *
 * Shape letters: B batch, T tokens of the segment, W window, c chunk size, R rank, D width, N heads, H head size, m chunks in
 * memory, rows = chunks that the segment touches, G tiles of S queries with Y keys.
 */
import { cat, forwardAll, type LayerNorm, type Linear, type Tensor, zeros } from '@transformer-ls/torch';
import { causalAttention } from './causal-operator.js';
import { type CausalAttentionConfig, CausalAttentionParameters, positionKeys } from './causal-parameters.js';
import { attentionFused } from './fused.js';

import { mergeHeads, sharedScores, splitHeads } from './heads.js';
import { jointSoftmax } from './joint-softmax.js';
import { chunkWeights, compressChunks } from './projection.js';
import { skewRight } from './skew.js';
import {
  bandOf,
  pool,
  surplus,
  type Tiling,
  tileKeys,
  tileQueries,
  tilingFor,
  untileQueries,
} from './windows.js';

/** What one layer remembers of a stream. A stream of n tokens costs n/c compressed vectors, however it was cut. */
export type CausalMemory = {
  /** (B, min(W-1, tokens so far), D): normalised keys and values of the window. */
  windowKeys: Tensor;
  windowValues: Tensor;
  /** (B, tokens so far mod c, D) and (…, N*R): projections and weight logits of the chunk that is not complete yet. */
  openKeys: Tensor;
  openValues: Tensor;
  openLogits: Tensor;
  /** (B, m*R, D): normalised compressed keys and values, the oldest chunk first. */
  chunkKeys: Tensor;
  chunkValues: Tensor;
};

/** Positions as keys, ready to meet queries. They depend on the weights alone: while these do not change they can be kept. */
export interface PositionKeys {
  /** (N, H, W): distances W-1 … 0. */
  window: Tensor;
  /** (N, H, P): chunk ids P-1 … 0, P at least what the segment needs; null where the rank is 0. */
  chunks: Tensor | null;
}

export interface ConsistentAttentionConfig extends CausalAttentionConfig {
  memoryLength: number;
}

/** Where a segment lies among the chunks. */
export interface Placement {
  /** Tokens of the open chunk before the segment. */
  readonly offset: number;
  /** Chunks the segment touches, and tokens of it in the last one if that stays open. */
  readonly rows: number;
  readonly complete: number;
  /** Chunks in memory. */
  readonly remembered: number;
  /** Compressed vectors any query of the segment may see, at most. */
  readonly reach: number;
}

/** What of the keys is not there (yet), where room for it is: 0, or -infinity. */
export interface HiddenTokens {
  /** (W-1 + T) */
  readonly window: Tensor;
  /** ((m + rows - 1)*R), null where there are no chunks */
  readonly chunks: Tensor | null;
}

/** Normalised keys and values that the segment's queries see. */
export interface SeenTokens {
  /** (B, min(W-1, tokens before) + T, D). */
  readonly windowKeys: Tensor;
  readonly windowValues: Tensor;
  /** (B, (m + rows - 1)*R, D). */
  readonly chunkKeys: Tensor;
  readonly chunkValues: Tensor;
}

export class CausalAttention extends CausalAttentionParameters {
  constructor(override readonly config: ConsistentAttentionConfig) {
    super(config);
  }

  /** The memory of a stream that has not begun. */
  emptyMemory(batch: number): CausalMemory {
    const { modelDim: D, heads, projectionRank } = this.config;
    const options = { dtype: this.proj_query.weight.dtype, device: this.proj_query.weight.device };
    const nothing = (width: number) => zeros([batch, 0, width], options);
    return {
      windowKeys: nothing(D),
      windowValues: nothing(D),
      openKeys: nothing(D),
      openValues: nothing(D),
      openLogits: nothing(heads * projectionRank),
      chunkKeys: nothing(D),
      chunkValues: nothing(D),
    };
  }

  /** Compressed vectors a query may see, for a segment of T tokens after this memory. */
  reach(T: number, memory: CausalMemory): number {
    return this.place(T, memory).reach;
  }

  /** Positions as keys: `windowPositions` (W, D) for distances W-1 … 0, `chunkPositions` (P, D) for ids P-1 … 0. */
  positionKeys(windowPositions: Tensor, chunkPositions: Tensor): PositionKeys {
    const { heads } = this.config;
    return {
      window: positionKeys(this.r_net.forward(windowPositions), heads),
      chunks:
        this.r_net_chunk === null ? null : positionKeys(this.r_net_chunk.forward(chunkPositions), heads),
    };
  }

  /**
   * @param x (B, T, D), any T >= 1
   * @returns output (B, T, D), and the memory after these tokens
   */
  forward(
    x: Tensor,
    memory: CausalMemory,
    positions: PositionKeys,
  ): { output: Tensor; memory: CausalMemory } {
    const { windowSize: W } = this.config;
    const maps = [this.proj_query, this.proj_key, this.proj_val];
    const [query, keys, values] = forwardAll(maps, x) as [Tensor, Tensor, Tensor];
    const windowKeys = cat([memory.windowKeys, this.dual_ln_win.forward(keys)], 1);
    const windowValues = cat([memory.windowValues, this.dual_ln_win.forward(values)], 1);
    const place = this.place(x.size(1), memory);
    const chunks = this.extendChunks(x, keys, values, memory, place);
    const seen = {
      windowKeys,
      windowValues,
      chunkKeys: chunks.visible.keys,
      chunkValues: chunks.visible.values,
    };
    const attended = attentionFused(query, query.size(2) / this.config.heads)
      ? this.fused(query, seen, positions, place)
      : this.composed(query, seen, positions, place);
    const next = {
      windowKeys: lastTokens(windowKeys, W - 1),
      windowValues: lastTokens(windowValues, W - 1),
      ...chunks.open,
      ...chunks.kept,
    };
    return { output: this.proj_out.forward(attended), memory: next };
  }

  /** (B, T, D) of one operator that keeps no scores. */
  private fused(query: Tensor, seen: SeenTokens, positions: PositionKeys, place: Placement): Tensor {
    const { heads, chunkSize, projectionRank } = this.config;
    return causalAttention({
      query,
      windowKeys: seen.windowKeys,
      windowValues: seen.windowValues,
      windowBias: this.r_w_bias,
      positionBias: this.r_r_bias,
      windowPositions: positions.window,
      chunks:
        place.reach === 0
          ? null
          : {
              keys: seen.chunkKeys,
              values: seen.chunkValues,
              positions: positions.chunks as Tensor,
              size: chunkSize,
              rank: projectionRank,
              offset: place.offset,
              remembered: place.remembered,
              reach: place.reach,
            },
      heads,
    });
  }

  /** The same composed of plain operators; `hidden` where the memory is not filled yet, though it has its full size. */
  composed(
    projected: Tensor,
    seen: SeenTokens,
    positions: PositionKeys,
    place: Placement,
    hidden: HiddenTokens | null = null,
  ): Tensor {
    const { heads: N, windowSize: W } = this.config;
    const [, T, D] = projected.shape as [number, number, number];
    const tiling = tilingFor(T, W);
    const query = splitHeads(projected, N)
      .mul(1 / Math.sqrt(D / N))
      .contiguous(); // (N, B, T, H)
    const plainScores = this.windowScores(query, seen.windowKeys, positions.window, tiling); // (N, B, G, S, Y)
    const windowScores = hidden === null ? plainScores : plainScores.add(tileColumns(hidden.window, tiling));
    const tiledValues = tileKeys(withMissing(seen.windowValues, W, T), N, tiling);
    if (place.reach === 0) return finish(windowScores.softmax(-1).matmul(tiledValues), tiling);
    const plainChunkScores = this.chunkScores(query, seen.chunkKeys, positions.chunks as Tensor, place); // (N, B, T, C)
    const chunkScores = hidden?.chunks ? plainChunkScores.add(hidden.chunks) : plainChunkScores;
    const [toChunks, toWindow] = jointSoftmax(tileQueries(chunkScores, tiling), windowScores);
    const output = toWindow.matmul(tiledValues).add(pool(toChunks, splitHeads(seen.chunkValues, N)));
    return finish(output, tiling);
  }

  private place(T: number, memory: CausalMemory): Placement {
    const { chunkSize: c, projectionRank: R, memoryLength } = this.config;
    const offset = memory.openKeys.size(1);
    const rows = Math.ceil((offset + T) / c);
    const remembered = R === 0 ? 0 : memory.chunkKeys.size(1) / R;
    const reach = Math.min(memoryLength / c, remembered + rows - 1) * R;
    return { offset, rows, complete: Math.floor((offset + T) / c), remembered, reach };
  }

  /** (N, B, G, S, Y): content and distance, -infinity outside the window and before the start of the stream. */
  private windowScores(query: Tensor, keys: Tensor, positions: Tensor, tiling: Tiling): Tensor {
    const { heads, windowSize: W } = this.config;
    const T = query.size(2);
    const missing = W - 1 + T - keys.size(1);
    const byDistance = sharedScores(query.add(this.r_r_bias.transpose(0, 1)), positions); // (N, B, T, W)
    const byContent = tileQueries(query, tiling)
      .add(this.r_w_bias.transpose(0, 1))
      .matmul(tileKeys(withMissing(keys, W, T), heads, tiling).transpose(-1, -2));
    const scores = byContent.add(bandOf(byDistance, tiling));
    return missing > 0 ? scores.add(maskOfMissing(missing, scores, tiling)) : scores;
  }

  /**
   * (N, B, T, C) with C = (m + rows - 1)*R: every compressed vector that some query of the segment sees. The shift that brings
   * scores by chunk id under their chunks is also the mask: what lies outside a query's reach becomes -infinity.
   */
  private chunkScores(query: Tensor, keys: Tensor, positions: Tensor, place: Placement): Tensor {
    const { heads, chunkSize: c, projectionRank: R } = this.config;
    const { offset, rows, reach } = place;
    const [N, B, T, H] = query.shape as [number, number, number, number];
    const byContent = query.matmul(splitHeads(keys, heads).transpose(-1, -2)); // (N, B, T, C)
    const ids = positions.narrow(2, positions.size(2) - reach, reach); // (N, H, reach)
    if (rows === 1) return byContent.add(sharedScores(query, ids));
    const after = rows * c - offset - T;
    const aligned = offset + after > 0 ? query.pad([0, 0, offset, after]) : query;
    const byPlace = aligned
      .reshape([N, B, rows, c, H])
      .transpose(2, 3)
      .reshape([N, B, c * rows, H]);
    const byId = sharedScores(byPlace, ids).reshape([N, B, c, rows, reach]);
    const C = byContent.size(-1);
    const shifted = skewRight(byId, R, Number.NEGATIVE_INFINITY); // columns before the first remembered chunk included
    const placed = shifted.narrow(-1, shifted.size(-1) - C, C).transpose(2, 3); // (N, B, rows, c, C)
    if (offset + after === 0) return byContent.reshape([N, B, rows, c, C]).add(placed).reshape([N, B, T, C]);
    return byContent.add(placed.reshape([N, B, rows * c, C]).narrow(2, offset, T));
  }

  /** Compresses the chunks that this segment completes. */
  private extendChunks(x: Tensor, keys: Tensor, values: Tensor, memory: CausalMemory, place: Placement) {
    const { chunkSize: c, heads: N, projectionRank: R, memoryLength } = this.config;
    const { offset, complete, remembered, rows } = place;
    if (R === 0 || memoryLength === 0) return noChunks(memory);
    const logits = (this.dconv_1 as Linear).forward(x);
    const all = {
      keys: joinOpen(memory.openKeys, keys),
      values: joinOpen(memory.openValues, values),
      logits: joinOpen(memory.openLogits, logits),
    };
    const closed = complete * c;
    const rest = offset + x.size(1) - closed;
    const open = {
      openKeys: lastTokens(all.keys, rest),
      openValues: lastTokens(all.values, rest),
      openLogits: lastTokens(all.logits, rest),
    };
    let chunkKeys = memory.chunkKeys;
    let chunkValues = memory.chunkValues;
    if (complete > 0) {
      const norm = this.dual_ln_dproj as LayerNorm;
      const weights = chunkWeights(all.logits.narrow(1, 0, closed), c, N);
      const compress = (tokens: Tensor) => norm.forward(compressChunks(tokens.narrow(1, 0, closed), weights));
      chunkKeys = cat([chunkKeys, compress(all.keys)], 1);
      chunkValues = cat([chunkValues, compress(all.values)], 1);
    }
    const visible = (remembered + rows - 1) * R; // a chunk that the segment's last token completes is seen by none of it
    return {
      open,
      visible: { keys: chunkKeys.narrow(1, 0, visible), values: chunkValues.narrow(1, 0, visible) },
      kept: {
        chunkKeys: lastTokens(chunkKeys, (memoryLength / c) * R),
        chunkValues: lastTokens(chunkValues, (memoryLength / c) * R),
      },
    };
  }
}

/** (N, B, G, S, H) → (B, T, D). */
function finish(output: Tensor, tiling: Tiling): Tensor {
  return mergeHeads(untileQueries(output, tiling));
}

/** A layer without a long-range part carries the (empty) long-range memory along. */
function noChunks(memory: CausalMemory) {
  const { openKeys, openValues, openLogits, chunkKeys, chunkValues } = memory;
  return {
    open: { openKeys, openValues, openLogits },
    visible: { keys: chunkKeys, values: chunkValues },
    kept: { chunkKeys, chunkValues },
  };
}

function joinOpen(open: Tensor, current: Tensor): Tensor {
  return open.size(1) === 0 ? current : cat([open, current], 1);
}

/** The last `count` of (B, L, X) along L, or all where there are fewer. */
function lastTokens(x: Tensor, count: number): Tensor {
  const L = x.size(1);
  return count >= L ? x : x.narrow(1, L - count, count);
}

/** (B, at most W-1+T, D) → (B, W-1+T, D): zeros stand for tokens before the start of the stream. */
function withMissing(x: Tensor, W: number, T: number): Tensor {
  const missing = W - 1 + T - x.size(1);
  return missing > 0 ? x.pad([0, 0, missing, 0]) : x;
}

/** (G, 1, Y), 0 or -infinity: the columns of each tile that lie before the start of the stream. */
function maskOfMissing(missing: number, scores: Tensor, tiling: Tiling): Tensor {
  const present = tiling.queries + tiling.window - 1 - missing;
  const there = zeros([present], { dtype: scores.dtype, device: scores.device });
  return tileColumns(there.pad([missing, 0], Number.NEGATIVE_INFINITY), tiling);
}

/** (W-1+T) → (G, 1, Y): what is added to the columns of each tile; 0 behind the last. */
function tileColumns(columns: Tensor, tiling: Tiling): Tensor {
  const { tile, tiles, window } = tiling;
  const extra = surplus(tiling);
  return (extra > 0 ? columns.pad([0, extra]) : columns)
    .unfold(0, tile + window - 1, tile)
    .reshape([tiles, 1, tile + window - 1]);
}
