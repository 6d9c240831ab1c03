/**
 * The beginning of a stage (spec 4.5): patches of the map before it become tokens, and global tokens and positions join them.
 *
 * Shape letters: B batch, D width, P side of a patch, T tokens of the grid, C global tokens.
 */
import type { VilLsConfig } from '@transformer-ls/formats';
import {
  Conv2d,
  cat,
  Dropout,
  init,
  LayerNorm,
  linear,
  Module,
  type Tensor,
  zeros,
} from '@transformer-ls/torch';
import type { Grid } from '../../attention/grid-windows.js';

export const NORM_EPSILON = 1e-6;

export interface PatchEmbeddingOptions {
  readonly inChannels: number;
  /** Of this stage. */
  readonly stage: VilLsConfig['stages'][number];
  readonly grid: Grid;
  readonly config: Pick<VilLsConfig, 'normalizeEmbedding' | 'dropout'>;
}

export class PatchEmbedding extends Module {
  /** (D, inChannels, P, P) */
  private readonly proj: Conv2d;
  private readonly norm_embed: LayerNorm | null;
  /** (1, C, D) */
  private readonly cls_token: Tensor | null;
  private readonly positions: AbsolutePositions | null;
  private readonly dropout: Dropout;

  constructor(private readonly options: PatchEmbeddingOptions) {
    super();
    const { inChannels, stage, grid, config } = options;
    const { modelDim: D, patchSize: P, globalTokens: C, positions } = stage;
    const learned = (name: string, shape: number[]) =>
      this.parameter(name, init.truncNormal_(zeros(shape), 0, 0.02));
    this.proj = this.child('proj', new Conv2d({ inChannels, outChannels: D, kernelSize: P, stride: P }));
    this.norm_embed = config.normalizeEmbedding
      ? this.child('norm_embed', new LayerNorm({ dim: D, epsilon: NORM_EPSILON }))
      : null;
    this.cls_token = C > 0 ? learned('cls_token', [1, C, D]) : null;
    this.positions =
      positions === 'relative'
        ? null
        : {
            global: C > 0 ? learned('cls_pos_embed', [1, C, D]) : null,
            rows: learned('x_pos_embed', [1, grid.rows, D / 2]),
            columns: learned('y_pos_embed', [1, grid.columns, D / 2]),
          };
    this.dropout = this.child('drop', new Dropout({ p: config.dropout }));
  }

  /** Map (B, rows, columns, inChannels) → tokens (B, C + T, D) of this stage's grid, global ones first. */
  forward(map: Tensor): Tensor {
    const { grid, stage } = this.options;
    const [B, D] = [map.size(0), stage.modelDim];
    const patches = linear(this.patches(map), this.proj.weight.flatten(1), this.proj.bias); // (B, T, D)
    const tokens = this.norm_embed?.forward(patches) ?? patches;
    const placed = this.positions === null ? tokens : tokens.add(gridPositions(this.positions, grid, D));
    const global = this.cls_token?.expand([B, stage.globalTokens, D]);
    if (global === undefined) return this.dropout.forward(placed);
    const own = this.positions?.global;
    return this.dropout.forward(cat([own ? global.add(own) : global, placed], 1));
  }

  /** A convolution whose kernel is as wide as its step is a product: (B, T, inChannels * P * P). */
  private patches(map: Tensor): Tensor {
    const { rows, columns } = this.options.grid;
    const { patchSize: P } = this.options.stage;
    const [B, height, width, channels] = map.shape as [number, number, number, number];
    const [below, right] = [rows * P - height, columns * P - width];
    // Consistent: zeros complete the last patch. Reference: what is over is cut.
    const whole =
      below > 0 || right > 0 ? map.pad([0, 0, 0, Math.max(0, right), 0, Math.max(0, below)]) : map;
    return whole
      .narrow(1, 0, rows * P)
      .narrow(2, 0, columns * P)
      .reshape([B, rows, P, columns, P, channels])
      .permute([0, 1, 3, 5, 2, 4])
      .reshape([B, rows * columns, channels * P * P]);
  }
}

interface AbsolutePositions {
  /** (1, C, D) */
  readonly global: Tensor | null;
  /** (1, rows, D/2) */
  readonly rows: Tensor;
  /** (1, columns, D/2) */
  readonly columns: Tensor;
}

/** (1, T, D): half of the width says the row, half the column. */
function gridPositions({ rows, columns }: AbsolutePositions, grid: Grid, D: number): Tensor {
  const shape = [1, grid.rows, grid.columns, D / 2];
  return cat([rows.unsqueeze(2).expand(shape), columns.unsqueeze(1).expand(shape)], -1).reshape([1, -1, D]);
}
