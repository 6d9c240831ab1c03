/** Augmentations by name. */
import { type ImageAugmentationConfig, imageAugmentationSchema, parseConfig } from '@transformer-ls/formats';

const presets = {
  /** What ViL-LS was trained with for 300 epochs of ImageNet (spec 4.6): the defaults. */
  published: {},
  /** For small pictures, small sets and short runs, which the published one keeps from learning: shift and mirror. */
  light: { crop: 'pad-and-crop', randAugment: null, colorJitter: 0, erasing: 0, mixup: 0, cutmix: 0 },
  /** Pictures as they are evaluated. */
  none: {
    crop: 'none',
    flip: 0,
    randAugment: null,
    colorJitter: 0,
    erasing: 0,
    mixup: 0,
    cutmix: 0,
    smoothing: 0,
  },
} as const satisfies Record<string, Partial<ImageAugmentationConfig>>;

export type AugmentationName = keyof typeof presets;

export const augmentationNames = Object.keys(presets) as AugmentationName[];

/** A preset with some of its fields changed. @throws ConfigError where a change is none of the schema's */
export function augmentation(
  name: AugmentationName,
  changes: Partial<ImageAugmentationConfig> = {},
): ImageAugmentationConfig {
  return parseConfig(imageAugmentationSchema, { ...presets[name], ...changes }, 'augmentation');
}
