/** A picture as the numbers that a vision model takes. */
import { normalisation, normalised, type RgbImage, seenByModel } from '@transformer-ls/formats';
import type { FixedView } from './loader/picture-view.js';

/** @returns (3, height, width), normalised */
export function viewForModel(
  image: RgbImage,
  size: { readonly height: number; readonly width: number },
  view: FixedView,
): Float32Array {
  return normalised(seenByModel(image, size, view).image, normalisation(view.mean, view.std));
}
