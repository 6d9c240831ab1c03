/** Decoding PNG and JPEG, with `sharp` where it is installed: only the sets that are read from pictures need it. */
import { DataError, messageOf, oneLine } from '../data/errors.js';
import { loadSharp } from '../images/load-sharp.js';

export interface PictureShape {
  readonly width: number;
  readonly height: number;
  /** 1: grey; 3: red, green, blue. */
  readonly channels: 1 | 3;
}

/** Width x height x channels bytes, row by row. */
export type DecodePicture = (bytes: Uint8Array, shape: PictureShape, name: string) => Promise<Uint8Array>;

/**
 * The decoder. Its calls throw DataError, with the name of the picture, where one is damaged, of another size, or where it would
 * have to turn colours into grey. @throws DataError where `sharp` is not installed
 */
export async function pictureDecoder(): Promise<DecodePicture> {
  const sharp = await loadSharp('pictures');
  return async (bytes, { width, height, channels }, name) => {
    try {
      const picture = sharp(bytes, { failOn: 'warning', limitInputPixels: width * height });
      const { data, info } = await picture.raw().toBuffer({ resolveWithObject: true });
      const found = `${info.width} x ${info.height} pixels of ${info.channels} channel(s)`;
      if (info.width !== width || info.height !== height)
        throw new DataError(`expected ${width} x ${height} pixels, received ${found}`);
      if (info.channels === channels) return data;
      // A grey picture as colours, or the other way round where all three are equal.
      return info.channels === 1 ? spread(data, channels) : merged(data, info.channels, found);
    } catch (error) {
      const reason = oneLine(messageOf(error));
      throw new DataError(`${name}: is not the picture that was expected: ${reason}`, { cause: error });
    }
  };
}

function spread(grey: Uint8Array, channels: number): Uint8Array {
  return Uint8Array.from({ length: grey.length * channels }, (_, i) => grey[Math.floor(i / channels)]!);
}

function merged(pixels: Uint8Array, channels: number, found: string): Uint8Array {
  const grey = pixels.filter((_, i) => i % channels === 0);
  const isGrey =
    channels >= 3 &&
    grey.every((value, i) => pixels[i * channels + 1] === value && pixels[i * channels + 2] === value);
  if (!isGrey) throw new DataError(`expected grey, received ${found}`);
  return grey;
}

/** Pictures that are decoded at the same time. */
const TOGETHER = 64;

/** Items in groups that are to be decoded together. */
export async function* pictureGroups<T>(items: AsyncIterable<T> | Iterable<T>): AsyncGenerator<readonly T[]> {
  let group: T[] = [];
  for await (const item of items) {
    group.push(item);
    if (group.length < TOGETHER) continue;
    yield group;
    group = [];
  }
  if (group.length > 0) yield group;
}

/** What all give, in their order; where some fail, the first failure in that order, whichever came first in time. */
export async function allInOrder<T>(running: readonly Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(running);
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
}
