/**
 * The published batches of CIFAR-10 (Krizhevsky 2009), from the archives or their folders:
 * - `cifar-10-binary.tar.gz`, `cifar-10-batches-bin/{data_batch_1..5,test_batch}.bin`: a byte of label and three planes of 32 x 32,
 * - `cifar-10-python.tar.gz`, `cifar-10-batches-py/{data_batch_1..5,test_batch}`: pickled dicts with `data` (10000, 3072) and `labels`.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { NumpyArray, numpyGlobals, PickleDict, type PickleValue, readPickle } from '@transformer-ls/formats';
import { DataError, fileError, messageOf } from '../data/errors.js';
import { tarFiles } from '../data/tar.js';
import { CIFAR_PIXELS, type GreyExample, type GreyImages, greyImage, type Tick } from './grey-images.js';

const COLOURS = 3 * CIFAR_PIXELS;
const RECORD = 1 + COLOURS;
/** A batch is 30.7 MB; pickled by Python 3 for old protocols, which write bytes as text, up to half as much again. */
const LARGEST_BATCH = 1 << 26;

/** Images a batch, and batches of training. */
export interface BatchCounts {
  readonly images: number;
  readonly training: number;
}

const published: BatchCounts = { images: 10_000, training: 5 };

const batchPath = /(?:^|\/)((?:data_batch_\d|test_batch)(\.bin)?)$/;

/** All batches of an archive, in the order of their numbers. @throws DataError where one is missing or damaged */
export async function batchesOfArchive(path: string, tick: Tick, counts = published): Promise<GreyImages> {
  const batches = new Map<string, readonly GreyExample[]>();
  for await (const { name, bytes } of tarFiles(path, (name) => batchPath.test(name))) {
    const batch = batchPath.exec(name)![1]!;
    if (batches.has(batch)) throw new DataError(`${path}: holds ${batch} twice`);
    batches.set(batch, imagesOfBatch(bytes, `${path}: ${batch}`, counts));
    tick(batches.size * counts.images, (counts.training + 1) * counts.images);
  }
  const extension = batches.has('test_batch') ? '' : '.bin';
  return joined(batches, extension, path, counts);
}

/** All batches of a folder. @throws DataError where one is missing or damaged */
export async function batchesOfFolder(
  folder: string,
  extension: '.bin' | '',
  tick: Tick,
  counts = published,
): Promise<GreyImages> {
  const batches = new Map<string, readonly GreyExample[]>();
  for (const name of batchNames(extension, counts)) {
    const path = join(folder, name);
    const bytes = await readFile(path).catch((error) => {
      throw fileError('read', path, error);
    });
    batches.set(name, imagesOfBatch(bytes, path, counts));
    tick(batches.size * counts.images, (counts.training + 1) * counts.images);
  }
  return joined(batches, extension, folder, counts);
}

function batchNames(extension: string, { training }: BatchCounts): string[] {
  const numbers = Array.from({ length: training }, (_, i) => `data_batch_${i + 1}${extension}`);
  return [...numbers, `test_batch${extension}`];
}

function joined(
  batches: ReadonlyMap<string, readonly GreyExample[]>,
  extension: string,
  where: string,
  counts: BatchCounts,
): GreyImages {
  const names = batchNames(extension, counts);
  const missing = names.find((name) => !batches.has(name));
  if (missing !== undefined)
    throw new DataError(
      `${where}: holds no ${missing}, expected ${counts.training} batches and a test batch`,
    );
  const all = names.map((name) => batches.get(name)!);
  return { train: all.slice(0, -1).flat(), test: all.at(-1)! };
}

/** Which kind a batch is, its name says. */
function imagesOfBatch(bytes: Uint8Array, where: string, counts: BatchCounts): readonly GreyExample[] {
  if (bytes.length > LARGEST_BATCH)
    throw new DataError(`${where}: has ${bytes.length} bytes, expected at most ${LARGEST_BATCH}`);
  return where.endsWith('.bin')
    ? imagesOfRecords(bytes, where, counts.images)
    : imagesOfPickle(bytes, where, counts.images);
}

function imagesOfRecords(bytes: Uint8Array, where: string, count: number): GreyExample[] {
  if (bytes.length !== count * RECORD)
    throw new DataError(
      `${where}: has ${bytes.length} bytes, expected ${count * RECORD} (${count} images of ${RECORD})`,
    );
  return Array.from({ length: count }, (_, i) => {
    const record = bytes.subarray(i * RECORD, (i + 1) * RECORD);
    return { pixels: greyImage(record.subarray(1), 'planes'), label: checkedLabel(record[0], where, i) };
  });
}

function imagesOfPickle(bytes: Uint8Array, where: string, count: number): GreyExample[] {
  const { data, labels } = unpickled(bytes, where);
  const right =
    data instanceof NumpyArray &&
    data.dtype?.text === '|u1' &&
    !data.fortranOrder &&
    String(data.shape) === `${count},${COLOURS}`;
  if (!right)
    throw new DataError(`${where}: expected data of ${count} x ${COLOURS} unsigned bytes, row by row`);
  if (!Array.isArray(labels) || labels.length !== count)
    throw new DataError(`${where}: expected a list of ${count} labels`);
  return labels.map((label, i) => ({
    pixels: greyImage(data.data.subarray(i * COLOURS, (i + 1) * COLOURS), 'planes'),
    label: checkedLabel(label, where, i),
  }));
}

function unpickled(bytes: Uint8Array, where: string): { data?: PickleValue; labels?: PickleValue } {
  try {
    const { value } = readPickle(bytes, { findGlobal: numpyGlobals() });
    if (!(value instanceof PickleDict)) throw new DataError('expected a dict');
    return { data: value.get('data') ?? null, labels: value.get('labels') ?? null };
  } catch (error) {
    throw new DataError(`${where}: is no batch of CIFAR-10: ${messageOf(error)}`, { cause: error });
  }
}

function checkedLabel(label: PickleValue | undefined, where: string, image: number): number {
  if (typeof label === 'number' && Number.isInteger(label) && label >= 0 && label <= 9) return label;
  throw new DataError(`${where}: image ${image}: expected a label from 0 to 9`);
}
