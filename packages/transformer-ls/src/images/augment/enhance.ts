/**
 * Colour, contrast, brightness and sharpness: a picture and a duller version of it, mixed. Factor 0 gives the duller one, 1 the
 * picture itself, more goes beyond it. The same bytes as Pillow's `ImageEnhance`, which computes in float32.
 */
import type { RgbImage } from '@transformer-ls/formats';
import { throughTable } from './tone.js';

/** Towards grey, or away from it. */
export function color(image: RgbImage, factor: number): RgbImage {
  const { data } = image;
  const result = new Uint8Array(data.length);
  const alpha = Math.fround(factor);
  for (let i = 0; i < data.length; i += 3) {
    const grey = greyOf(data[i]!, data[i + 1]!, data[i + 2]!);
    result[i] = blended(grey, data[i]!, alpha);
    result[i + 1] = blended(grey, data[i + 1]!, alpha);
    result[i + 2] = blended(grey, data[i + 2]!, alpha);
  }
  return { ...image, data: result };
}

/** Towards the mean brightness of the whole picture, or away from it. */
export function contrast(image: RgbImage, factor: number): RgbImage {
  const mean = Math.trunc(meanGrey(image) + 0.5);
  const alpha = Math.fround(factor);
  return throughTable(image, (value) => blended(mean, value, alpha));
}

/** Towards black, or away from it. */
export function brightness(image: RgbImage, factor: number): RgbImage {
  const alpha = Math.fround(factor);
  return throughTable(image, (value) => blended(0, value, alpha));
}

/** Towards a picture smoothed over 3 x 3 pixels, or away from it. The outermost pixels stay as they are. */
export function sharpness(image: RgbImage, factor: number): RgbImage {
  const { data } = image;
  const result = smoothed(image);
  const alpha = Math.fround(factor);
  for (let i = 0; i < data.length; i++) result[i] = blended(result[i]!, data[i]!, alpha);
  return { ...image, data: result };
}

/** Truncated, as a C program does it; `alpha` is a float32. */
function blended(dull: number, value: number, alpha: number): number {
  const mixed = Math.fround(dull + Math.fround(alpha * (value - dull)));
  return mixed <= 0 ? 0 : mixed >= 255 ? 255 : Math.trunc(mixed);
}

/** Brightness after ITU-R 601-2, in 16-bit fixed point. */
function greyOf(red: number, green: number, blue: number): number {
  return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
}

function meanGrey({ data, width, height }: RgbImage): number {
  let sum = 0;
  for (let i = 0; i < data.length; i += 3) sum += greyOf(data[i]!, data[i + 1]!, data[i + 2]!);
  return sum / (width * height);
}

/** Each pixel counts five times beside its eight neighbours; rounded. */
function smoothed({ data, width, height }: RgbImage): Uint8Array {
  const result = data.slice();
  const row = 3 * width;
  for (let y = 1; y < height - 1; y++)
    for (let i = y * row + 3; i < (y + 1) * row - 3; i++) {
      const above = data[i - row - 3]! + data[i - row]! + data[i - row + 3]!;
      const beside = data[i - 3]! + data[i + 3]!;
      const below = data[i + row - 3]! + data[i + row]! + data[i + row + 3]!;
      result[i] = Math.floor((2 * (above + beside + below + 5 * data[i]!) + 13) / 26);
    }
  return result;
}
