/**
 * Long-short attention on a grid (spec 4.1), fused or composed of plain operators: a segment's queries see a square of keys around the
 * segment, R vectors per head that the whole grid is compressed to, and C global tokens, under one softmax.
 *
 * Shape letters: B batch, D width, N heads, H = D/N, T tokens of the grid, C global tokens, R rank, W window, G segments,
 * S = W² queries of a segment, Y keys that it sees.
 */
import {
  ArgumentError,
  cat,
  dropout,
  init,
  LayerNorm,
  Linear,
  Module,
  operator,
  scope,
  type Tensor,
  zeros,
} from '@transformer-ls/torch';
import { asHeads, attentionFused, poolTokens, weightDropout, windowAttention } from './fused.js';
import { mergeRows, splitRows } from './grid-heads.js';
import {
  type Grid,
  type GridTiling,
  gridTiling,
  isRagged,
  keysAround,
  offGridScores,
  surplusQueries,
  tileGrid,
  untileGrid,
} from './grid-windows.js';
import { jointSoftmax, softmaxOver } from './joint-softmax.js';
import { logitRows } from './projection.js';
import { biasesOf, windowBiasIndex } from './relative-bias.js';

export interface GridAttentionConfig {
  readonly modelDim: number;
  readonly heads: number;
  /** 0: no window. */
  readonly windowSize: number;
  /** 0: the grid is not compressed. */
  readonly projectionRank: number;
  readonly globalTokens: number;
  /** Whether window scores get a learned bias by displacement. */
  readonly relativeBias: boolean;
  /** Factor of the queries; null: 1/sqrt(H). */
  readonly scoreScale: number | null;
  readonly attentionDropout: number;
  /** Added to the variances in the norms of keys and values. Default: 1e-6; as published 1e-5 in reference mode (quirk 15). */
  readonly normEpsilon?: number;
  /** reference: square grids of whole windows, at most one global token, the published bias table. */
  readonly mode: 'consistent' | 'reference';
}

/** Weights of one forward pass, before dropout; those of a token over window, slots and global tokens sum to 1. */
export interface ObservedGridWeights {
  readonly grid: Grid;
  /** Of each token over the square around its segment, (B, N, G, S, Y), 0 off the grid; null: no window. */
  readonly window: { readonly weights: Tensor; readonly tiling: GridTiling } | null;
  /** Of each token over the R slots and then the C global tokens, (B, N, G, S, R + C), without a window (B, N, 1, T, R + C); null: neither. */
  readonly shared: Tensor | null;
  /** Of each slot over the tokens that it is made of, (B, N, R, T); null: no slots. */
  readonly projection: Tensor | null;
  /** Of each global token over the global tokens, (B, N, C, C), and over the results of the tokens in the order of the segments, (B, N, C, G * S). */
  readonly global: { readonly toGlobal: Tensor; readonly toTokens: Tensor } | null;
}

/** Is called in the forward pass; the tensors are freed soon after, so that what is wanted must be copied at once. */
export type GridWeightsObserver = (weights: ObservedGridWeights) => void;

const NORM_EPSILON = { reference: 1e-5, consistent: 1e-6 };

/** What the queries, keys and values come from, and what becomes of the result, is for each model to say. */
export abstract class GridAttention extends Module {
  observer: GridWeightsObserver | null = null;
  /** D → N*R logits of the weights by which the grid is compressed; absent where the rank is 0. */
  protected readonly to_dynamic_projection: Linear | null;
  /** Norm of the compressed keys and values. */
  protected readonly dual_ln_dp: LayerNorm;
  /** Norm of all keys and values, before they are seen or compressed. */
  protected readonly dual_ln_full: LayerNorm;
  /** (entries, N) */
  protected readonly local_relative_position_bias_table: Tensor | null;
  /** (S, Y) int64 */
  private readonly relative_position_index: Tensor | null;

  constructor(readonly config: GridAttentionConfig) {
    super();
    const { modelDim: D, heads: N, projectionRank: R, windowSize: W, relativeBias, mode } = config;
    const epsilon = config.normEpsilon ?? NORM_EPSILON[mode];
    this.to_dynamic_projection =
      R > 0 ? this.child('to_dynamic_projection', new Linear({ inFeatures: D, outFeatures: N * R })) : null;
    this.dual_ln_dp = this.child('dual_ln_dp', new LayerNorm({ dim: D, epsilon }));
    this.dual_ln_full = this.child('dual_ln_full', new LayerNorm({ dim: D, epsilon }));
    if (!relativeBias || W === 0) {
      this.local_relative_position_bias_table = null;
      this.relative_position_index = null;
      return;
    }
    const { index, entries } = windowBiasIndex(W, mode);
    const table = init.truncNormal_(zeros([entries, N]), 0, 0.02);
    this.local_relative_position_bias_table = this.parameter('local_relative_position_bias_table', table);
    // The published files hold it, and colliding as it is, it is part of the model.
    this.relative_position_index = this.buffer('relative_position_index', index, {
      persistent: mode === 'reference',
    });
  }

  /**
   * What attention works on, of projected queries, keys and values (B, C + T, D) with the global tokens first: keys and values
   * normalised. To be called in a scope of its own, which frees what it is made from.
   *
   * @param logits (B, C + T, N*R) of the dynamic projection, where they were made with the others
   */
  protected prepared(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    logits: Tensor | null = null,
  ): PreparedTokens {
    return {
      query,
      keys: this.dual_ln_full.forward(key),
      values: this.dual_ln_full.forward(value),
      logits,
    };
  }

  /**
   * @param input (B, C + T, D), what the compression is computed from
   * @returns (B, C + T, D)
   * @throws ArgumentError where the grid is none of this mode
   */
  protected attend(tokens: PreparedTokens, input: Tensor, grid: Grid): Tensor {
    const { windowSize: W } = this.config;
    this.checkGrid(grid, input);
    const tiling = W === 0 ? null : gridTiling(grid, W);
    return this.isFused(tokens.query)
      ? this.fused(tokens, input, grid, tiling)
      : this.composed(tokens, input, grid, tiling);
  }

  /** Whether `attend` takes the operators that keep no scores, for tokens such as these. */
  protected isFused(like: Tensor): boolean {
    const { modelDim, heads } = this.config;
    return this.observer === null && attentionFused(like, modelDim / heads);
  }

  private composed(
    { query: unscaled, keys, values }: PreparedTokens,
    input: Tensor,
    grid: Grid,
    tiling: GridTiling | null,
  ): Tensor {
    const { heads: N, globalTokens: C } = this.config;
    const query = unscaled.mul(this.scale());
    const projection = scope(() => this.projection(onGrid(input, C)));
    const shared = scope(() => this.sharedKeys(projection, keys, values));
    const weights = scope(() => this.weights(onGrid(query, C), shared, onGrid(keys, C), tiling));
    const tokens = scope(() => this.results(weights, shared, onGrid(values, C), tiling)); // (B, N, G, S, H)
    const global = C === 0 ? null : scope(() => this.globalWeights(query, keys, tokens, tiling));
    this.observer?.({
      grid,
      window: weights.short === null || tiling === null ? null : { weights: weights.short, tiling },
      shared: weights.long,
      projection,
      global,
    });
    const result = tiling === null ? mergeRows(tokens.squeeze(2)) : untileGrid(tokens, tiling); // (B, T, D)
    if (global === null) return result;
    return cat([globalResult(global, splitRows(values.narrow(1, 0, C), N), tokens), result], 1);
  }

  /** The same by operators that keep no scores. */
  private fused(tokens: PreparedTokens, input: Tensor, grid: Grid, tiling: GridTiling | null): Tensor {
    const { heads: N, globalTokens: C, windowSize: W, attentionDropout } = this.config;
    const query = parted(tokens.query, C);
    const keys = parted(tokens.keys, C);
    const values = parted(tokens.values, C);
    const result = scope(() =>
      windowAttention({
        query: asHeads(query.grid, N),
        keys: asHeads(keys.grid, N),
        values: asHeads(values.grid, N),
        shared: this.fusedShared(tokens.logits, input, keys, values),
        bias: tiling === null ? null : this.biasOfAll(tiling, tokens.query),
        visible: null,
        grid: [grid.rows, grid.columns],
        window: [W, W],
        reach: [tiling?.reach ?? 0, tiling?.reach ?? 0],
        scale: this.scale(),
        dropout: weightDropout(attentionDropout, this.training),
      }).flatten(2),
    ); // (B, T, D)
    if (query.global === null || values.global === null) return result;
    const [ofQuery, ofValues] = [query.global, values.global];
    const first = scope(() => {
      const asSegment = splitRows(result, N).unsqueeze(2);
      const weights = this.globalWeights(ofQuery.mul(this.scale()), tokens.keys, asSegment, null);
      return globalResult(weights, splitRows(ofValues, N), asSegment);
    });
    return cat([first, result], 1);
  }

  /** (B, R + C, N, H) each: the slots, normalised once more, then the global tokens; null where there are neither. */
  private fusedShared(
    ready: Tensor | null,
    input: Tensor,
    keys: PartedTokens,
    values: PartedTokens,
  ): SharedKeys | null {
    const { heads: N, globalTokens: C } = this.config;
    const logits = ready === null ? this.to_dynamic_projection?.forward(onGrid(input, C)) : onGrid(ready, C);
    if (logits === undefined && C === 0) return null;
    const pooled =
      logits === undefined
        ? null
        : poolTokens(asHeads(logits, N), asHeads(keys.grid, N), asHeads(values.grid, N), null);
    const finish = (global: Tensor | null, slots: Tensor | undefined) => {
      const parts = [
        ...(slots === undefined ? [] : [this.dual_ln_dp.forward(slots.flatten(2))]),
        ...(global === null ? [] : [global]),
      ];
      return asHeads(parts.length === 1 ? parts[0]! : cat(parts, 1), N);
    };
    return { keys: finish(keys.global, pooled?.keys), values: finish(values.global, pooled?.values) };
  }

  private scale(): number {
    const { modelDim, heads, scoreScale } = this.config;
    return scoreScale ?? 1 / Math.sqrt(modelDim / heads);
  }

  private checkGrid({ rows, columns }: Grid, { shape }: Tensor): void {
    const { globalTokens: C, windowSize: W, mode } = this.config;
    if (shape[1] !== C + rows * columns)
      throw new ArgumentError(
        `expected ${C} + ${rows} * ${columns} tokens (global ones first), received ${shape[1]}`,
      );
    if (mode === 'consistent') return;
    if (rows !== columns || (W > 0 && rows % W !== 0))
      throw new ArgumentError(
        `expected a square grid of whole windows of ${W} in reference mode, received ${rows} x ${columns}`,
      );
    if (C > 1) throw new ArgumentError(`expected at most 1 global token in reference mode, received ${C}`);
  }

  /** Weights (B, N, R, T) by which the grid is compressed; null where the rank is 0. */
  private projection(tokens: Tensor): Tensor | null {
    if (this.to_dynamic_projection === null) return null;
    const logits = logitRows(this.to_dynamic_projection, tokens); // (B, N*R, T)
    const [B, slots, T] = logits.shape as [number, number, number];
    const { heads } = this.config;
    return softmaxOver(logits, -1).reshape([B, heads, slots / heads, T]);
  }

  /** Keys and values that all tokens see: R slots, normalised once more, then the C global tokens. */
  private sharedKeys(projection: Tensor | null, keys: Tensor, values: Tensor): SharedKeys | null {
    const { heads: N, globalTokens: C } = this.config;
    const of = (all: Tensor): Tensor | null => {
      const slots =
        projection === null
          ? []
          : [this.dual_ln_dp.forward(mergeRows(projection.matmul(splitRows(onGrid(all, C), N))))];
      const parts = C === 0 ? slots : [...slots, all.narrow(1, 0, C)];
      if (parts.length === 0) return null;
      return splitRows(parts.length === 1 ? parts[0]! : cat(parts, 1), N).contiguous();
    };
    const [sharedKeys, sharedValues] = [of(keys), of(values)];
    return sharedKeys === null || sharedValues === null ? null : { keys: sharedKeys, values: sharedValues };
  }

  private queriesOf(tokens: Tensor, tiling: GridTiling | null): Tensor {
    const { heads: N } = this.config;
    return tiling === null ? splitRows(tokens, N).contiguous().unsqueeze(2) : tileGrid(tokens, N, tiling);
  }

  /** One softmax over what each token sees. */
  private weights(
    query: Tensor,
    shared: SharedKeys | null,
    keys: Tensor,
    tiling: GridTiling | null,
  ): GridWeights {
    const queries = this.queriesOf(query, tiling); // (B, N, G, S, H)
    const toShared = shared === null ? null : withShared(queries, shared.keys.transpose(-1, -2));
    if (tiling === null) return { long: softmaxOver(toShared as Tensor, -1), short: null };
    const toWindow = scope(() => {
      const around = keysAround(keys, this.config.heads, tiling);
      return queries.matmul(around.transpose(-1, -2)).add(this.windowBias(tiling, queries));
    });
    if (toShared === null) return { long: null, short: softmaxOver(toWindow, -1) };
    const [long, short] = jointSoftmax(toShared, toWindow);
    return { long, short };
  }

  /** What is added to window scores: the bias by displacement, and -infinity off the grid. (N or 1, G, S or 1, Y). */
  private windowBias(tiling: GridTiling, like: Tensor): Tensor {
    const outside = offGridScores(tiling, like);
    return this.relativeBias(like)?.unsqueeze(1).add(outside) ?? outside;
  }

  /** As it is, or spread over all keys: a published window of 1 has a single entry (quirk 15). (N, S, Y). */
  private biasOfAll({ window, reach }: GridTiling, like: Tensor): Tensor | null {
    return this.relativeBias(like)?.expand([-1, window ** 2, (window + 2 * reach) ** 2]) ?? null;
  }

  /** The bias by displacement, (N, S, Y); null: none. */
  private relativeBias(like: Tensor): Tensor | null {
    const table = this.local_relative_position_bias_table;
    if (table === null || this.relative_position_index === null) return null;
    return biasesOf(table, this.relative_position_index).to(like.dtype);
  }

  /** What each token takes, (B, N, G, S, H). */
  private results(
    { long, short }: GridWeights,
    shared: SharedKeys | null,
    values: Tensor,
    tiling: GridTiling | null,
  ): Tensor {
    const fromShared = long === null || shared === null ? null : withShared(this.drop(long), shared.values);
    if (short === null || tiling === null) return fromShared as Tensor;
    const fromWindow = this.drop(short).matmul(keysAround(values, this.config.heads, tiling));
    return fromShared === null ? fromWindow : fromWindow.add(fromShared);
  }

  /** Global tokens see one another, and the *results* of the tokens as their keys and values (spec 4.1 step 7). */
  private globalWeights(
    query: Tensor,
    keys: Tensor,
    tokens: Tensor,
    tiling: GridTiling | null,
  ): GlobalWeights {
    const { heads: N, globalTokens: C } = this.config;
    const own = splitRows(query.narrow(1, 0, C), N).contiguous(); // (B, N, C, H)
    const toGlobal = own.matmul(splitRows(keys.narrow(1, 0, C), N).transpose(-1, -2));
    const toAll = own.matmul(tokens.flatten(2, 3).transpose(-1, -2)); // (B, N, C, G * S)
    const toTokens =
      tiling !== null && isRagged(tiling)
        ? toAll.maskedFill(surplusQueries(tiling, toAll.device), Number.NEGATIVE_INFINITY)
        : toAll;
    const [first, second] = jointSoftmax(toGlobal, toTokens);
    return { toGlobal: first, toTokens: second };
  }

  private drop(weights: Tensor): Tensor {
    return dropout(weights, this.config.attentionDropout, this.training);
  }
}

/** (B, C + T, D) each, global tokens first. */
export interface PreparedTokens {
  /** (B, C + T, N*R) or null: still to be made. */
  readonly logits: Tensor | null;
  readonly query: Tensor;
  readonly keys: Tensor;
  readonly values: Tensor;
}

/** Of the global tokens over one another, (B, N, C, C), and over the results of the tokens, (B, N, C, G * S). */
interface GlobalWeights {
  readonly toGlobal: Tensor;
  readonly toTokens: Tensor;
}

/** What the global tokens take: of their own values (B, N, C, H), and of the results (B, N, G, S, H). (B, C, D). */
function globalResult({ toGlobal, toTokens }: GlobalWeights, values: Tensor, tokens: Tensor): Tensor {
  return mergeRows(toGlobal.matmul(values).add(toTokens.matmul(tokens.flatten(2, 3))));
}

/** (B, N, R + C, H) each, for the fused operators (B, R + C, N, H). */
interface SharedKeys {
  readonly keys: Tensor;
  readonly values: Tensor;
}

interface GridWeights {
  /** (B, N, G, S, R + C) */
  readonly long: Tensor | null;
  /** (B, N, G, S, Y) */
  readonly short: Tensor | null;
}

/** The tokens of the grid, without the global ones before them: (B, C + T, X) → (B, T, X). */
function onGrid(x: Tensor, globalTokens: number): Tensor {
  return globalTokens === 0 ? x : x.narrow(1, globalTokens, x.size(1) - globalTokens);
}

/** (B, N, G, S, X) times (B, N, X, Z) that all segments share, as one product a head: (B, N, G, S, Z). */
function withShared(x: Tensor, shared: Tensor): Tensor {
  const [B, N, G, S, X] = x.shape as [number, number, number, number, number];
  return x
    .reshape([B, N, G * S, X])
    .matmul(shared)
    .reshape([B, N, G, S, shared.size(-1)]);
}

/** Global tokens (B, C, D), null where there are none, and those of the grid (B, T, D). */
interface PartedTokens {
  readonly global: Tensor | null;
  readonly grid: Tensor;
}

const splitWithSizes = operator('aten::split_with_sizes');

/** Views. The gradient of a split is one concatenation; those of slices would be as many sums of zeros. */
function parted(x: Tensor, globalTokens: number): PartedTokens {
  if (globalTokens === 0) return { global: null, grid: x };
  const [global, grid] = splitWithSizes(x, [globalTokens, x.size(1) - globalTokens], 1) as [Tensor, Tensor];
  return { global, grid };
}
