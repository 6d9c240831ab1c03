/**
 * The published batches of CIFAR-10 and CIFAR-100 (Krizhevsky 2009), from the archives or their folders:
 * - `cifar-10-binary.tar.gz`, `cifar-10-batches-bin/{data_batch_1..5,test_batch}.bin`: a byte of label and three planes of 32 x 32,
 * - `cifar-10-python.tar.gz`, `cifar-10-batches-py/{data_batch_1..5,test_batch}`: pickled dicts with `data` (10000, 3072) and `labels`,
 * - `cifar-100-binary.tar.gz`, `cifar-100-binary/{train,test}.bin`: bytes of coarse and fine label and three planes,
 * - `cifar-100-python.tar.gz`, `cifar-100-python/{train,test}`: pickled dicts with `data` (50000, 3072) and `fine_labels`.
 */
import { readdirSync, statSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { NumpyArray, numpyGlobals, PickleDict, type PickleValue, readPickle } from '@transformer-ls/formats';
import { DataError, fileError, messageOf } from '../data/errors.js';
import { tarFiles } from '../data/tar.js';

export const CIFAR_SIDE = 32;
const COLOURS = 3 * CIFAR_SIDE * CIFAR_SIDE;
/** CIFAR-100's 50,000 are 154 MB; pickled by Python 3 for old protocols, which write bytes as text, up to half as much again. */
const LARGEST_BATCH = 1 << 28;

/** Images in each file of a part, in official order. */
export type BatchSizes = Readonly<Record<string, number>>;

/** One of the two published sets. */
export interface CifarSet {
  readonly title: 'CIFAR-10' | 'CIFAR-100';
  readonly classes: number;
  readonly train: BatchSizes;
  readonly test: BatchSizes;
  /** Bytes before the planes of a record; the last of them is the label. */
  readonly labelBytes: number;
  /** Where the labels are in the pickled dict. */
  readonly labelKey: string;
}

export const cifar10: CifarSet = {
  title: 'CIFAR-10',
  classes: 10,
  train: Object.fromEntries([1, 2, 3, 4, 5].map((number) => [`data_batch_${number}`, 10_000])),
  test: { test_batch: 10_000 },
  labelBytes: 1,
  labelKey: 'labels',
};

export const cifar100: CifarSet = {
  title: 'CIFAR-100',
  classes: 100,
  train: { train: 50_000 },
  test: { test: 10_000 },
  labelBytes: 2,
  labelKey: 'fine_labels',
};

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

/** A copy of one of the sets: an archive, or a folder of batches. */
export interface CifarCopy {
  readonly set: CifarSet;
  readonly kind: 'archive' | 'folder';
  readonly path: string;
}

/** Archives, the folders that they unpack to, and files that tell such a folder. */
const published = [
  {
    set: cifar10,
    archive: 'cifar-10-binary.tar.gz',
    folder: 'cifar-10-batches-bin',
    signs: ['data_batch_1.bin', 'test_batch.bin'],
  },
  {
    set: cifar10,
    archive: 'cifar-10-python.tar.gz',
    folder: 'cifar-10-batches-py',
    signs: ['data_batch_1', 'test_batch'],
  },
  {
    set: cifar100,
    archive: 'cifar-100-binary.tar.gz',
    folder: 'cifar-100-binary',
    signs: ['fine_label_names.txt'],
  },
  { set: cifar100, archive: 'cifar-100-python.tar.gz', folder: 'cifar-100-python', signs: ['meta'] },
] as const;

/** The copy that a file is, told by its name. */
export function cifarArchive(path: string): CifarCopy | undefined {
  const found = published.find(({ archive }) => archive === basename(path));
  return found === undefined ? undefined : { set: found.set, kind: 'archive', path };
}

/** The copies of the sets in a folder, archives first: the folder itself may be one. */
export function cifarCopiesIn(folder: string): readonly CifarCopy[] {
  const names = new Set(readdirSync(folder));
  const archives = published.filter(({ archive }) => names.has(archive));
  const folders = published.flatMap(({ set, folder: inner, signs }) =>
    [folder, join(folder, inner)]
      .filter((path) => signs.some((sign) => isFile(join(path, sign))))
      .map((path) => ({ set, kind: 'folder' as const, path })),
  );
  return [
    ...archives.map(({ set, archive }) => ({ set, kind: 'archive' as const, path: join(folder, archive) })),
    ...folders,
  ];
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

/** Images and labels of a batch. */
export interface CifarBatch {
  /** (images, 3, 32, 32) */
  readonly planes: Uint8Array;
  readonly labels: Uint8Array;
}

/** Called between batches: reports, and throws to stop. */
export type Tick = (done: number, total: number) => void;

/**
 * The batches with these names as `convert` makes them, in the order of the names; converted one by one, so that what is not
 * wanted of the colours need not be kept.
 * @throws DataError where one is missing or damaged
 */
export async function readCifarBatches<T>(
  copy: CifarCopy,
  sizes: BatchSizes,
  convert: (batch: CifarBatch) => T,
  tick: Tick = () => undefined,
): Promise<T[]> {
  const total = Object.values(sizes).reduce((sum, images) => sum + images, 0);
  const results = new Map<string, T>();
  let done = 0;
  for await (const { name, bytes, where } of filesOf(copy, (name) => stem(name) in sizes)) {
    if (results.has(name)) throw new DataError(`${copy.path}: holds ${name} twice`);
    const images = sizes[stem(name)]!;
    results.set(name, convert(batchOf(bytes, where, copy.set, images)));
    done += images;
    tick(done, total);
  }
  const names = Object.keys(sizes);
  const extension = names.some((name) => results.has(name)) ? '' : '.bin';
  return names.map((name) => {
    const found = results.get(name + extension);
    if (found !== undefined) return found;
    throw new DataError(`${copy.path}: holds no ${name}${extension}, expected ${expectedBatches(names)}`);
  });
}

function stem(name: string): string {
  return name.replace(/\.bin$/, '');
}

function expectedBatches(names: readonly string[]): string {
  const training = names.filter((name) => !name.startsWith('test')).length;
  const parts = [
    ...(training === 0 ? [] : [training === 1 ? 'a training batch' : `${training} batches`]),
    ...(training === names.length ? [] : ['a test batch']),
  ];
  return parts.join(' and ');
}

/** Names of the classes: known for CIFAR-10, in a file of the copy for CIFAR-100. @throws DataError where there is none */
export async function cifarClasses(copy: CifarCopy): Promise<readonly string[]> {
  if (copy.set.classes === cifar10Classes.length) return cifar10Classes;
  for await (const { name, bytes, where } of filesOf(
    copy,
    (name) => name === 'meta' || name === 'fine_label_names.txt',
  )) {
    const found =
      name === 'meta' ? unpickled(bytes, where, copy.set).get('fine_label_names') : linesOfText(bytes);
    const names = Array.isArray(found) ? found.map(textOf) : [];
    if (names.length === copy.set.classes && names.every((one) => one !== undefined)) return names;
    throw new DataError(`${where}: expected the names of ${copy.set.classes} classes`);
  }
  throw new DataError(
    `${copy.path}: holds neither meta nor fine_label_names.txt with the names of the classes`,
  );
}

/** Texts that Python 2 pickled are bytes. */
function textOf(value: PickleValue): string | undefined {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('utf8');
  return typeof value === 'string' ? value : undefined;
}

function linesOfText(bytes: Uint8Array): string[] {
  return Buffer.from(bytes).toString('utf8').trimEnd().split(/\r?\n/);
}

interface CifarFile {
  /** Without folders. */
  readonly name: string;
  readonly bytes: Uint8Array;
  /** What it is called in messages. */
  readonly where: string;
}

async function* filesOf(copy: CifarCopy, wanted: (name: string) => boolean): AsyncGenerator<CifarFile> {
  if (copy.kind === 'archive') {
    for await (const { name, bytes } of tarFiles(copy.path, (name) => wanted(basename(name))))
      yield { name: basename(name), bytes, where: `${copy.path}: ${basename(name)}` };
    return;
  }
  for (const name of readdirSync(copy.path).filter(wanted).sort()) {
    const path = join(copy.path, name);
    yield { name, bytes: await batchBytes(path), where: path };
  }
}

async function batchBytes(path: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(path);
    if (size > LARGEST_BATCH)
      throw new DataError(`${path}: has ${size} bytes, expected at most ${LARGEST_BATCH}`);
    return await readFile(path);
  } catch (error) {
    throw fileError('read', path, error);
  }
}

/** Which kind a batch is, its name says. */
function batchOf(bytes: Uint8Array, where: string, set: CifarSet, images: number): CifarBatch {
  return where.endsWith('.bin') ? ofRecords(bytes, where, set, images) : ofPickle(bytes, where, set, images);
}

function ofRecords(
  bytes: Uint8Array,
  where: string,
  { labelBytes, classes }: CifarSet,
  images: number,
): CifarBatch {
  const record = labelBytes + COLOURS;
  if (bytes.length !== images * record)
    throw new DataError(
      `${where}: has ${bytes.length} bytes, expected ${images * record} (${images} images of ${record})`,
    );
  const planes = new Uint8Array(images * COLOURS);
  const labels = new Uint8Array(images);
  for (let i = 0; i < images; i++) {
    const start = i * record;
    labels[i] = checkedLabel(bytes[start + labelBytes - 1], where, i, classes);
    planes.set(bytes.subarray(start + labelBytes, start + record), i * COLOURS);
  }
  return { planes, labels };
}

function ofPickle(bytes: Uint8Array, where: string, set: CifarSet, images: number): CifarBatch {
  const dict = unpickled(bytes, where, set);
  const data = dict.get('data');
  const right =
    data instanceof NumpyArray &&
    data.dtype?.text === '|u1' &&
    !data.fortranOrder &&
    String(data.shape) === `${images},${COLOURS}`;
  if (!right)
    throw new DataError(`${where}: expected data of ${images} x ${COLOURS} unsigned bytes, row by row`);
  const labels = dict.get(set.labelKey);
  if (!Array.isArray(labels) || labels.length !== images)
    throw new DataError(`${where}: expected a list of ${images} labels`);
  return {
    planes: data.data,
    labels: Uint8Array.from(labels, (label, i) => checkedLabel(label, where, i, set.classes)),
  };
}

function unpickled(bytes: Uint8Array, where: string, { title }: CifarSet): PickleDict {
  try {
    const { value } = readPickle(bytes, { findGlobal: numpyGlobals() });
    if (!(value instanceof PickleDict)) throw new DataError('expected a dict');
    return value;
  } catch (error) {
    throw new DataError(`${where}: is no batch of ${title}: ${messageOf(error)}`, { cause: error });
  }
}

function checkedLabel(label: PickleValue | undefined, where: string, image: number, classes: number): number {
  if (typeof label === 'number' && Number.isInteger(label) && label >= 0 && label < classes) return label;
  throw new DataError(`${where}: image ${image}: expected a label from 0 to ${classes - 1}`);
}
