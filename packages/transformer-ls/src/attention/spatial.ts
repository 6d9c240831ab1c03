/**
 * The published attention of ViL-LS on a grid (spec 4.1) and its full attention (spec 4.3), under the published parameter names.
 *
 * Shape letters: B batch, D width, N heads, H = D/N, T tokens of the grid, C global tokens.
 */
import {
  ArgumentError,
  cat,
  Dropout,
  dropout,
  init,
  Linear,
  linearMaps,
  Module,
  scope,
  type Tensor,
  zeros,
} from '@transformer-ls/torch';
import { asHeads, attentionFused, weightDropout, windowAttention } from './fused.js';
import { GridAttention, type GridAttentionConfig } from './grid-attention.js';
import { mergeRows, splitRows } from './grid-heads.js';
import type { Grid } from './grid-windows.js';
import { softmaxOver } from './joint-softmax.js';
import { type BiasIndex, biasesOf, gridBiasIndex } from './relative-bias.js';

/** Attention of the tokens of a grid, and global tokens before them. */
export interface SpatialAttention extends Module {
  /** (B, C + T, D) → (B, C + T, D). @throws ArgumentError where the grid is none that it can have */
  forward(x: Tensor, grid: Grid): Tensor;
}

export interface SpatialAttentionConfig extends GridAttentionConfig {
  readonly queryKeyValueBiases: boolean;
  /** Dropout probability of the result. */
  readonly dropout: number;
}

export class LongShortSpatialAttention extends GridAttention implements SpatialAttention {
  private readonly qkv: Linear;
  private readonly proj: Linear;
  private readonly projDrop: Dropout;

  constructor(config: SpatialAttentionConfig) {
    super(config);
    const { modelDim: D, queryKeyValueBiases } = config;
    this.qkv = this.child(
      'qkv',
      new Linear({ inFeatures: D, outFeatures: 3 * D, bias: queryKeyValueBiases }),
    );
    this.proj = this.child('proj', new Linear({ inFeatures: D, outFeatures: D }));
    this.projDrop = this.child('proj_drop', new Dropout({ p: config.dropout }));
  }

  forward(x: Tensor, grid: Grid): Tensor {
    const beside = this.to_dynamic_projection !== null && this.isFused(x) ? [this.to_dynamic_projection] : [];
    const tokens = scope(() => this.prepared(...projections(x, this.qkv, beside)));
    const attended = scope(() => this.attend(tokens, x, grid));
    return this.projDrop.forward(this.proj.forward(attended));
  }
}

export interface FullSpatialAttentionConfig {
  readonly modelDim: number;
  readonly heads: number;
  readonly globalTokens: number;
  /** The grid that the biases are made for; null: no biases, and any grid. */
  readonly biasGrid: Grid | null;
  /** Factor of the queries; null: 1/sqrt(H). */
  readonly scoreScale: number | null;
  readonly queryKeyValueBiases: boolean;
  readonly attentionDropout: number;
  readonly dropout: number;
  readonly mode: 'consistent' | 'reference';
}

/** Weights (B, N, C + T, C + T) of one forward pass, before dropout. To be copied at once. */
export type FullWeightsObserver = (weights: Tensor, grid: Grid) => void;

/** Every token sees every token, with a bias by displacement and own biases from and to global tokens. */
export class FullSpatialAttention extends Module implements SpatialAttention {
  observer: FullWeightsObserver | null = null;
  private readonly biases: GridBiases | null;
  private readonly qkv: Linear;
  private readonly proj: Linear;
  private readonly projDrop: Dropout;

  /** @param biasIndex that of the bias grid, where several blocks share one: it has T * T places */
  constructor(
    readonly config: FullSpatialAttentionConfig,
    biasIndex: BiasIndex | null = null,
  ) {
    super();
    const { modelDim: D, heads: N, globalTokens: C, biasGrid, mode, queryKeyValueBiases } = config;
    this.biases =
      biasGrid === null
        ? null
        : this.makeBiases(biasIndex ?? gridBiasIndex(biasGrid), N, C, mode === 'reference');
    this.qkv = this.child(
      'qkv',
      new Linear({ inFeatures: D, outFeatures: 3 * D, bias: queryKeyValueBiases }),
    );
    this.proj = this.child('proj', new Linear({ inFeatures: D, outFeatures: D }));
    this.projDrop = this.child('proj_drop', new Dropout({ p: config.dropout }));
  }

  private makeBiases(places: BiasIndex, N: number, C: number, published: boolean): GridBiases {
    const { index, entries } = places;
    const learned = (name: string, shape: number[]) =>
      this.parameter(name, init.truncNormal_(zeros(shape), 0, 0.02));
    return {
      table: learned('local_relative_position_bias_table', [entries, N]),
      withGlobal:
        C === 0
          ? null
          : {
              local: learned('g2l_relative_position_bias', [2, N, C]),
              global: learned('g2g_relative_position_bias', [N, C, C]),
            },
      index: this.buffer('relative_position_index', index, { persistent: published }),
    };
  }

  forward(x: Tensor, grid: Grid): Tensor {
    this.checkGrid(x, grid);
    const attended = scope(() => this.attend(x, grid));
    return this.projDrop.forward(this.proj.forward(attended));
  }

  private attend(x: Tensor, grid: Grid): Tensor {
    const { modelDim, heads: N, scoreScale, attentionDropout } = this.config;
    const scale = scoreScale ?? 1 / Math.sqrt(modelDim / N);
    const [query, key, value] = projections(x, this.qkv);
    if (this.observer === null && attentionFused(x, modelDim / N))
      return this.fused(query, key, value, scale);
    const weights = scope(() => {
      const scores = splitRows(query.mul(scale), N).matmul(splitRows(key, N).transpose(-1, -2));
      return softmaxOver(this.biases === null ? scores : scores.add(this.bias(this.biases, scores)), -1);
    }); // (B, N, C + T, C + T)
    this.observer?.(weights, grid);
    return mergeRows(dropout(weights, attentionDropout, this.training).matmul(splitRows(value, N)));
  }

  /** The same by an operator that keeps no scores: all tokens are one segment. */
  private fused(query: Tensor, key: Tensor, value: Tensor, scale: number): Tensor {
    const { heads: N, attentionDropout } = this.config;
    const [query4, keys, values] = [query, key, value].map((all) => asHeads(all, N)) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    const tokens = query.size(1);
    return windowAttention({
      query: query4,
      keys,
      values,
      shared: null,
      bias: this.biases === null ? null : scope(() => this.bias(this.biases as GridBiases, query)),
      visible: null,
      grid: [1, tokens],
      window: [1, tokens],
      reach: [0, 0],
      scale,
      dropout: weightDropout(attentionDropout, this.training),
    }).flatten(2);
  }

  private checkGrid(x: Tensor, { rows, columns }: Grid): void {
    const { globalTokens: C, biasGrid } = this.config;
    if (x.size(1) !== C + rows * columns)
      throw new ArgumentError(
        `expected ${C} + ${rows} * ${columns} tokens (global ones first), received ${x.size(1)}`,
      );
    if (biasGrid !== null && (biasGrid.rows !== rows || biasGrid.columns !== columns))
      throw new ArgumentError(
        `expected the grid of ${biasGrid.rows} x ${biasGrid.columns} that the biases of full attention are made for, received ${rows} x ${columns}`,
      );
  }

  /** (N, C + T, C + T): of each query (row) for each key. */
  private bias({ table, withGlobal, index }: GridBiases, like: Tensor): Tensor {
    const between = biasesOf(table, index); // (N, T, T)
    if (withGlobal === null) return between.to(like.dtype);
    const [N, T] = [between.size(0), between.size(1)];
    const C = withGlobal.global.size(1);
    const fromGlobal = withGlobal.local.select(0, 0).unsqueeze(-1).expand([N, C, T]);
    const toGlobal = withGlobal.local.select(0, 1).unsqueeze(1).expand([N, T, C]);
    const rows = [cat([withGlobal.global, fromGlobal], 2), cat([toGlobal, between], 2)];
    return cat(rows, 1).to(like.dtype);
  }
}

interface GridBiases {
  /** ((2 rows - 1) * (2 columns - 1), N) */
  readonly table: Tensor;
  /** Null without global tokens. `local` (2, N, C): of global queries for the grid, and of the grid's queries for global keys. */
  readonly withGlobal: { readonly local: Tensor; readonly global: Tensor } | null;
  /** (T, T) int64 */
  readonly index: Tensor;
}

/**
 * Queries, keys and values (B, L, D) each, as three products: thirds of one would have to be copied. Then what other layers make of the
 * same input.
 */
function projections(
  x: Tensor,
  { weight, bias }: Linear,
  others: readonly Linear[] = [],
): [query: Tensor, key: Tensor, value: Tensor, ...others: Tensor[]] {
  const thirds = bias?.chunk(3) ?? [null, null, null];
  return [
    ...linearMaps(
      x,
      [...weight.chunk(3), ...others.map((other) => other.weight)],
      [...thirds, ...others.map((other) => other.bias)],
    ),
  ] as [Tensor, Tensor, Tensor, ...Tensor[]];
}
