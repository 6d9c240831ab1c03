/**
 * Causal attention in steps of a fixed number of tokens, with a memory of a fixed size: the same results as causal.ts, whose memory grows
 * with the stream at first, from operators that are the same at every step. That is what can be exported.
 *
 * A step is of one token, at any place of the stream, or of whole chunks that begin where a chunk begins.
 *
 * Shape letters: B batch, T tokens of the step, W window, c chunk size, R rank, D width, N heads, m chunks in memory.
 */
import {
  ArgumentError,
  arange,
  cat,
  type LayerNorm,
  type Linear,
  type Tensor,
  where,
  zeros,
} from '@transformer-ls/torch';
import type { CausalAttention, HiddenTokens, PositionKeys, SeenTokens } from './causal.js';
import { mergeHeads, splitHeads } from './heads.js';
import { jointSoftmax } from './joint-softmax.js';
import { chunkWeights, compressChunks } from './projection.js';

/** What one layer remembers. What the stream has not filled yet is hidden by its position. */
export type StepMemory = {
  /** (N, B, W-1, H): normalised keys and values of the window, the newest last. */
  windowKeys: Tensor;
  windowValues: Tensor;
  /** (B, c-1, D) and (…, N*R): projections and weight logits of the last tokens; all of a chunk but its last, when it comes. */
  openKeys: Tensor;
  openValues: Tensor;
  openLogits: Tensor;
  /** (N, B, m*R, H): normalised compressed keys and values, the newest last. */
  chunkKeys: Tensor;
  chunkValues: Tensor;
};

/** What all layers of a step share. */
export interface StepPlace {
  readonly tokens: number;
  readonly hidden: HiddenTokens;
  /** (1) bool, whether the token is the last of its chunk; null for a step of whole chunks. */
  readonly completes: Tensor | null;
}

export interface StepResult {
  /** (B, T, D) */
  readonly output: Tensor;
  readonly memory: StepMemory;
  /** Of a step of one token. */
  readonly weights: TokenWeights | null;
}

/** What one token takes; both together sum to 1. */
export interface TokenWeights {
  /** (N, B, 1, W): from the tokens of its window, itself the last. */
  readonly window: Tensor;
  /** (N, B, 1, m*R): from the compressed chunks, the newest last; null where there are none. */
  readonly chunks: Tensor | null;
}

type StepSizes = CausalAttention['config'];

/** The memory of a stream that has not begun. */
export function emptyStepMemory(attention: CausalAttention, batch: number): StepMemory {
  const { modelDim: D, windowSize: W, chunkSize: c, heads: N, projectionRank: R } = attention.config;
  const { dtype, device } = attention.proj_query.weight;
  const room = (...shape: number[]) => zeros(shape, { dtype, device });
  const slots = rememberedSlots(attention.config);
  const open = slots === 0 ? 0 : c - 1;
  return {
    windowKeys: room(N, batch, W - 1, D / N),
    windowValues: room(N, batch, W - 1, D / N),
    openKeys: room(batch, open, D),
    openValues: room(batch, open, D),
    openLogits: room(batch, open, N * R),
    chunkKeys: room(N, batch, slots, D / N),
    chunkValues: room(N, batch, slots, D / N),
  };
}

/**
 * Where T tokens lie that come after `position` others.
 *
 * @param position (1) int64
 * @throws ArgumentError for a number of tokens that is neither 1 nor whole chunks
 */
export function placeStep(config: StepSizes, tokens: number, position: Tensor): StepPlace {
  const { windowSize: W, chunkSize: c, projectionRank: R } = config;
  const slots = rememberedSlots(config);
  if (tokens !== 1 && tokens % c !== 0)
    throw new ArgumentError(`expected steps of 1 token or of a multiple of ${c}, received ${tokens}`);
  // Key i of the window is token position + i - (W-1) of the stream.
  const window = hiddenWhere(
    arange(0, W - 1 + tokens)
      .add(position)
      .lt(W - 1),
  );
  if (slots === 0) return { tokens, hidden: { window, chunks: null }, completes: null };
  // The chunk before the newest k is there when (k+1)*c tokens are.
  const seen = tokens === 1 ? slots : slots + (tokens / c) * R - R;
  const needed = arange(0, seen)
    .floorDivide(R)
    .mul(-c)
    .add((slots / R) * c);
  const chunks = hiddenWhere(needed.sub(position).gt(0));
  const completes = tokens === 1 ? position.add(1).remainder(c).eq(0) : null;
  return { tokens, hidden: { window, chunks }, completes };
}

/** x (B, T, D) → output (B, T, D), and the memory after these tokens. */
export function attendStep(
  attention: CausalAttention,
  x: Tensor,
  memory: StepMemory,
  positions: PositionKeys,
  place: StepPlace,
): StepResult {
  const { windowSize: W, heads: N } = attention.config;
  const { tokens: T } = place;
  const keys = attention.proj_key.forward(x);
  const values = attention.proj_val.forward(x);
  const joined = (before: Tensor, tokens: Tensor) =>
    cat([before, splitHeads(attention.dual_ln_win.forward(tokens), N)], 2);
  const windowKeys = joined(memory.windowKeys, keys);
  const windowValues = joined(memory.windowValues, values);
  const chunks = place.hidden.chunks === null ? null : extend(attention, x, keys, values, memory, place);
  const seen = {
    windowKeys,
    windowValues,
    chunkKeys: chunks?.seenKeys ?? memory.chunkKeys,
    chunkValues: chunks?.seenValues ?? memory.chunkValues,
  };
  const query = attention.proj_query.forward(x);
  const weights = T === 1 ? tokenWeights(attention, query, seen, positions, place.hidden) : null;
  const attended =
    weights === null ? attendChunks(attention, query, seen, positions, place) : attendToken(weights, seen);
  const next = {
    windowKeys: windowKeys.narrow(2, T, W - 1),
    windowValues: windowValues.narrow(2, T, W - 1),
    ...(chunks?.memory ?? untouched(memory)),
  };
  return { output: attention.proj_out.forward(attended), memory: next, weights };
}

/** Whole chunks, as causal.ts composes them. (B, T, D). */
function attendChunks(
  attention: CausalAttention,
  query: Tensor,
  seen: SeenTokens,
  positions: PositionKeys,
  { tokens, hidden }: StepPlace,
): Tensor {
  const rows = tokens / attention.config.chunkSize;
  const slots = rememberedSlots(attention.config);
  const place = { offset: 0, rows, complete: rows, remembered: slots, reach: slots };
  const whole = {
    windowKeys: mergeHeads(seen.windowKeys),
    windowValues: mergeHeads(seen.windowValues),
    chunkKeys: mergeHeads(seen.chunkKeys),
    chunkValues: mergeHeads(seen.chunkValues),
  };
  return attention.composed(query, whole, positions, place, hidden);
}

/** One token: its query meets keys where they lie, without tiles. */
function tokenWeights(
  attention: CausalAttention,
  projected: Tensor,
  { windowKeys, chunkKeys }: SeenTokens,
  positions: PositionKeys,
  hidden: HiddenTokens,
): TokenWeights {
  const { heads: N, modelDim: D } = attention.config;
  const query = splitHeads(projected, N).mul(1 / Math.sqrt(D / N)); // (N, B, 1, H)
  /** Scores (N, B, 1, X) of keys (N, B, X, H) by content, and of (N, H, X) by distance. */
  const scores = (keys: Tensor, toContent: Tensor, distances: Tensor, toDistance: Tensor) =>
    keys
      .matmul(toContent.transpose(2, 3))
      .transpose(2, 3)
      .add(toDistance.matmul(distances.unsqueeze(1)));
  const window = scores(
    windowKeys,
    query.add(attention.r_w_bias.reshape([N, 1, 1, D / N])),
    positions.window,
    query.add(attention.r_r_bias.reshape([N, 1, 1, D / N])),
  ).add(hidden.window);
  if (hidden.chunks === null) return { window: window.softmax(-1), chunks: null };
  const chunks = scores(chunkKeys, query, positions.chunks as Tensor, query).add(hidden.chunks);
  const [toChunks, toWindow] = jointSoftmax(chunks, window);
  return { window: toWindow, chunks: toChunks };
}

/** (B, 1, D). */
function attendToken({ window, chunks }: TokenWeights, { windowValues, chunkValues }: SeenTokens): Tensor {
  const fromWindow = window.matmul(windowValues);
  return mergeHeads(chunks === null ? fromWindow : fromWindow.add(chunks.matmul(chunkValues)));
}

function untouched({ openKeys, openValues, openLogits, chunkKeys, chunkValues }: StepMemory) {
  return { openKeys, openValues, openLogits, chunkKeys, chunkValues };
}

/** Chunks after this step, and those that its tokens see: none of them sees the chunk of the last one. */
function extend(
  attention: CausalAttention,
  x: Tensor,
  keys: Tensor,
  values: Tensor,
  memory: StepMemory,
  { tokens: T, completes }: StepPlace,
) {
  const { chunkSize: c, heads: N, projectionRank: R } = attention.config;
  const slots = rememberedSlots(attention.config);
  const logits = (attention.dconv_1 as Linear).forward(x);
  const all = {
    keys: cat([memory.openKeys, keys], 1),
    values: cat([memory.openValues, values], 1),
    logits: cat([memory.openLogits, logits], 1),
  };
  const last = (tokens: Tensor, count: number) => tokens.narrow(1, tokens.size(1) - count, count);
  const complete = Math.max(T, c);
  const weights = chunkWeights(last(all.logits, complete), c, N);
  const norm = attention.dual_ln_dproj as LayerNorm;
  const grow = (before: Tensor, tokens: Tensor) => {
    const compressed = norm.forward(compressChunks(last(tokens, complete), weights));
    const joined = cat([before, splitHeads(compressed, N)], 2);
    const after = joined.narrow(2, joined.size(2) - slots, slots);
    return {
      seen: completes === null ? joined.narrow(2, 0, joined.size(2) - R) : before,
      after: completes === null ? after : where(completes, after, before),
    };
  };
  const grownKeys = grow(memory.chunkKeys, all.keys);
  const grownValues = grow(memory.chunkValues, all.values);
  return {
    seenKeys: grownKeys.seen,
    seenValues: grownValues.seen,
    memory: {
      openKeys: last(all.keys, c - 1),
      openValues: last(all.values, c - 1),
      openLogits: last(all.logits, c - 1),
      chunkKeys: grownKeys.after,
      chunkValues: grownValues.after,
    },
  };
}

/** Compressed vectors in a full memory. */
function rememberedSlots({ memoryLength, chunkSize, projectionRank }: StepSizes): number {
  return (memoryLength / chunkSize) * projectionRank;
}

/** 0, and -infinity where true. */
function hiddenWhere(hidden: Tensor): Tensor {
  return zeros(hidden.shape).maskedFill(hidden, Number.NEGATIVE_INFINITY);
}
