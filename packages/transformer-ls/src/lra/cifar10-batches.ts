/** The published batches of CIFAR-10 as grey images. */
import {
  type BatchSizes,
  type CifarBatch,
  type CifarCopy,
  readCifarBatches,
} from '../images/cifar-batches.js';
import { CIFAR_PIXELS, type GreyExample, type GreyImages, greyImage, type Tick } from './grey-images.js';

/** All batches of a copy, in the order of their numbers. @throws DataError where one is missing or damaged */
export async function greyBatches(copy: CifarCopy, tick: Tick): Promise<GreyImages> {
  const sizes: BatchSizes = { ...copy.set.train, ...copy.set.test };
  const all = await readCifarBatches(copy, sizes, greyExamples, tick);
  return { train: all.slice(0, -1).flat(), test: all.at(-1)! };
}

function greyExamples({ planes, labels }: CifarBatch): GreyExample[] {
  const size = 3 * CIFAR_PIXELS;
  return Array.from(labels, (label, i) => ({
    pixels: greyImage(planes.subarray(i * size, (i + 1) * size), 'planes'),
    label,
  }));
}
