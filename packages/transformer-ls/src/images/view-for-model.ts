/** A picture as a vision model takes it, whatever the shape of its images. */
import { evaluationView, normalisation, normalised, type RgbImage, resize } from '@transformer-ls/formats';
import type { FixedView } from './loader/picture-view.js';

/** @returns (3, height, width), normalised */
export function viewForModel(
  image: RgbImage,
  { height, width }: { readonly height: number; readonly width: number },
  { cropRatio, filter, mean, std }: FixedView,
): Float32Array {
  const seen =
    height === width
      ? evaluationView(image, { size: height, cropRatio, filter })
      : resize(image, { width, height, filter, box: middle(image, width / height, cropRatio) });
  return normalised(seen, normalisation(mean, std));
}

/** The largest part in the middle of these proportions, reduced by the crop ratio. */
function middle(image: RgbImage, proportion: number, cropRatio: number) {
  const width = cropRatio * Math.min(image.width, image.height * proportion);
  const height = width / proportion;
  const [left, top] = [(image.width - width) / 2, (image.height - height) / 2];
  return { left, top, right: left + width, bottom: top + height };
}
