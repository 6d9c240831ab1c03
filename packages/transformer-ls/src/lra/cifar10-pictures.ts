/**
 * CIFAR-10 out of pictures, where the published batches cannot be had:
 * - `cifar10-jpeg.{train,test}.tar.gz`, `{train,test}/<class>/<number>.jpg`, numbers in official order within a class, beside
 *   `cifar10-labels.train.txt`, one label a line in official order: all 60,000 images, lossy,
 * - `{train,test}_rows_<first>-<last>.png`, an image a row, beside files of labels: some of the images, lossless.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError, fileError, oneLine } from '../data/errors.js';
import { linesOf } from '../data/lines.js';
import { tarFiles } from '../data/tar.js';
import {
  CIFAR_PIXELS,
  CIFAR_SIDE,
  type GreyExample,
  type GreyImages,
  greyImage,
  type Tick,
} from './grey-images.js';
import { allInOrder, type DecodePicture, pictureDecoder, pictureGroups } from './pictures.js';

export const cifar10Classes = [
  'airplane',
  'automobile',
  'bird',
  'cat',
  'deer',
  'dog',
  'frog',
  'horse',
  'ship',
  'truck',
] as const;

type Part = 'train' | 'test';

export const JPEG_ARCHIVES: Readonly<Record<Part, string>> = {
  train: 'cifar10-jpeg.train.tar.gz',
  test: 'cifar10-jpeg.test.tar.gz',
};
const TRAINING_LABELS = 'cifar10-labels.train.txt';

export interface ImageCounts {
  readonly train: number;
  readonly test: number;
}

const published: ImageCounts = { train: 50_000, test: 10_000 };

/** All images of the two archives. @throws DataError where one is missing, superfluous or damaged */
export async function imagesOfJpegs(folder: string, tick: Tick, counts = published): Promise<GreyImages> {
  const labels = await labelsOf(join(folder, TRAINING_LABELS), counts.train);
  // The test part has no official order in this copy: class after class.
  const perClass = counts.test / cifar10Classes.length;
  const testLabels = Array.from({ length: counts.test }, (_, i) => Math.floor(i / perClass));
  const decode = await pictureDecoder();
  const total = counts.train + counts.test;
  const train = await jpegPart(folder, 'train', labels, decode, (done) => tick(done, total));
  const test = await jpegPart(folder, 'test', testLabels, decode, (done) => tick(counts.train + done, total));
  return { train, test };
}

/** The images of a part in the order of its labels. */
async function jpegPart(
  folder: string,
  part: Part,
  labels: readonly number[],
  decode: DecodePicture,
  tick: (done: number) => void,
): Promise<GreyExample[]> {
  const archive = join(folder, JPEG_ARCHIVES[part]);
  const places = placesByName(part, labels);
  const images = new Array<GreyExample | undefined>(labels.length);
  let done = 0;
  for await (const group of pictureGroups(tarFiles(archive, (name) => name.endsWith('.jpg')))) {
    const decoded = group.map(async ({ name, bytes }) => {
      const place = places.get(name);
      if (place === undefined) throw new DataError(`${archive}: holds ${oneLine(name)}, which has no label`);
      images[place] = {
        pixels: await decodeGrey(decode, bytes, `${archive}: ${name}`),
        label: labels[place]!,
      };
    });
    await allInOrder(decoded);
    done += group.length;
    tick(done);
  }
  for (const [name, place] of places)
    if (images[place] === undefined) throw new DataError(`${archive}: holds no ${name}`);
  return images as GreyExample[];
}

/** `train/cat/0007.jpg` is the eighth image with the label of cats. */
function placesByName(part: Part, labels: readonly number[]): Map<string, number> {
  const counts = cifar10Classes.map(() => 0);
  return new Map(
    labels.map((label, place) => {
      const number = counts[label]!++;
      return [`${part}/${cifar10Classes[label]}/${String(number).padStart(4, '0')}.jpg`, place];
    }),
  );
}

async function decodeGrey(decode: DecodePicture, bytes: Uint8Array, name: string): Promise<Uint8Array> {
  const colours = await decode(bytes, { width: CIFAR_SIDE, height: CIFAR_SIDE, channels: 3 }, name);
  return greyImage(colours, 'pixels');
}

const stripName = /^(train|test)_rows_(\d{1,5})-(\d{1,5})\.png$/;
/** Images of a strip, at most. */
const LONGEST_STRIP = 10_000;

export function isStrip(name: string): boolean {
  return stripName.test(name);
}

/** The images of all strips of a folder. @throws DataError where a strip or its labels are missing or damaged */
export async function imagesOfStrips(folder: string, tick: Tick): Promise<GreyImages> {
  const names = await readdir(folder).catch((error) => {
    throw fileError('read', folder, error);
  });
  const decode = await pictureDecoder();
  const files = names.filter(isStrip).sort();
  const images: Record<Part, GreyExample[]> = { train: [], test: [] };
  const labels: Record<Part, number[]> = {
    train: await labelsOf(join(folder, TRAINING_LABELS)),
    test: await labelsOf(join(folder, 'cifar10-labels.test-first1000.txt')),
  };
  for (const name of files) {
    const [part, first, last] = stripPlace(name);
    if (first !== images[part].length)
      throw new DataError(
        `${folder}: expected the strip from image ${images[part].length} on, found ${name}`,
      );
    const path = join(folder, name);
    for (const pixels of await imagesOfStrip(decode, path, last - first + 1)) {
      const label = labels[part][images[part].length];
      if (label === undefined) throw new DataError(`${path}: has more images than there are labels`);
      images[part].push({ pixels, label });
    }
    tick(images.train.length + images.test.length, undefined);
  }
  return images;
}

function stripPlace(name: string): [part: Part, first: number, last: number] {
  const [, part, first, last] = stripName.exec(name)!;
  return [part as Part, Number(first), Number(last)];
}

/** A row is an image: its pixels in reading order. */
async function imagesOfStrip(decode: DecodePicture, path: string, count: number): Promise<Uint8Array[]> {
  if (count < 1 || count > LONGEST_STRIP)
    throw new DataError(`${path}: expected 1 to ${LONGEST_STRIP} images by its name`);
  const bytes = await readFile(path).catch((error) => {
    throw fileError('read', path, error);
  });
  const colours = await decode(bytes, { width: CIFAR_PIXELS, height: count, channels: 3 }, path);
  const size = 3 * CIFAR_PIXELS;
  return Array.from({ length: count }, (_, i) =>
    greyImage(colours.subarray(i * size, (i + 1) * size), 'pixels'),
  );
}

/** Labels, one digit a line. */
async function labelsOf(path: string, count?: number): Promise<number[]> {
  const labels: number[] = [];
  for await (const line of linesOf(path)) {
    const label = line.length === 1 ? line[0]! - 48 : -1;
    if (label < 0 || label > 9)
      throw new DataError(`${path}: line ${labels.length + 1}: expected a label from 0 to 9`);
    labels.push(label);
  }
  if (count !== undefined && labels.length !== count)
    throw new DataError(`${path}: holds ${labels.length} labels, expected ${count}`);
  return labels;
}
