/**
 * Attention of CvT (Wu et al. 2021): queries, keys and values come from depth-wise convolutions over the grid. With long-short attention at
 * full resolution of the keys, or with CvT's own full attention over fewer keys; under the names of the published CvT.
 *
 * Shape letters: B batch, D width, N heads, H = D/N, T tokens of the grid, C global tokens, M tokens of the grid of keys.
 */
import {
  ArgumentError,
  BatchNorm2d,
  Conv2d,
  cat,
  Dropout,
  dropout,
  Linear,
  Module,
  scope,
  type Tensor,
} from '@transformer-ls/torch';
import { GridAttention, type GridAttentionConfig } from './grid-attention.js';
import { mergeRows, splitRows } from './grid-heads.js';
import type { Grid } from './grid-windows.js';
import { softmaxOver } from './joint-softmax.js';
import type { FullWeightsObserver, SpatialAttention } from './spatial.js';

export interface ConvolutionalProjectionConfig {
  readonly modelDim: number;
  readonly globalTokens: number;
  /** Side of the depth-wise kernels; odd. */
  readonly projectionKernel: number;
  readonly queryKeyValueBiases: boolean;
}

/** Depth-wise convolution and batch normalisation: (B, D, rows, columns) → (B, D, rows / stride, columns / stride), rounded up. */
class DepthwiseConvolution extends Module {
  private readonly conv: Conv2d;
  private readonly bn: BatchNorm2d;

  constructor(channels: number, kernelSize: number, stride: number) {
    super();
    const padding = (kernelSize - 1) / 2;
    const sizes = { inChannels: channels, outChannels: channels, groups: channels, kernelSize };
    this.conv = this.child('conv', new Conv2d({ ...sizes, stride, padding, bias: false }));
    this.bn = this.child('bn', new BatchNorm2d({ channels }));
  }

  forward(map: Tensor): Tensor {
    return this.bn.forward(this.conv.forward(map));
  }
}

type Register = <M extends Module>(name: string, module: M) => M;

/** What makes queries, keys and values of tokens: the grid goes through a convolution each, the global tokens past it. */
class ConvolutionalProjections {
  private readonly pairs: readonly { readonly convolution: DepthwiseConvolution; readonly linear: Linear }[];

  /** @param register makes the parts children of the attention itself, where the published names have them */
  constructor(
    private readonly config: ConvolutionalProjectionConfig,
    keyValueStride: number,
    register: Register,
  ) {
    const { modelDim: D, projectionKernel: kernel, queryKeyValueBiases: bias } = config;
    const strides = { q: 1, k: keyValueStride, v: keyValueStride };
    const convolutions = Object.entries(strides).map(([letter, stride]) =>
      register(`conv_proj_${letter}`, new DepthwiseConvolution(D, kernel, stride)),
    );
    const linears = Object.keys(strides).map((letter) =>
      register(`proj_${letter}`, new Linear({ inFeatures: D, outFeatures: D, bias })),
    );
    this.pairs = convolutions.map((convolution, i) => ({ convolution, linear: linears[i]! }));
  }

  /** (B, C + T, D) → queries (B, C + T, D), keys and values (B, C + M, D). */
  forward(x: Tensor, { rows, columns }: Grid): [Tensor, Tensor, Tensor] {
    const { modelDim: D, globalTokens: C } = this.config;
    if (x.size(1) !== C + rows * columns)
      throw new ArgumentError(
        `expected ${C} + ${rows} * ${columns} tokens (global ones first), received ${x.size(1)}`,
      );
    const map = x
      .narrow(1, C, rows * columns)
      .transpose(1, 2)
      .reshape([-1, D, rows, columns]);
    return this.pairs.map(({ convolution, linear }) =>
      scope(() => {
        const tokens = convolution.forward(map).flatten(2).transpose(1, 2);
        return linear.forward(C === 0 ? tokens : cat([x.narrow(1, 0, C).to(tokens.dtype), tokens], 1));
      }),
    ) as [Tensor, Tensor, Tensor];
  }
}

export interface LongShortConvolutionalConfig extends GridAttentionConfig, ConvolutionalProjectionConfig {
  /** Dropout probability of the result. */
  readonly dropout: number;
}

/** Long-short attention on a grid (spec 4.1) on convolutional projections, all keys of it; the compression is computed from the input. */
export class LongShortConvolutionalAttention extends GridAttention implements SpatialAttention {
  private readonly projections: ConvolutionalProjections;
  private readonly proj: Linear;
  private readonly projDrop: Dropout;

  constructor(config: LongShortConvolutionalConfig) {
    super(config);
    const { modelDim: D, dropout: p } = config;
    this.projections = new ConvolutionalProjections(config, 1, (name, module) => this.child(name, module));
    this.proj = this.child('proj', new Linear({ inFeatures: D, outFeatures: D }));
    this.projDrop = this.child('proj_drop', new Dropout({ p }));
  }

  forward(x: Tensor, grid: Grid): Tensor {
    const tokens = scope(() => this.prepared(...this.projections.forward(x, grid)));
    const attended = scope(() => this.attend(tokens, x, grid));
    return this.projDrop.forward(this.proj.forward(attended));
  }
}

export interface FullConvolutionalConfig extends ConvolutionalProjectionConfig {
  readonly heads: number;
  /** Rows and columns of tokens for one of keys and values. */
  readonly keyValueStride: number;
  /** Factor of the queries; null: 1/sqrt(H). */
  readonly scoreScale: number | null;
  readonly attentionDropout: number;
  /** Dropout probability of the result. */
  readonly dropout: number;
}

/** CvT's own attention: every token sees every key, of which there are fewer than tokens. */
export class FullConvolutionalAttention extends Module implements SpatialAttention {
  /** Sees weights (B, N, C + T, C + M). */
  observer: FullWeightsObserver | null = null;
  private readonly projections: ConvolutionalProjections;
  private readonly proj: Linear;
  private readonly projDrop: Dropout;

  constructor(readonly config: FullConvolutionalConfig) {
    super();
    const { modelDim: D, keyValueStride, dropout: p } = config;
    this.projections = new ConvolutionalProjections(config, keyValueStride, (name, module) =>
      this.child(name, module),
    );
    this.proj = this.child('proj', new Linear({ inFeatures: D, outFeatures: D }));
    this.projDrop = this.child('proj_drop', new Dropout({ p }));
  }

  forward(x: Tensor, grid: Grid): Tensor {
    const { modelDim: D, heads: N, scoreScale, attentionDropout } = this.config;
    const attended = scope(() => {
      const [query, key, value] = this.projections.forward(x, grid);
      const scaled = query.mul(scoreScale ?? 1 / Math.sqrt(D / N));
      const scores = splitRows(scaled, N).matmul(splitRows(key, N).transpose(-1, -2));
      const weights = softmaxOver(scores, -1);
      this.observer?.(weights, grid);
      return mergeRows(dropout(weights, attentionDropout, this.training).matmul(splitRows(value, N)));
    });
    return this.projDrop.forward(this.proj.forward(attended));
  }
}
