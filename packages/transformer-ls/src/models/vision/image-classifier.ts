/** What every model that gives an image one of several classes offers, and how one is made from its configuration. */
import type { ImageClassifierConfig } from '@transformer-ls/formats';
import type { Module, Tensor } from '@transformer-ls/torch';
import type { FullConvolutionalAttention } from '../../attention/convolutional.js';
import type { GridAttention } from '../../attention/grid-attention.js';
import type { FullSpatialAttention } from '../../attention/spatial.js';
import { CvtLs } from '../cvt-ls/model.js';
import { VilLs } from '../vil-ls/model.js';

/** Attention whose weights can be looked at. */
export type ImageAttention = GridAttention | FullSpatialAttention | FullConvolutionalAttention;

/** Shape letters: B batch. */
export interface ImageClassifier extends Module {
  readonly config: ImageClassifierConfig;
  /** The attention of every block, by stage. */
  readonly attentions: readonly (readonly ImageAttention[])[];
  /**
   * @param images (B, channels, imageHeight, imageWidth), normalised
   * @returns logits (B, classes)
   * @throws ArgumentError for images of another size
   */
  forward(images: Tensor): Tensor;
  /** What the head reads: one vector for each image, (B, width). */
  features(images: Tensor): Tensor;
  /** Of features, (B, classes). */
  logitsOf(features: Tensor): Tensor;
}

/** With random weights, in training mode. */
export function createImageClassifier(config: ImageClassifierConfig): ImageClassifier {
  return config.kind === 'vil-ls' ? new VilLs(config) : new CvtLs(config);
}
