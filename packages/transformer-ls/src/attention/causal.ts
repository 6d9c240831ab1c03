/**
 * Causal long-short attention with memory, in the form whose results do not depend on how the input is cut (design section
 * 4, `consistent`): each query sees its window of W tokens and the compressed chunks before its own, up to a maximum counted
 * from its own chunk. Chunks lie at multiples of c of the stream's positions; one rule compresses them all: project, pool
 * per chunk, normalise. Nothing is padded into the memory and nothing empty is attended to.
 *
 * Shape letters: B batch, T tokens of the segment, W window, c chunk size, R rank, D width, N heads, H head size, m chunks in
 * memory, rows = chunks that the segment touches, G tiles of S queries with Y keys.
 */
import {
  ArgumentError,
  cat,
  extendTogether,
  forwardAll,
  type LayerNorm,
  type Linear,
  type ShardedSequence,
  type Tensor,
  zeros,
} from '@transformer-ls/torch';
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
  reach(T: number, memory: CausalMemory, sequence: ShardedSequence | null = null): number {
    return this.place(T, memory, sequence).reach;
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
   * @param sequence of which x is this process's stretch, whole chunks; the memory is of what came before the whole of it. null: x is all
   * @returns output (B, T, D), and the memory after these tokens; of a sequence that is spread, the last process's is that of the stream
   */
  forward(
    x: Tensor,
    memory: CausalMemory,
    positions: PositionKeys,
    sequence: ShardedSequence | null = null,
  ): { output: Tensor; memory: CausalMemory } {
    const { windowSize: W, chunkSize: c, projectionRank: R, memoryLength } = this.config;
    const maps = [this.proj_query, this.proj_key, this.proj_val];
    const [query, keys, values] = forwardAll(maps, x) as [Tensor, Tensor, Tensor];
    const place = this.place(x.size(1), memory, sequence);
    const chunks = this.closeChunks(x, keys, values, memory, place);
    const window = { sequence, most: W - 1 };
    const slots = { sequence: sequence?.per(c, R) ?? null, most: (memoryLength / c) * R };
    const [windowKeys, windowValues, chunkKeys, chunkValues] = follow([
      { memory: memory.windowKeys, own: this.dual_ln_win.forward(keys), ...window },
      { memory: memory.windowValues, own: this.dual_ln_win.forward(values), ...window },
      { memory: memory.chunkKeys, own: chunks.keys, ...slots },
      { memory: memory.chunkValues, own: chunks.values, ...slots },
    ]) as [Tensor, Tensor, Tensor, Tensor];
    const visible = this.visibleChunks(place); // a chunk that the segment's last token completes is seen by none of it
    const seen = {
      windowKeys,
      windowValues,
      chunkKeys: chunkKeys.narrow(1, 0, visible),
      chunkValues: chunkValues.narrow(1, 0, visible),
    };
    const attended = attentionFused(query, query.size(2) / this.config.heads)
      ? this.fused(query, seen, positions, place)
      : this.composed(query, seen, positions, place);
    const next = {
      windowKeys: lastTokens(windowKeys, W - 1),
      windowValues: lastTokens(windowValues, W - 1),
      ...chunks.open,
      chunkKeys: lastTokens(chunkKeys, slots.most),
      chunkValues: lastTokens(chunkValues, slots.most),
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

  private place(T: number, memory: CausalMemory, sequence: ShardedSequence | null): Placement {
    const { chunkSize: c, projectionRank: R, memoryLength } = this.config;
    const offset = memory.openKeys.size(1);
    if (sequence !== null) refuseOpenChunks(sequence, offset, c);
    const rows = Math.ceil((offset + T) / c);
    const chunksBefore = R === 0 ? 0 : memory.chunkKeys.size(1) / R;
    const remembered =
      sequence === null ? chunksBefore : Math.min(memoryLength / c, chunksBefore + sequence.start / c);
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

  /** Compressed vectors of the memory and of the segment that some of its queries may see. */
  private visibleChunks({ remembered, rows }: Placement): number {
    const { projectionRank: R, memoryLength } = this.config;
    return R === 0 || memoryLength === 0 ? 0 : (remembered + rows - 1) * R;
  }

  /** Compresses the chunks that this segment completes: keys and values (B, chunks*R, D), null where it completes none. */
  private closeChunks(x: Tensor, keys: Tensor, values: Tensor, memory: CausalMemory, place: Placement) {
    const { chunkSize: c, heads: N, projectionRank: R, memoryLength } = this.config;
    const { openKeys, openValues, openLogits } = memory;
    if (R === 0 || memoryLength === 0)
      return { open: { openKeys, openValues, openLogits }, keys: null, values: null };
    const logits = (this.dconv_1 as Linear).forward(x);
    const all = {
      keys: joinOpen(openKeys, keys),
      values: joinOpen(openValues, values),
      logits: joinOpen(openLogits, logits),
    };
    const closed = place.complete * c;
    const rest = place.offset + x.size(1) - closed;
    const open = {
      openKeys: lastTokens(all.keys, rest),
      openValues: lastTokens(all.values, rest),
      openLogits: lastTokens(all.logits, rest),
    };
    if (closed === 0) return { open, keys: null, values: null };
    const norm = this.dual_ln_dproj as LayerNorm;
    const weights = chunkWeights(all.logits.narrow(1, 0, closed), c, N);
    const compress = (tokens: Tensor) => norm.forward(compressChunks(tokens.narrow(1, 0, closed), weights));
    return { open, keys: compress(all.keys), values: compress(all.values) };
  }
}

interface Following {
  /** (B, M, D) */
  readonly memory: Tensor;
  /** (B, T, D); null: nothing is added. */
  readonly own: Tensor | null;
  /** Where `own` is a process's part of this: how many of all that lie before it are wanted, at most. */
  readonly sequence: ShardedSequence | null;
  readonly most: number;
}

/**
 * Tokens behind those of the memory: (B, M, D) and (B, T, D) → (B, M + T, D). In a sequence that is spread over processes, those of the
 * processes before lie between them.
 */
function follow(followings: readonly Following[]): Tensor[] {
  const extensions = followings.flatMap(({ own, sequence, most }) =>
    own === null || sequence === null ? [] : [{ sequence, x: own, before: most, after: 0 }],
  );
  // All in one exchange: the first process may have no use for chunks.
  const extended = extensions.length === 0 ? [] : [...extendTogether(extensions)];
  return followings.map(({ memory, own, sequence, most }) => {
    if (own === null) return memory;
    if (sequence === null) return cat([memory, own], 1);
    const tokens = extended.shift()!;
    const missing = most + own.size(1) - tokens.size(1);
    return missing === 0 ? tokens : cat([lastTokens(memory, missing), tokens], 1);
  });
}

/** Chunks lie at multiples of c of the stream: none may be begun in one process and end in another. */
function refuseOpenChunks({ lengths }: ShardedSequence, offset: number, c: number): void {
  const uneven = lengths.find((length) => length === 0 || length % c !== 0);
  if (offset > 0 || uneven !== undefined)
    throw new ArgumentError(
      `expected a sequence that begins at a chunk and stretches of whole chunks of ${c} tokens, received ` +
        (offset > 0 ? `${offset} tokens of a chunk before it` : `one of ${uneven}`),
    );
}

/** (N, B, G, S, H) → (B, T, D). */
function finish(output: Tensor, tiling: Tiling): Tensor {
  return mergeHeads(untileQueries(output, tiling));
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
