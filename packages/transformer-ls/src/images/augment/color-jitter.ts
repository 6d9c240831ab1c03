/** Random changes of brightness, contrast and saturation, in random order. */
import type { RgbImage } from '@transformer-ls/formats';
import { type Random, shuffledIndices } from '../../data/random.js';
import { brightness, color, contrast } from './enhance.js';

const changes = [brightness, contrast, color];

/** @param strength factors lie between 1 - strength and 1 + strength, at most 1 */
export function colorJitter(image: RgbImage, strength: number, random: Random): RgbImage {
  const factors = changes.map(() => random.between(1 - strength, 1 + strength));
  return shuffledIndices(changes.length, random).reduce(
    (result, which) => changes[which]!(result, factors[which]!),
    image,
  );
}
