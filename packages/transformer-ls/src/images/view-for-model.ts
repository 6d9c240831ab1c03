/** A picture as a vision model takes it, whatever the shape of its images. */
import {
  evaluationBox,
  evaluationView,
  normalisation,
  normalised,
  type RgbImage,
  resize,
  type SourceBox,
} from '@transformer-ls/formats';
import type { FixedView } from './loader/picture-view.js';

interface Size {
  readonly height: number;
  readonly width: number;
}

export interface SeenPicture {
  /** What the model sees, before it is normalised. */
  readonly image: RgbImage;
  /** The part of the picture that this shows. */
  readonly box: SourceBox;
}

/** @returns (3, height, width), normalised */
export function viewForModel(image: RgbImage, size: Size, view: FixedView): Float32Array {
  return normalised(seenByModel(image, size, view).image, normalisation(view.mean, view.std));
}

export function seenByModel(
  image: RgbImage,
  { height, width }: Size,
  { cropRatio, filter }: Pick<FixedView, 'cropRatio' | 'filter'>,
): SeenPicture {
  if (height === width) {
    const view = { size: height, cropRatio, filter };
    return { image: evaluationView(image, view), box: evaluationBox(image, view) };
  }
  const box = middle(image, width / height, cropRatio);
  return { image: resize(image, { width, height, filter, box }), box };
}

/** The largest part in the middle of these proportions, reduced by the crop ratio. */
function middle(image: RgbImage, proportion: number, cropRatio: number) {
  const width = cropRatio * Math.min(image.width, image.height * proportion);
  const height = width / proportion;
  const [left, top] = [(image.width - width) / 2, (image.height - height) / 2];
  return { left, top, right: left + width, bottom: top + height };
}
