/** A part of a picture of random size, shape and place: what the network sees of it this time. */
import type { PixelArea } from '@transformer-ls/formats';
import type { Random } from '../../data/random.js';

export interface Interval {
  readonly min: number;
  readonly max: number;
}

export interface CropRanges {
  /** Part of the area. */
  readonly scale: Interval;
  /** Width over height; its logarithm is uniform. */
  readonly ratio: Interval;
}

/** Boxes that are drawn before the middle is taken. */
const TRIES = 10;

/** Area and shape are drawn, up to ten times, until such a box fits; else it is the largest box in the middle of an allowed shape. */
export function randomBox(
  { width, height }: { readonly width: number; readonly height: number },
  { scale, ratio }: CropRanges,
  random: Random,
): PixelArea {
  for (let i = 0; i < TRIES; i++) {
    const area = random.between(scale.min, scale.max) * width * height;
    const shape = Math.exp(random.between(Math.log(ratio.min), Math.log(ratio.max)));
    const [w, h] = [Math.round(Math.sqrt(area * shape)), Math.round(Math.sqrt(area / shape))];
    if (w < 1 || h < 1 || w > width || h > height) continue;
    return { left: random.below(width - w + 1), top: random.below(height - h + 1), width: w, height: h };
  }
  return middleBox({ width, height }, ratio);
}

function middleBox(
  { width, height }: { readonly width: number; readonly height: number },
  { min, max }: Interval,
): PixelArea {
  const shape = width / height;
  const w = shape > max ? Math.max(1, Math.round(height * max)) : width;
  const h = shape < min ? Math.max(1, Math.round(width / min)) : height;
  return {
    left: Math.floor((width - w) / 2),
    top: Math.floor((height - h) / 2),
    width: w,
    height: h,
  };
}
