/** How a network sees pictures: changed by chance in training, always the same in evaluation. */
import {
  type ColourStatistics,
  evaluationView,
  type ImageAugmentationConfig,
  normalisation,
  normalised,
  type ResizeFilter,
  type RgbImage,
} from '@transformer-ls/formats';
import type { Random } from '../../data/random.js';
import { AugmentationPolicy } from '../augment/policy.js';

export interface TrainingView {
  readonly kind: 'training';
  readonly augmentation: ImageAugmentationConfig;
}

export interface FixedView {
  readonly kind: 'evaluation';
  /** Share of the short side that is kept; 0.875 as published, 1 for small pictures. */
  readonly cropRatio: number;
  readonly filter: ResizeFilter;
  readonly mean: ColourStatistics;
  readonly std: ColourStatistics;
}

/** Plain data. */
export type PictureView = TrainingView | FixedView;

/** Writes one picture as planes (3, size, size). */
export type PictureWriter = (image: RgbImage, random: Random, planes: Float32Array) => void;

/** @param size pixels a side */
export function pictureWriter(view: PictureView, size: number): PictureWriter {
  if (view.kind === 'training') {
    const policy = new AugmentationPolicy(view.augmentation, size);
    return (image, random, planes) => policy.write(image, random, planes);
  }
  const { cropRatio, filter, mean, std } = view;
  const tables = normalisation(mean, std);
  return (image, _random, planes) => {
    normalised(evaluationView(image, { size, cropRatio, filter }), tables, planes);
  };
}
