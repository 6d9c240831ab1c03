/**
 * CIFAR-10 out of pictures, where the published batches cannot be had:
 * - `cifar10-jpeg.{train,test}.tar.gz`, `{train,test}/<class>/<number>.jpg`, numbers in official order within a class, beside
 *   `cifar10-labels.train.txt`, one label a line in official order: all 60,000 images, lossy,
 * - `{train,test}_rows_<first>-<last>.png`, an image a row, beside files of labels: some of the images, lossless.
 */
import { join } from 'node:path';
import { DataError, oneLine } from '../data/errors.js';
import { tarFiles } from '../data/tar.js';
import { CIFAR_SIDE, cifar10Classes } from '../images/cifar-batches.js';
import { type ColourImages, digitLabels, readStrips, STRIP_LABELS } from '../images/cifar-strips.js';
import { CIFAR_PIXELS, type GreyExample, type GreyImages, greyImage, type Tick } from './grey-images.js';
import { allInOrder, type DecodePicture, pictureDecoder, pictureGroups } from './pictures.js';

type Part = 'train' | 'test';

export const JPEG_ARCHIVES: Readonly<Record<Part, string>> = {
  train: 'cifar10-jpeg.train.tar.gz',
  test: 'cifar10-jpeg.test.tar.gz',
};

export interface ImageCounts {
  readonly train: number;
  readonly test: number;
}

const published: ImageCounts = { train: 50_000, test: 10_000 };

/** All images of the two archives. @throws DataError where one is missing, superfluous or damaged */
export async function imagesOfJpegs(folder: string, tick: Tick, counts = published): Promise<GreyImages> {
  const labels = await trainingLabels(folder, counts.train);
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

/** The images of all strips of a folder. @throws DataError where a strip or its labels are missing or damaged */
export async function imagesOfStrips(folder: string, tick: Tick): Promise<GreyImages> {
  const train = greyExamples(await readStrips(folder, 'train'));
  tick(train.length, undefined);
  const test = greyExamples(await readStrips(folder, 'test'));
  tick(train.length + test.length, undefined);
  return { train, test };
}

function greyExamples({ pixels, labels }: ColourImages): GreyExample[] {
  const size = 3 * CIFAR_PIXELS;
  return Array.from(labels, (label, i) => ({
    pixels: greyImage(pixels.subarray(i * size, (i + 1) * size), 'pixels'),
    label,
  }));
}

async function trainingLabels(folder: string, count: number): Promise<readonly number[]> {
  const path = join(folder, STRIP_LABELS.train);
  const labels = await digitLabels(path);
  if (labels.length !== count)
    throw new DataError(`${path}: holds ${labels.length} labels, expected ${count}`);
  return [...labels];
}
