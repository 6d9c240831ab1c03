/**
 * RandAugment (Cubuk and others 2019) as timm does it: a few operations drawn for each picture, all of about the same strength. The
 * set is the one whose effects grow with the strength; the numbers that a strength stands for are timm's.
 */
import type { RandAugmentSettings, RgbImage } from '@transformer-ls/formats';
import type { Random } from '../../data/random.js';
import { normal } from './distributions.js';
import { brightness, color, contrast, sharpness } from './enhance.js';
import { autoContrast, equalize, invert, posterize, solarize, solarizeAdd } from './tone.js';
import { rotate, type Sampling, shearX, shearY, translateX, translateY, type WarpLook } from './warp.js';

/** Strengths lie between 0 and this. */
export const STRONGEST = 10;

/** What an operation does at a strength. */
interface Operation {
  /** The operation's own number for a part of the strongest, 0 to 1; `sign` is -1 or 1. */
  readonly amount: (part: number, sign: 1 | -1) => number;
  readonly apply: (image: RgbImage, amount: number, look: WarpLook) => RgbImage;
}

const none = () => 0;
/** Away from 1, where nothing changes, but not as far as to nothing. */
const factor = (part: number, sign: number) => Math.max(0.1, 1 + sign * (part * 0.9));

export const randAugmentOperations = {
  AutoContrast: { amount: none, apply: autoContrast },
  Equalize: { amount: none, apply: equalize },
  Invert: { amount: none, apply: invert },
  Rotate: { amount: (part, sign) => sign * (part * 30), apply: rotate },
  PosterizeIncreasing: { amount: (part) => 4 - Math.trunc(part * 4), apply: posterize },
  SolarizeIncreasing: { amount: (part) => 256 - Math.min(256, Math.trunc(part * 256)), apply: solarize },
  SolarizeAdd: { amount: (part) => Math.min(128, Math.trunc(part * 110)), apply: solarizeAdd },
  ColorIncreasing: { amount: factor, apply: color },
  ContrastIncreasing: { amount: factor, apply: contrast },
  BrightnessIncreasing: { amount: factor, apply: brightness },
  SharpnessIncreasing: { amount: factor, apply: sharpness },
  ShearX: { amount: (part, sign) => sign * (part * 0.3), apply: shearX },
  ShearY: { amount: (part, sign) => sign * (part * 0.3), apply: shearY },
  TranslateXRel: { amount: (part, sign) => sign * (part * 0.45), apply: translateX },
  TranslateYRel: { amount: (part, sign) => sign * (part * 0.45), apply: translateY },
} as const satisfies Record<string, Operation>;

export type RandAugmentOperation = keyof typeof randAugmentOperations;

export const randAugmentNames = Object.keys(randAugmentOperations) as RandAugmentOperation[];

/** How a drawn operation looks between pixels (`random`: either way), and what fills the corners. */
export interface RandAugmentLook {
  readonly interpolation: Sampling | 'random';
  readonly fill: WarpLook['fill'];
}

/** A picture of the same size, changed by some operations. */
export function randAugment(
  image: RgbImage,
  settings: RandAugmentSettings,
  look: RandAugmentLook,
  random: Random,
): RgbImage {
  let result = image;
  for (let i = 0; i < settings.operations; i++) {
    const name = random.pick(randAugmentNames);
    if (random.unit() < settings.probability)
      result = randomlyApplied(result, name, drawStrength(settings, random), look, random);
  }
  return result;
}

/** One operation at a strength, its direction and its way of looking between pixels drawn. @param strength 0 to 10 */
export function randomlyApplied(
  image: RgbImage,
  name: RandAugmentOperation,
  strength: number,
  { interpolation, fill }: RandAugmentLook,
  random: Random,
): RgbImage {
  const { amount, apply }: Operation = randAugmentOperations[name];
  const sign = random.unit() < 0.5 ? -1 : 1;
  const sampling = samplingOf(interpolation, random);
  return apply(image, amount(strength / STRONGEST, sign), { sampling, fill });
}

export function samplingOf(interpolation: Sampling | 'random', random: Random): Sampling {
  return interpolation === 'random' ? random.pick(['bilinear', 'bicubic']) : interpolation;
}

function drawStrength({ magnitude, magnitudeStd }: RandAugmentSettings, random: Random): number {
  const drawn = magnitudeStd === 0 ? magnitude : magnitude + magnitudeStd * normal(random);
  return Math.max(0, Math.min(drawn, STRONGEST));
}
