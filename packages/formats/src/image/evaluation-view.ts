/**
 * What a model sees of a picture when it is evaluated, as published: the short side resized to size / 0.875, the square in the
 * middle of it. Sizes and offsets are rounded as torchvision's Resize and CenterCrop round them.
 */
import { type ResizeFilter, resize } from './resize.js';
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
export function evaluationView(
  image: RgbImage,
  { size, cropRatio = PUBLISHED_CROP_RATIO, filter }: EvaluationView,
): RgbImage {
  if (!(cropRatio > 0 && cropRatio <= 1))
    throw new RangeError(`expected a crop ratio above 0 and at most 1, received ${cropRatio}`);
  const resized = shortSideTo(Math.trunc(size / cropRatio), image);
  const keep = {
    left: roundHalfToEven((resized.width - size) / 2),
    top: roundHalfToEven((resized.height - size) / 2),
    width: size,
    height: size,
  };
  return resize(image, { ...resized, keep, ...(filter === undefined ? {} : { filter }) });
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
