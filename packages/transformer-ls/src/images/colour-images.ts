/** Sets that come as plain pixels, all of one size, and are kept in memory: CIFAR. */
import { createHash } from 'node:crypto';
import { DataError } from '../data/errors.js';
import {
  CIFAR_SIDE,
  type CifarCopy,
  cifar10Classes,
  cifarClasses,
  readCifarBatches,
} from './cifar-batches.js';
import { readStrips, type StripPart } from './cifar-strips.js';
import type { ImageSet } from './image-set.js';

const PLANE = CIFAR_SIDE * CIFAR_SIDE;
const COLOURS = 3 * PLANE;

/** A part of CIFAR-10 or CIFAR-100 in colour. @throws DataError where a batch is missing or damaged */
export async function openCifar(name: string, copy: CifarCopy, part: 'train' | 'test'): Promise<ImageSet> {
  const batches = await readCifarBatches(copy, copy.set[part], (batch) => batch);
  const pixels = Buffer.concat(batches.map(({ planes }) => interleaved(planes)));
  const labels = Buffer.concat(batches.map(({ labels }) => labels));
  return colourSet(name, {
    where: `${copy.path}: ${part}`,
    pixels,
    labels,
    classes: await cifarClasses(copy),
  });
}

/** A part of the strips of a folder. @throws DataError where there are none, or one is missing or damaged */
export async function openStrips(name: string, folder: string, part: StripPart): Promise<ImageSet> {
  const { pixels, labels } = await readStrips(folder, part);
  if (labels.length === 0) throw new DataError(`${folder}: holds no ${part}_rows_<first>-<last>.png`);
  return colourSet(name, { where: `${folder}: ${part}`, pixels, labels, classes: cifar10Classes });
}

interface ColourSet {
  readonly where: string;
  /** (images, 32, 32, 3) */
  readonly pixels: Uint8Array;
  readonly labels: Uint8Array;
  readonly classes: readonly string[];
}

function colourSet(name: string, { where, pixels, labels, classes }: ColourSet): ImageSet {
  return {
    name,
    classes,
    classIds: classes,
    labels: Int32Array.from(labels),
    fingerprint: createHash('sha256').update(labels).update(pixels).digest('hex'),
    nameOf: (index) => `${where} image ${index}`,
    read: async (index) => ({
      width: CIFAR_SIDE,
      height: CIFAR_SIDE,
      data: pixels.slice(index * COLOURS, (index + 1) * COLOURS),
    }),
    close: async () => undefined,
  };
}

/** (images, 3, 32, 32) to (images, 32, 32, 3). */
function interleaved(planes: Uint8Array): Uint8Array {
  const pixels = new Uint8Array(planes.length);
  for (let image = 0; image < planes.length; image += COLOURS)
    for (let pixel = 0; pixel < PLANE; pixel++)
      for (let colour = 0; colour < 3; colour++)
        pixels[image + 3 * pixel + colour] = planes[image + colour * PLANE + pixel]!;
  return pixels;
}
