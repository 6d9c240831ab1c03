/** Cutting whole pixels out of a picture. */
import type { RgbImage } from './rgb-image.js';

/** A part of a picture in whole pixels. */
export interface PixelArea {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** The pixels of an area, as a picture of its own. @throws RangeError where the area is empty or leaves the picture */
export function crop(image: RgbImage, area: PixelArea): RgbImage {
  const { left, top, width, height } = checkedArea(area, image);
  const data = new Uint8Array(3 * width * height);
  for (let row = 0; row < height; row++) {
    const start = 3 * (image.width * (top + row) + left);
    data.set(image.data.subarray(start, start + 3 * width), 3 * width * row);
  }
  return { width, height, data };
}

/** @throws RangeError where the area is empty, leaves a picture of this size, or cuts pixels */
export function checkedArea(
  area: PixelArea,
  picture: { readonly width: number; readonly height: number },
): PixelArea {
  const { left, top, width, height } = area;
  const isWhole = [left, top, width, height].every(Number.isInteger);
  const isWithin = left >= 0 && top >= 0 && left + width <= picture.width && top + height <= picture.height;
  if (isWhole && isWithin && width >= 1 && height >= 1) return area;
  throw new RangeError(
    `expected an area within ${picture.width} x ${picture.height} pixels, received ${width} x ${height} from ${left}, ${top} on`,
  );
}
