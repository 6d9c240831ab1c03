/** The part of a picture that a vision model sees, whatever the shape of its images. */
import { evaluationBox, evaluationView } from './evaluation-view.js';
import { type ResizeFilter, resize, type SourceBox } from './resize.js';
import type { RgbImage } from './rgb-image.js';

export interface SeenPicture {
  /** What the model sees, before it is normalised. */
  readonly image: RgbImage;
  /** The part of the picture that this shows. */
  readonly box: SourceBox;
}

/**
 * Square images see the published evaluation's square; others the largest part in the middle of their proportions.
 *
 * @param view the share of the short side (of the part) that is seen, and how it is resized
 */
export function seenByModel(
  image: RgbImage,
  { height, width }: { readonly height: number; readonly width: number },
  { cropRatio, filter }: { readonly cropRatio: number; readonly filter: ResizeFilter },
): SeenPicture {
  if (height === width) {
    const view = { size: height, cropRatio, filter };
    return { image: evaluationView(image, view), box: evaluationBox(image, view) };
  }
  const box = middle(image, width / height, cropRatio);
  return { image: resize(image, { width, height, filter, box }), box };
}

/** The largest part in the middle of these proportions, reduced by the crop ratio. */
function middle(image: RgbImage, proportion: number, cropRatio: number): SourceBox {
  const width = cropRatio * Math.min(image.width, image.height * proportion);
  const height = width / proportion;
  const [left, top] = [(image.width - width) / 2, (image.height - height) / 2];
  return { left, top, right: left + width, bottom: top + height };
}
