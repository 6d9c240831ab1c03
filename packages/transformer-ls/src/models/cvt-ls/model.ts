/**
 * CvT (Wu et al. 2021) with long-short attention (spec section 6), under the names of the published CvT. What is known of CvT-LS and what is
 * inferred: README.md beside this file.
 *
 * Shape letters: B batch, D width, T tokens of a grid, C class tokens (0 or 1).
 */
import { type CvtLsConfig, type CvtLsStage, cvtLsGrids } from '@transformer-ls/formats';
import {
  cat,
  Dropout,
  DropPath,
  init,
  LayerNorm,
  Linear,
  Module,
  ModuleList,
  scope,
  type Tensor,
  zeros,
} from '@transformer-ls/torch';
import {
  FullConvolutionalAttention,
  LongShortConvolutionalAttention,
} from '../../attention/convolutional.js';
import type { Grid } from '../../attention/grid-windows.js';
import { FeedForward } from '../vision/feed-forward.js';
import { checkImages } from '../vision/image-shape.js';
import { startLinears } from '../vision/linear-start.js';
import { ConvolutionalEmbedding, NORM_EPSILON } from './convolutional-embedding.js';

type Attention = LongShortConvolutionalAttention | FullConvolutionalAttention;

/** What the blocks of a stage have in common. */
interface StageOptions {
  readonly stage: CvtLsStage;
  readonly globalTokens: number;
  readonly config: CvtLsConfig;
}

/** x + drop_path(attention(norm1(x))), then x + drop_path(mlp(norm2(x))). */
class Block extends Module {
  readonly attn: Attention;
  private readonly norm1: LayerNorm;
  private readonly dropPath: DropPath;
  private readonly norm2: LayerNorm;
  private readonly mlp: FeedForward;

  constructor(options: StageOptions, dropPath: number) {
    super();
    const { modelDim } = options.stage;
    const { innerRatio, dropout, activation } = options.config;
    const innerDim = Math.floor(modelDim * innerRatio);
    this.norm1 = this.child('norm1', new LayerNorm({ dim: modelDim, epsilon: NORM_EPSILON }));
    this.attn = this.child('attn', createAttention(options));
    this.dropPath = this.child('drop_path', new DropPath({ p: dropPath }));
    this.norm2 = this.child('norm2', new LayerNorm({ dim: modelDim, epsilon: NORM_EPSILON }));
    this.mlp = this.child('mlp', new FeedForward({ modelDim, innerDim, dropout, activation }));
  }

  forward(x: Tensor, grid: Grid): Tensor {
    const attended = scope(() =>
      x.add(this.dropPath.forward(this.attn.forward(this.norm1.forward(x), grid))),
    );
    return attended.add(this.dropPath.forward(this.mlp.forward(this.norm2.forward(attended))));
  }
}

function createAttention({ stage, globalTokens, config }: StageOptions): Attention {
  const { modelDim, heads, projectionKernel, windowSize, projectionRank, keyValueStride } = stage;
  const { queryKeyValueBiases, attentionDropout, dropout, mode } = config;
  const common = {
    modelDim,
    heads,
    globalTokens,
    projectionKernel,
    scoreScale: config.scoreScale === 'model-dim' ? 1 / Math.sqrt(modelDim) : null,
    queryKeyValueBiases,
    attentionDropout,
    dropout,
  };
  if (stage.attention === 'full') return new FullConvolutionalAttention({ ...common, keyValueStride });
  const window = { windowSize, projectionRank, relativeBias: false };
  return new LongShortConvolutionalAttention({ ...common, ...window, normEpsilon: NORM_EPSILON, mode });
}

/** A convolution makes tokens, a class token may join them, and blocks work on them. */
class Stage extends Module {
  private readonly embedding: ConvolutionalEmbedding;
  private readonly blocks: ModuleList<Block>;
  private readonly dropout: Dropout;
  /** (1, 1, D) */
  private readonly cls_token: Tensor | null;

  constructor(
    inChannels: number,
    private readonly options: StageOptions,
    private readonly grid: Grid,
    dropPaths: readonly number[],
  ) {
    super();
    const { stage, globalTokens, config } = options;
    this.cls_token =
      globalTokens === 0
        ? null
        : this.parameter('cls_token', init.truncNormal_(zeros([1, globalTokens, stage.modelDim]), 0, 0.02));
    this.embedding = this.child('patch_embed', new ConvolutionalEmbedding(inChannels, stage));
    this.dropout = this.child('pos_drop', new Dropout({ p: config.dropout }));
    this.blocks = this.child('blocks', new ModuleList(dropPaths.map((p) => new Block(options, p))));
  }

  get attentions(): readonly Attention[] {
    return [...this.blocks].map(({ attn }) => attn);
  }

  /** Map (B, channels of the stage before, rows, columns) → tokens (B, C + T, D), the class token first. */
  forward(map: Tensor): Tensor {
    let x = scope(() => {
      const tokens = this.embedding.forward(map);
      const first = this.cls_token?.expand([tokens.size(0), -1, -1]);
      return this.dropout.forward(first === undefined ? tokens : cat([first, tokens], 1));
    });
    for (const block of this.blocks) {
      const before = x;
      x = scope(() => block.forward(before, this.grid));
    }
    return x;
  }

  /** Tokens → the map that the next stage embeds. */
  toMap(tokens: Tensor): Tensor {
    const { rows, columns } = this.grid;
    const { globalTokens: C, stage } = this.options;
    return tokens
      .narrow(1, C, rows * columns)
      .transpose(1, 2)
      .reshape([-1, stage.modelDim, rows, columns]);
  }
}

export class CvtLs extends Module {
  private readonly stages: readonly Stage[];
  private readonly norm: LayerNorm;
  private readonly head: Linear;

  constructor(readonly config: CvtLsConfig) {
    super();
    const { stages, classToken, channels, classes } = config;
    const grids = cvtLsGrids(config);
    const last = stages.length - 1;
    this.stages = stages.map((stage, i) => {
      const options = { stage, config, globalTokens: classToken && i === last ? 1 : 0 };
      const dropPaths = Array.from({ length: stage.layers }, (_, j) =>
        i === last ? risingDropPath(config.dropPath, j, stage.layers) : 0,
      );
      const inChannels = stages[i - 1]?.modelDim ?? channels;
      return this.child(`stage${i}`, new Stage(inChannels, options, grids[i]!, dropPaths));
    });
    const dim = stages[last]!.modelDim;
    this.norm = this.child('norm', new LayerNorm({ dim, epsilon: NORM_EPSILON }));
    this.head = this.child('head', new Linear({ inFeatures: dim, outFeatures: classes }));
    startLinears(this);
  }

  /** The attention of every block, by stage. */
  get attentions(): readonly (readonly Attention[])[] {
    return this.stages.map(({ attentions }) => attentions);
  }

  /**
   * @param images (B, channels, imageHeight, imageWidth), normalised
   * @returns logits (B, classes)
   * @throws ArgumentError for images of another size
   */
  forward(images: Tensor): Tensor {
    return this.logitsOf(this.features(images));
  }

  /** Of features, (B, classes). */
  logitsOf(features: Tensor): Tensor {
    return this.head.forward(features);
  }

  /** One vector for each image, (B, D of the last stage): the class token, else the mean over the tokens of the last stage. */
  features(images: Tensor): Tensor {
    checkImages(images, this.config);
    const tokens = this.tokens(images);
    return this.config.classToken
      ? this.norm.forward(tokens.select(1, 0))
      : this.norm.forward(tokens).mean(1);
  }

  private tokens(images: Tensor): Tensor {
    let map = images;
    for (const stage of this.stages.slice(0, -1)) {
      const before = map;
      map = scope(() => stage.toMap(stage.forward(before)));
    }
    return this.stages.at(-1)!.forward(map);
  }
}

/** As published: from 0 in the first block of the last stage to the whole in its last. */
function risingDropPath(dropPath: number, block: number, blocks: number): number {
  return blocks === 1 ? 0 : (dropPath * block) / (blocks - 1);
}
