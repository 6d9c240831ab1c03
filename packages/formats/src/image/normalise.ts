/** Pictures as numbers around zero, which models take. */
import type { RgbImage } from './rgb-image.js';

/** Red, green, blue, as shares of 255. */
export type ColourStatistics = readonly [red: number, green: number, blue: number];

/** Mean and standard deviation of ImageNet's training pictures. */
export const IMAGENET_MEAN: ColourStatistics = [0.485, 0.456, 0.406];
export const IMAGENET_STD: ColourStatistics = [0.229, 0.224, 0.225];

/** What each byte becomes: 256 numbers for each of the three colours. */
export type Normalisation = readonly [red: Float32Array, green: Float32Array, blue: Float32Array];

/** (byte / 255 - mean) / std, every step in single precision, as PyTorch computes it. @throws RangeError where std is not above 0 */
export function normalisation(mean = IMAGENET_MEAN, std = IMAGENET_STD): Normalisation {
  const table = (colour: 0 | 1 | 2) => {
    if (!(std[colour] > 0)) throw new RangeError(`expected a std above 0, received ${std.join(', ')}`);
    const [middle, spread] = [Math.fround(mean[colour]), Math.fround(std[colour])];
    return Float32Array.from(
      { length: 256 },
      (_, byte) => Math.fround(Math.fround(byte / 255) - middle) / spread,
    );
  };
  return [table(0), table(1), table(2)];
}

/**
 * The picture as three planes: (3, height, width), red first.
 * @param into where they are written, 3 * height * width numbers; a new array where none is given
 */
export function normalised(
  { width, height, data }: RgbImage,
  [red, green, blue]: Normalisation,
  into: Float32Array = new Float32Array(3 * width * height),
): Float32Array {
  const plane = width * height;
  if (into.length !== 3 * plane)
    throw new RangeError(`expected room for ${3 * plane} numbers, received ${into.length}`);
  for (let i = 0; i < plane; i++) {
    into[i] = red[data[3 * i]!]!;
    into[i + plane] = green[data[3 * i + 1]!]!;
    into[i + 2 * plane] = blue[data[3 * i + 2]!]!;
  }
  return into;
}
