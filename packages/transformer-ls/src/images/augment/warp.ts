/** Shearing, shifting and turning: where each pixel of the result comes from, and what stands between pixels. As in Pillow. */
import type { RgbImage } from '@transformer-ls/formats';

export type Sampling = 'bilinear' | 'bicubic';

/** How a warp looks between pixels and outside the picture. */
export interface WarpLook {
  readonly sampling: Sampling;
  /** Colour where there is no picture, 0 to 255. */
  readonly fill: readonly [red: number, green: number, blue: number];
}

/** The place (a x + b y + c, d x + e y + f) of the picture shows at (x, y) of the result; pixel centres lie at halves. */
type Affine = readonly [a: number, b: number, c: number, d: number, e: number, f: number];

/** @param factor pixels to the right per pixel down, of where the result comes from */
export function shearX(image: RgbImage, factor: number, look: WarpLook): RgbImage {
  return warped(image, [1, factor, 0, 0, 1, 0], look);
}

export function shearY(image: RgbImage, factor: number, look: WarpLook): RgbImage {
  return warped(image, [1, 0, 0, factor, 1, 0], look);
}

/** @param part of the width; what is at the right comes to the left */
export function translateX(image: RgbImage, part: number, look: WarpLook): RgbImage {
  return warped(image, [1, 0, part * image.width, 0, 1, 0], look);
}

export function translateY(image: RgbImage, part: number, look: WarpLook): RgbImage {
  return warped(image, [1, 0, 0, 0, 1, part * image.height], look);
}

/** About the middle, counter-clockwise. */
export function rotate(image: RgbImage, degrees: number, look: WarpLook): RgbImage {
  if (degrees % 360 === 0) return image;
  const angle = (-(((degrees % 360) + 360) % 360) * Math.PI) / 180;
  const [cos, sin] = [toFifteenDecimals(Math.cos(angle)), toFifteenDecimals(Math.sin(angle))];
  const [x, y] = [image.width / 2, image.height / 2];
  return warped(image, [cos, sin, cos * -x + sin * -y + x, -sin, cos, -sin * -x + cos * -y + y], look);
}

/** Pillow rounds the sine and the cosine, so that quarters of a turn are exact. */
function toFifteenDecimals(value: number): number {
  return Number(value.toFixed(15));
}

/** The picture of the same size. */
function warped(image: RgbImage, map: Affine, { sampling, fill }: WarpLook): RgbImage {
  const { width, height } = image;
  const [a, b, c, d, e, f] = map;
  const result = new Uint8Array(image.data.length);
  const sample = sampling === 'bilinear' ? sampleBilinear : sampleBicubic;
  let at = 0;
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++, at += 3) {
      const fromX = a * (x + 0.5) + b * (y + 0.5) + c;
      const fromY = d * (x + 0.5) + e * (y + 0.5) + f;
      if (fromX >= 0 && fromX < width && fromY >= 0 && fromY < height)
        sample(image, fromX - 0.5, fromY - 0.5, result, at);
      else result.set(fill, at);
    }
  return { width, height, data: result };
}

/** Writes the colour at (x, y), truncated, to result[at …]. Rows below the last count as the last. */
function sampleBilinear(
  { width, height, data }: RgbImage,
  x: number,
  y: number,
  result: Uint8Array,
  at: number,
): void {
  const [column, row] = [Math.floor(x), Math.floor(y)];
  const [dx, dy] = [x - column, y - row];
  const left = 3 * clamped(column, width);
  const right = 3 * clamped(column + 1, width);
  const upper = 3 * width * clamped(row, height);
  const lower = 3 * width * clamped(row + 1, height);
  for (let k = 0; k < 3; k++) {
    const above = mixed(data[upper + left + k]!, data[upper + right + k]!, dx);
    const below = mixed(data[lower + left + k]!, data[lower + right + k]!, dx);
    result[at + k] = mixed(above, below, dy);
  }
}

function mixed(a: number, b: number, part: number): number {
  return a + (b - a) * part;
}

/** The same with a cubic through four pixels, the steeper kind (a = -1). */
function sampleBicubic(
  { width, height, data }: RgbImage,
  x: number,
  y: number,
  result: Uint8Array,
  at: number,
): void {
  const [column, row] = [Math.floor(x), Math.floor(y)];
  const [dx, dy] = [x - column, y - row];
  const x0 = 3 * clamped(column - 1, width);
  const x1 = 3 * clamped(column, width);
  const x2 = 3 * clamped(column + 1, width);
  const x3 = 3 * clamped(column + 2, width);
  const y0 = 3 * width * clamped(row - 1, height);
  const y1 = 3 * width * clamped(row, height);
  const y2 = 3 * width * clamped(row + 1, height);
  const y3 = 3 * width * clamped(row + 2, height);
  for (let k = 0; k < 3; k++) {
    const v0 = cubic(data[y0 + x0 + k]!, data[y0 + x1 + k]!, data[y0 + x2 + k]!, data[y0 + x3 + k]!, dx);
    const v1 = cubic(data[y1 + x0 + k]!, data[y1 + x1 + k]!, data[y1 + x2 + k]!, data[y1 + x3 + k]!, dx);
    const v2 = cubic(data[y2 + x0 + k]!, data[y2 + x1 + k]!, data[y2 + x2 + k]!, data[y2 + x3 + k]!, dx);
    const v3 = cubic(data[y3 + x0 + k]!, data[y3 + x1 + k]!, data[y3 + x2 + k]!, data[y3 + x3 + k]!, dx);
    const value = cubic(v0, v1, v2, v3, dy);
    result[at + k] = Math.max(0, Math.min(255, value));
  }
}

/** Between b and c. The order of operations is Pillow's: truncation would show another. */
function cubic(a: number, b: number, c: number, d: number, t: number): number {
  return b + t * (-a + c + t * (2 * (a - b) + c - d + t * (-a + b - c + d)));
}

function clamped(index: number, count: number): number {
  return index < 0 ? 0 : index >= count ? count - 1 : index;
}
