/**
 * What a model sees of a picture when it is evaluated, as published: the short side resized to size / 0.875, the square in the
 * middle of it. Sizes and offsets are rounded as torchvision's Resize and CenterCrop round them.
 */
import type { PixelArea } from './crop.js';
import { type ResizeFilter, resize, type SourceBox } from './resize.js';
import type { RgbImage } from './rgb-image.js';

/** Share of the short side that the published evaluation keeps. */
export const PUBLISHED_CROP_RATIO = 0.875;

export interface EvaluationView {
  /** Pixels a side of the square. */
  readonly size: number;
  /** Share of the short side that is kept, above 0 and at most 1. Default: 0.875; 1 for pictures at their native size. */
  readonly cropRatio?: number;
  /** Default: bicubic. */
  readonly filter?: ResizeFilter;
}

/** A square of `size` pixels. @throws RangeError where size or ratio are out of range */
export function evaluationView(image: RgbImage, view: EvaluationView): RgbImage {
  const { resized, keep } = placed(image, view);
  const { filter } = view;
  return resize(image, { ...resized, keep, ...(filter === undefined ? {} : { filter }) });
}

/** The part of a picture of this size that the view shows, in its own pixels. @throws RangeError as `evaluationView` */
export function evaluationBox(image: Size, view: EvaluationView): SourceBox {
  const { resized, keep } = placed(image, view);
  const [across, down] = [image.width / resized.width, image.height / resized.height];
  return {
    left: keep.left * across,
    top: keep.top * down,
    right: (keep.left + keep.width) * across,
    bottom: (keep.top + keep.height) * down,
  };
}

/** The whole picture resized, and the square that is kept of it. */
function placed(
  image: Size,
  { size, cropRatio = PUBLISHED_CROP_RATIO }: EvaluationView,
): { readonly resized: Size; readonly keep: PixelArea } {
  if (!(cropRatio > 0 && cropRatio <= 1))
    throw new RangeError(`expected a crop ratio above 0 and at most 1, received ${cropRatio}`);
  const resized = shortSideTo(Math.trunc(size / cropRatio), image);
  const left = roundHalfToEven((resized.width - size) / 2);
  const top = roundHalfToEven((resized.height - size) / 2);
  return { resized, keep: { left, top, width: size, height: size } };
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/** The size with this short side and, up to a pixel, the same proportions. */
export function shortSideTo(side: number, { width, height }: Size): Size {
  return width <= height
    ? { width: side, height: Math.trunc((side * height) / width) }
    : { width: Math.trunc((side * width) / height), height: side };
}

/** Python's rounding: a half goes to the even neighbour. */
function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
