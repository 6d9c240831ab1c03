/**
 * Encoded pictures as red, green and blue, with the numbers that Pillow's `open(...).convert('RGB')` gives: no turning by EXIF, no
 * colour management, transparency dropped, the first picture of several. Bytes are taken for hostile: what they are is told by how
 * they begin, and only the formats below ever reach a decoder.
 */
import type { RgbImage } from '@transformer-ls/formats';
import type { Sharp } from 'sharp';
import { messageOf, oneLine } from '../data/errors.js';
import { ImageError } from './image-set.js';
import { loadSharp } from './load-sharp.js';

/** The largest of ImageNet has 16 MB. */
export const MOST_ENCODED_BYTES = 1 << 26;
/** 10,000 x 10,000: 300 MB of colours. */
export const MOST_PIXELS = 100e6;
/** A picture of this many pixels takes a second or two. */
const MOST_SECONDS = 60;

/** @throws ImageError in one line that begins with `name`, where the bytes are none of the formats, damaged or too large */
export type DecodeImage = (bytes: Uint8Array, name: string) => Promise<RgbImage>;

/** @throws DataError where the package sharp is not installed */
export async function imageDecoder(): Promise<DecodeImage> {
  const sharp = await loadSharp('pictures');
  // Warnings are common in photographs and do no harm; what is cut short is refused, as Pillow does.
  const options = { failOn: 'error', limitInputPixels: MOST_PIXELS, ignoreIcc: true } as const;
  return async (bytes, name) => {
    if (bytes.length > MOST_ENCODED_BYTES)
      throw new ImageError(`${name}: has ${bytes.length} bytes, expected at most ${MOST_ENCODED_BYTES}`);
    const format = imageFormat(bytes);
    if (format === undefined)
      throw new ImageError(`${name}: expected ${expectedFormats}, received ${beginning(bytes)}`);
    try {
      const picture = sharp(bytes, options).timeout({ seconds: MOST_SECONDS });
      return await ((await isInks(picture, bytes, format)) ? fromInks(picture) : fromColours(picture));
    } catch (error) {
      throw new ImageError(`${name}: cannot be decoded: ${oneLine(messageOf(error))}`, { cause: error });
    }
  };
}

/** Whether a picture is stored as cyan, magenta, yellow and black. */
async function isInks(picture: Sharp, bytes: Uint8Array, format: ImageFormat): Promise<boolean> {
  if (format !== 'jpeg' && format !== 'tiff') return false;
  if (format === 'jpeg' && [1, 3].includes(jpegChannels(bytes) ?? 0)) return false;
  return (await picture.metadata()).space === 'cmyk';
}

/** Of the frame header, which is found by walking over the segments; sharp's own look at it takes a fifth of the time of decoding. */
function jpegChannels(bytes: Uint8Array): number | undefined {
  for (let at = 2; at + 9 < bytes.length && bytes[at] === 0xff; ) {
    const marker = bytes[at + 1]!;
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return bytes[at + 9];
    at += 2 + 256 * bytes[at + 2]! + bytes[at + 3]!;
  }
  return undefined;
}

async function fromColours(picture: Sharp): Promise<RgbImage> {
  return rawImage(picture.removeAlpha().toColourspace('srgb'), 3);
}

/** Inks subtract from white: (255 - ink)(255 - black) / 255, as Pillow has it; a colour profile would give other numbers. */
async function fromInks(picture: Sharp): Promise<RgbImage> {
  const inks = await rawImage(picture.removeAlpha().pipelineColourspace('cmyk').toColourspace('cmyk'), 4);
  const { width, height } = inks;
  const data = new Uint8Array(3 * width * height);
  for (let pixel = 0; pixel < width * height; pixel++) {
    const white = 255 - inks.data[4 * pixel + 3]!;
    for (let colour = 0; colour < 3; colour++)
      data[3 * pixel + colour] = Math.max(
        0,
        white - Math.round((inks.data[4 * pixel + colour]! * white) / 255),
      );
  }
  return { width, height, data };
}

async function rawImage(picture: Sharp, channels: number): Promise<RgbImage> {
  const { data, info } = await picture.raw().toBuffer({ resolveWithObject: true });
  const { width, height } = info;
  if (width < 1 || height < 1 || info.channels !== channels || data.length !== channels * width * height)
    throw new Error(
      `expected ${channels} channels, received ${width} x ${height} pixels of ${info.channels} in ${data.length} bytes`,
    );
  return { width, height, data: new Uint8Array(data.buffer, data.byteOffset, data.length) };
}

const expectedFormats = 'JPEG, PNG, WebP, GIF, TIFF or AVIF';

export type ImageFormat = 'jpeg' | 'png' | 'webp' | 'gif' | 'tiff' | 'avif';

/** The format by the first bytes; undefined for all others. */
export function imageFormat(bytes: Uint8Array): ImageFormat | undefined {
  const start = Buffer.from(bytes.subarray(0, LONGEST_BRANDS)).toString('latin1');
  if (start.startsWith('RIFF') && start.startsWith('WEBP', 8)) return 'webp';
  // A container of many uses: its brands say what it holds, four letters each.
  if (start.startsWith('ftyp', 4)) return /avi[fs]/.test(start.slice(8)) ? 'avif' : undefined;
  return marks.find(([, mark]) => start.startsWith(mark))?.[0];
}

const LONGEST_BRANDS = 64;

const marks: readonly (readonly [ImageFormat, string])[] = [
  ['jpeg', '\xff\xd8\xff'],
  ['png', '\x89PNG\r\n\x1a\n'],
  ['gif', 'GIF87a'],
  ['gif', 'GIF89a'],
  ['tiff', 'II*\0'],
  ['tiff', 'MM\0*'],
];

/** The first bytes as people may know them: `<svg xml` or `00 01 02`. */
function beginning(bytes: Uint8Array): string {
  if (bytes.length === 0) return 'no bytes';
  const first = Buffer.from(bytes.subarray(0, 8));
  const text = first.toString('latin1');
  return `bytes that begin with ${/^[\x20-\x7e]+$/.test(text) ? `"${text}"` : first.toString('hex')}`;
}
