/** Random erasing (Zhong and others 2017): a rectangle of a normalised picture becomes noise. */
import type { PixelArea } from '@transformer-ls/formats';
import type { Random } from '../../data/random.js';
import { fillNormal } from './distributions.js';

/** Part of the area that is erased, and width over height: timm's. */
const AREA = { min: 0.02, max: 1 / 3 };
const RATIO = { min: 0.3, max: 1 / 0.3 };
/** Rectangles that are drawn until one fits. */
const TRIES = 10;

/** Fills a rectangle with normal noise, every pixel and channel for itself. @param planes (3, size, size), changed */
export function erase(planes: Float32Array, size: number, random: Random): void {
  const box = erasedBox(size, random);
  if (box === undefined) return;
  const noise = new Float32Array(3 * box.width * box.height);
  fillNormal(noise, random);
  for (let channel = 0, row = 0; channel < 3; channel++)
    for (let y = box.top; y < box.top + box.height; y++, row++)
      planes.set(
        noise.subarray(row * box.width, (row + 1) * box.width),
        (channel * size + y) * size + box.left,
      );
}

/** A rectangle smaller than the picture in both directions; undefined where ten were too large. */
export function erasedBox(size: number, random: Random): PixelArea | undefined {
  for (let i = 0; i < TRIES; i++) {
    const area = random.between(AREA.min, AREA.max) * size * size;
    const ratio = Math.exp(random.between(Math.log(RATIO.min), Math.log(RATIO.max)));
    const [width, height] = [Math.round(Math.sqrt(area / ratio)), Math.round(Math.sqrt(area * ratio))];
    if (width >= size || height >= size) continue;
    return { left: random.below(size - width + 1), top: random.below(size - height + 1), width, height };
  }
  return undefined;
}
