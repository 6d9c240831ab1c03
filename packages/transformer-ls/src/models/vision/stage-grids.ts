/** The grid of tokens that each stage of a vision model works on. */
import { cvtLsGrids, type ImageClassifierConfig, vilLsGrids } from '@transformer-ls/formats';
import type { Grid } from '../../attention/grid-windows.js';

export interface StageGrid extends Grid {
  /** Pixels of the image that a token stands for, a side. */
  readonly patch: number;
}

export function stageGrids(config: ImageClassifierConfig): StageGrid[] {
  const grids = config.kind === 'vil-ls' ? vilLsGrids(config) : cvtLsGrids(config);
  const strides =
    config.kind === 'vil-ls'
      ? config.stages.map(({ patchSize }) => patchSize)
      : config.stages.map(({ embeddingStride }) => embeddingStride);
  let patch = 1;
  return grids.map((grid, i) => {
    patch *= strides[i]!;
    return { ...grid, patch };
  });
}
