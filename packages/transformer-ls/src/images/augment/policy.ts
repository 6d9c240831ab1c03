/**
 * The whole course of a picture from its decoded pixels to what the network trains on, as a configuration says it. All chance comes
 * from the random numbers that are handed in, so that a picture depends on nothing but its seed.
 */
import {
  crop,
  evaluationView,
  type ImageAugmentationConfig,
  type Normalisation,
  normalisation,
  normalised,
  parseRandAugment,
  type RandAugmentSettings,
  type RgbImage,
  resize,
} from '@transformer-ls/formats';
import type { Random } from '../../data/random.js';
import { colorJitter } from './color-jitter.js';
import { erase } from './erasing.js';
import { randAugment, samplingOf } from './rand-augment.js';
import { randomBox } from './random-resized-crop.js';
import { mirrored, shifted } from './shift-and-mirror.js';
import type { WarpLook } from './warp.js';

/** Training augmentation of single pictures; see mixing.ts for what happens to a batch. */
export class AugmentationPolicy {
  private readonly randAugment: RandAugmentSettings | null;
  /** Where RandAugment looks outside the picture: the mean colour. */
  readonly fill: WarpLook['fill'];
  private readonly normalisation: Normalisation;

  /** @param size pixels a side of what comes out */
  constructor(
    readonly config: ImageAugmentationConfig,
    readonly size: number,
  ) {
    const { mean, std } = config;
    this.randAugment = config.randAugment === null ? null : settingsOf(config.randAugment);
    const byteOf = (share: number) => Math.min(255, Math.round(255 * share));
    this.fill = [byteOf(mean[0]), byteOf(mean[1]), byteOf(mean[2])];
    this.normalisation = normalisation(mean, std);
  }

  /** Writes one picture, augmented and normalised. @param planes (3, size, size) */
  write(image: RgbImage, random: Random, planes: Float32Array): void {
    normalised(this.augmented(image, random), this.normalisation, planes);
    if (random.unit() < this.config.erasing) erase(planes, this.size, random);
  }

  /** The picture as far as it is one of bytes: (size, size). */
  augmented(image: RgbImage, random: Random): RgbImage {
    const { flip, interpolation, colorJitter: strength } = this.config;
    const cut = this.cropped(image, random);
    const turned = random.unit() < flip ? mirrored(cut) : cut;
    if (this.randAugment !== null)
      return randAugment(turned, this.randAugment, { interpolation, fill: this.fill }, random);
    return strength > 0 ? colorJitter(turned, strength, random) : turned;
  }

  private cropped(image: RgbImage, random: Random): RgbImage {
    const { size } = this;
    const { crop: kind, padding, interpolation } = this.config;
    const filter = samplingOf(interpolation, random);
    if (kind === 'random-resized') {
      const part = crop(image, randomBox(image, this.config, random));
      return resize(part, { width: size, height: size, filter });
    }
    const middle = evaluationView(image, { size, cropRatio: 1, filter });
    if (kind === 'none') return middle;
    const move = () => padding - random.below(2 * padding + 1);
    return shifted(middle, move(), move());
  }
}

function settingsOf(text: string): RandAugmentSettings {
  const settings = parseRandAugment(text);
  if (settings === undefined) throw new RangeError(`expected a checked RandAugment text, received ${text}`);
  return settings;
}
