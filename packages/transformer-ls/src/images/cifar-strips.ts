/**
 * Images of CIFAR-10 in strips, as some publish them: `{train,test}_rows_<first>-<last>.png`, in which row i is an image, its 1,024
 * pixels in reading order, beside files of labels, a digit a line. A part of the images only, without loss.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError, fileError } from '../data/errors.js';
import { linesOf } from '../data/lines.js';
import { CIFAR_SIDE } from './cifar-batches.js';
import { type DecodeImage, imageDecoder } from './decode.js';

export type StripPart = 'train' | 'test';

/** Files of labels of the published strips. */
export const STRIP_LABELS: Readonly<Record<StripPart, string>> = {
  train: 'cifar10-labels.train.txt',
  test: 'cifar10-labels.test-first1000.txt',
};

/** Colour images of 32 x 32 with their labels. */
export interface ColourImages {
  /** (images, 32, 32, 3) */
  readonly pixels: Uint8Array;
  readonly labels: Uint8Array;
}

const PIXELS = CIFAR_SIDE * CIFAR_SIDE;
const stripName = /^(train|test)_rows_(\d{1,5})-(\d{1,5})\.png$/;
/** Images of a strip, at most. */
const LONGEST_STRIP = 10_000;

export function isStrip(name: string): boolean {
  return stripName.test(name);
}

/** The images of all strips of a part, none where there is no strip. @throws DataError where a strip or its labels are missing or damaged */
export async function readStrips(folder: string, part: StripPart): Promise<ColourImages> {
  const names = await readdir(folder).catch((error) => {
    throw fileError('read', folder, error);
  });
  const decode = await imageDecoder();
  const strips: Uint8Array[] = [];
  let images = 0;
  for (const name of names.filter((name) => stripName.exec(name)?.[1] === part).sort()) {
    const [first, last] = stripPlace(name);
    if (first !== images)
      throw new DataError(`${folder}: expected the strip from image ${images} on, found ${name}`);
    strips.push(await stripPixels(decode, join(folder, name), last - first + 1));
    images = last + 1;
  }
  if (images === 0) return { pixels: new Uint8Array(0), labels: new Uint8Array(0) };
  const path = join(folder, STRIP_LABELS[part]);
  const labels = await digitLabels(path);
  if (labels.length < images)
    throw new DataError(`${path}: holds ${labels.length} labels, expected at least ${images}`);
  return { pixels: new Uint8Array(Buffer.concat(strips)), labels: labels.subarray(0, images) };
}

function stripPlace(name: string): [first: number, last: number] {
  const [, , first, last] = stripName.exec(name)!;
  return [Number(first), Number(last)];
}

async function stripPixels(decode: DecodeImage, path: string, count: number): Promise<Uint8Array> {
  if (count < 1 || count > LONGEST_STRIP)
    throw new DataError(`${path}: expected 1 to ${LONGEST_STRIP} images by its name`);
  const bytes = await readFile(path).catch((error) => {
    throw fileError('read', path, error);
  });
  const { width, height, data } = await decode(bytes, path).catch((error) => {
    throw new DataError(error.message, { cause: error });
  });
  if (width === PIXELS && height === count) return data;
  throw new DataError(`${path}: expected ${PIXELS} x ${count} pixels, received ${width} x ${height}`);
}

/** Labels, one digit a line. @throws DataError where a line is something else */
export async function digitLabels(path: string): Promise<Uint8Array> {
  const labels: number[] = [];
  for await (const line of linesOf(path)) {
    const label = line.length === 1 ? line[0]! - 48 : -1;
    if (label < 0 || label > 9)
      throw new DataError(`${path}: line ${labels.length + 1}: expected a label from 0 to 9`);
    labels.push(label);
  }
  return Uint8Array.from(labels);
}
