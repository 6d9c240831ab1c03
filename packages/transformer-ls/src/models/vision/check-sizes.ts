/**
 * What decides how much memory a vision model takes, compared with the tensors of a file before it is built: a configuration that
 * claims too much is found out here.
 */
import { totalmem } from 'node:os';
import {
  type CvtLsConfig,
  type ImageClassifierConfig,
  type VilLsConfig,
  vilLsGrids,
} from '@transformer-ls/formats';
import { windowReach } from '../../attention/grid-windows.js';
import { windowBiasEntries } from '../../attention/relative-bias.js';
import { formatBytes } from '../../text/numbers.js';
import { WeightsError } from '../../weights/weights-error.js';

type Shapes = ReadonlyMap<string, readonly number[]>;

/** @throws WeightsError in one line that begins with `path` */
export function checkVisionSizes(config: ImageClassifierConfig, shapes: Shapes, path: string): void {
  checkPositionMemory(config, path);
  const stages = config.stages.length;
  for (let i = 0; i < stages; i++) {
    const found = blocksOf(config.kind, i, shapes);
    const expected = config.stages[i]!.layers;
    if (found !== expected)
      throw new WeightsError(`${path}: expected ${expected} blocks in stage ${i + 1}, found ${found}`);
  }
  const expected = config.kind === 'vil-ls' ? vilLsSizes(config) : cvtLsSizes(config);
  for (const [name, shape] of expected) {
    const found = shapes.get(name);
    if (String(found) !== String(shape))
      throw new WeightsError(
        `${path}: ${name}: expected shape [${shape}], found ${found === undefined ? 'none' : `[${found}]`}`,
      );
  }
}

/** Numbers of blocks by the names of their attention. */
function blocksOf(kind: ImageClassifierConfig['kind'], stage: number, shapes: Shapes): number {
  const prefix = kind === 'vil-ls' ? `layer${stage + 1}.` : `stage${stage}.blocks.`;
  const blocks = new Set<string>();
  for (const name of shapes.keys()) {
    if (!name.startsWith(prefix)) continue;
    const [place, part] = name.slice(prefix.length).split('.', 2);
    if (part === 'attn') blocks.add(place!);
  }
  return blocks.size;
}

type Sizes = readonly (readonly [name: string, shape: readonly number[]])[];

function vilLsSizes(config: VilLsConfig): Sizes {
  const grids = vilLsGrids(config);
  return [
    ...config.stages.flatMap((stage, i): Sizes => {
      const { modelDim, heads, patchSize, attention, positions, windowSize, projectionRank } = stage;
      const inChannels = config.stages[i - 1]?.modelDim ?? config.channels;
      const at = `layer${i + 1}`;
      const { rows, columns } = grids[i]!;
      const isRelative = positions === 'relative' && (attention === 'full' || windowSize > 0);
      const entries =
        attention === 'full'
          ? (2 * rows - 1) * (2 * columns - 1)
          : windowBiasEntries(windowSize, config.mode);
      const isProjected = attention === 'long-short' && projectionRank > 0;
      return [
        [`${at}.0.proj.weight`, [modelDim, inChannels, patchSize, patchSize]],
        [`${at}.1.attn.qkv.weight`, [3 * modelDim, modelDim]],
        [`${at}.2.mlp.fc1.weight`, [Math.floor(modelDim * config.innerRatio), modelDim]],
        ...(isRelative
          ? [[`${at}.1.attn.local_relative_position_bias_table`, [entries, heads]] as const]
          : []),
        ...(positions === 'absolute'
          ? [
              [`${at}.0.x_pos_embed`, [1, rows, modelDim / 2]] as const,
              [`${at}.0.y_pos_embed`, [1, columns, modelDim / 2]] as const,
            ]
          : []),
        ...(isProjected
          ? [[`${at}.1.attn.to_dynamic_projection.weight`, [heads * projectionRank, modelDim]] as const]
          : []),
      ];
    }),
    headSize(config),
  ];
}

function cvtLsSizes(config: CvtLsConfig): Sizes {
  return [
    ...config.stages.flatMap((stage, i): Sizes => {
      const { modelDim, heads, embeddingKernel, projectionKernel, attention, projectionRank } = stage;
      const inChannels = config.stages[i - 1]?.modelDim ?? config.channels;
      const at = `stage${i}`;
      return [
        [`${at}.patch_embed.proj.weight`, [modelDim, inChannels, embeddingKernel, embeddingKernel]],
        [`${at}.blocks.0.attn.proj_q.weight`, [modelDim, modelDim]],
        [`${at}.blocks.0.mlp.fc1.weight`, [Math.floor(modelDim * config.innerRatio), modelDim]],
        [`${at}.blocks.0.attn.conv_proj_q.conv.weight`, [modelDim, 1, projectionKernel, projectionKernel]],
        ...(attention === 'long-short' && projectionRank > 0
          ? [
              [
                `${at}.blocks.0.attn.to_dynamic_projection.weight`,
                [heads * projectionRank, modelDim],
              ] as const,
            ]
          : []),
      ];
    }),
    headSize(config),
  ];
}

function headSize({ stages, classes }: ImageClassifierConfig): readonly [string, readonly number[]] {
  return ['head.weight', [classes, stages.at(-1)!.modelDim]];
}

const BYTES_OF_INDEX = 8;

/**
 * Attention with relative positions has the place of each query and key in its table, and no tensor of a file vouches for that.
 *
 * @throws WeightsError where that takes more than a quarter of the machine's memory
 */
export function checkPositionMemory(config: ImageClassifierConfig, path: string): void {
  if (config.kind !== 'vil-ls') return;
  const grids = vilLsGrids(config);
  const bytes = config.stages.reduce((sum, { attention, positions, layers, windowSize }, i) => {
    if (positions === 'absolute') return sum;
    const tokens = grids[i]!.rows * grids[i]!.columns;
    const keys = (windowSize + 2 * windowReach(windowSize)) ** 2;
    const pairs = attention === 'full' ? tokens ** 2 : windowSize ** 2 * keys;
    return sum + layers * pairs * BYTES_OF_INDEX;
  }, 0);
  if (bytes > totalmem() / 4)
    throw new WeightsError(
      `${path}: images of ${config.imageHeight} x ${config.imageWidth} need ${formatBytes(bytes)} for the places of relative positions, ` +
        `expected at most a quarter of the machine's ${formatBytes(totalmem())}`,
    );
}
