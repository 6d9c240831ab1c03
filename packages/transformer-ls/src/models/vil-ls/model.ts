/**
 * ViL-LS, the published multi-stage vision model (spec 4.5), under the published parameter names.
 *
 * Shape letters: B batch, D width, T tokens of a grid, C global tokens.
 */
import { type VilLsConfig, type VilLsStage, vilLsGrids } from '@transformer-ls/formats';
import { DropPath, LayerNorm, Linear, Module, scope, type Tensor } from '@transformer-ls/torch';
import type { Grid } from '../../attention/grid-windows.js';
import { gridBiasIndex } from '../../attention/relative-bias.js';
import { FullSpatialAttention, LongShortSpatialAttention } from '../../attention/spatial.js';
import { FeedForward } from '../vision/feed-forward.js';
import { checkImages } from '../vision/image-shape.js';
import { startLinears } from '../vision/linear-start.js';
import { NORM_EPSILON, PatchEmbedding } from './patch-embedding.js';

/** x + drop_path(attention(norm(x))). */
class AttentionBlock extends Module {
  readonly attn: LongShortSpatialAttention | FullSpatialAttention;
  private readonly norm: LayerNorm;
  private readonly dropPath: DropPath;

  constructor(
    modelDim: number,
    attention: LongShortSpatialAttention | FullSpatialAttention,
    dropPath: number,
  ) {
    super();
    this.norm = this.child('norm', new LayerNorm({ dim: modelDim, epsilon: NORM_EPSILON }));
    this.attn = this.child('attn', attention);
    this.dropPath = this.child('drop_path', new DropPath({ p: dropPath }));
  }

  forward(x: Tensor, grid: Grid): Tensor {
    return x.add(this.dropPath.forward(this.attn.forward(this.norm.forward(x), grid)));
  }
}

/** Makes the attention of one block after another; blocks of full attention share the places of their biases. */
function attentionFactory(
  stage: VilLsStage,
  grid: Grid,
  config: VilLsConfig,
): () => LongShortSpatialAttention | FullSpatialAttention {
  const { modelDim, heads, globalTokens, positions, windowSize, projectionRank } = stage;
  const { scoreScale, queryKeyValueBiases, attentionDropout, dropout, mode } = config;
  const relative = positions === 'relative';
  const common = {
    modelDim,
    heads,
    globalTokens,
    scoreScale,
    queryKeyValueBiases,
    attentionDropout,
    dropout,
    mode,
  };
  if (stage.attention !== 'full')
    return () =>
      new LongShortSpatialAttention({ ...common, windowSize, projectionRank, relativeBias: relative });
  const biasIndex = relative ? gridBiasIndex(grid) : null;
  return () => new FullSpatialAttention({ ...common, biasGrid: relative ? grid : null }, biasIndex);
}

/** x + drop_path(mlp(norm(x))). */
class FeedForwardBlock extends Module {
  private readonly norm: LayerNorm;
  private readonly mlp: FeedForward;
  private readonly dropPath: DropPath;

  constructor(modelDim: number, { innerRatio, dropout }: VilLsConfig, dropPath: number) {
    super();
    this.norm = this.child('norm', new LayerNorm({ dim: modelDim, epsilon: NORM_EPSILON }));
    this.mlp = this.child(
      'mlp',
      new FeedForward({ modelDim, innerDim: Math.floor(modelDim * innerRatio), dropout }),
    );
    this.dropPath = this.child('drop_path', new DropPath({ p: dropPath }));
  }

  forward(x: Tensor): Tensor {
    return x.add(this.dropPath.forward(this.mlp.forward(this.norm.forward(x))));
  }
}

/** Patches become tokens, blocks work on them; places in the published sequence are names: 0, then attention and MLP in turn. */
class Stage extends Module {
  readonly attentions: readonly (LongShortSpatialAttention | FullSpatialAttention)[];
  private readonly embedding: PatchEmbedding;
  private readonly blocks: readonly (readonly [AttentionBlock, FeedForwardBlock])[];

  constructor(
    inChannels: number,
    private readonly stage: VilLsStage,
    private readonly grid: Grid,
    config: VilLsConfig,
    dropPaths: readonly number[],
  ) {
    super();
    this.embedding = this.child('0', new PatchEmbedding({ inChannels, stage, grid, config }));
    const createAttention = attentionFactory(stage, grid, config);
    this.blocks = dropPaths.map((dropPath, i) => [
      this.child(String(2 * i + 1), new AttentionBlock(stage.modelDim, createAttention(), dropPath)),
      this.child(String(2 * i + 2), new FeedForwardBlock(stage.modelDim, config, dropPath)),
    ]);
    this.attentions = this.blocks.map(([{ attn }]) => attn);
  }

  /** Map (B, rows, columns, channels of the stage before) → tokens (B, C + T, D). */
  forward(map: Tensor): Tensor {
    let x = this.embedding.forward(map);
    for (const [attention, feedForward] of this.blocks) {
      const before = x;
      x = scope(() => feedForward.forward(attention.forward(before, this.grid)));
    }
    return x;
  }

  /** Tokens → the map that the next stage cuts into patches; the global tokens are left behind (spec 4.5). */
  toMap(tokens: Tensor): Tensor {
    const { rows, columns } = this.grid;
    const { globalTokens: C, modelDim: D } = this.stage;
    return tokens.narrow(1, C, rows * columns).reshape([tokens.size(0), rows, columns, D]);
  }
}

export class VilLs extends Module {
  private readonly stages: readonly Stage[];
  private readonly norm: LayerNorm;
  private readonly head: Linear;

  constructor(readonly config: VilLsConfig) {
    super();
    const grids = vilLsGrids(config);
    const dropPaths = risingDropPaths(config);
    this.stages = config.stages.map((stage, i) => {
      const inChannels = config.stages[i - 1]?.modelDim ?? config.channels;
      return this.child(`layer${i + 1}`, new Stage(inChannels, stage, grids[i]!, config, dropPaths[i]!));
    });
    const dim = config.stages.at(-1)!.modelDim;
    this.norm = this.child('norm', new LayerNorm({ dim, epsilon: NORM_EPSILON }));
    this.head = this.child('head', new Linear({ inFeatures: dim, outFeatures: config.classes }));
    startLinears(this);
  }

  /** The attention of every block, by stage. */
  get attentions(): readonly (readonly (LongShortSpatialAttention | FullSpatialAttention)[])[] {
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

  /** One vector for each image, (B, D of the last stage): what the head reads. */
  features(images: Tensor): Tensor {
    checkImages(images, this.config);
    const { pooling, mode, stages } = this.config;
    const last = this.norm.forward(this.tokens(images));
    if (pooling === 'global-token') return last.select(1, 0);
    // As published the mean counts the global tokens too.
    const C = mode === 'reference' ? 0 : stages.at(-1)!.globalTokens;
    return last.narrow(1, C, last.size(1) - C).mean(1);
  }

  private tokens(images: Tensor): Tensor {
    let map = images.permute([0, 2, 3, 1]);
    let tokens = map;
    for (const stage of this.stages) {
      tokens = stage.forward(map);
      map = stage.toMap(tokens);
    }
    return tokens;
  }
}

/** Skipping rises evenly from the first block of all to the last; by stage. */
function risingDropPaths({ stages, dropPath }: VilLsConfig): number[][] {
  const total = stages.reduce((sum, { layers }) => sum + layers, 0);
  let block = 0;
  return stages.map(({ layers }) =>
    Array.from({ length: layers }, () => (total === 1 ? 0 : (dropPath * block++) / (total - 1))),
  );
}
