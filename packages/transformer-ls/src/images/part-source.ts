/** One part of the pictures of a place, whatever parts the place comes in. */
import { DataError } from '../data/errors.js';
import { type FoundImages, findImages } from './find-source.js';
import type { ImagePart } from './image-parts.js';
import { type ImageSource, openImageSet } from './sources.js';

/** One picture of ten, the same ones for everybody. */
export const HELD_OUT = { every: 10, seed: 0 } as const;

export interface PartOptions {
  /**
   * Identifiers of the classes by label, where a model decides on them, or where the training part is open already: without them
   * the training part is opened to learn them. Default: those of the training part.
   */
  readonly classIds?: readonly string[];
  /** How pictures are held out where there is no validation part. */
  readonly heldOut?: { readonly every: number; readonly seed: number };
}

/**
 * - `train`: the training pictures, without those that are held out where there is no validation part,
 * - `valid`: the validation pictures, else the held-out ones,
 * - `test`: the test pictures, else those of `valid`,
 * - `all`: all pictures of a place that is not divided.
 *
 * The labels of all parts are those of the training part.
 * @throws DataError where the place does not have the part
 */
export async function findImageSource(
  path: string,
  part: ImagePart,
  options: PartOptions = {},
): Promise<ImageSource> {
  const found = await findImages(path);
  const source = chosen(path, found, part, options.heldOut ?? HELD_OUT);
  const classIds = options.classIds ?? (await trainingClasses(found, source));
  return { ...source, ...(classIds === undefined ? {} : { classIds }) };
}

function chosen(
  path: string,
  found: FoundImages,
  part: ImagePart,
  settings: { readonly every: number; readonly seed: number },
): ImageSource {
  const names = Object.keys(found).join(', ');
  if (part === 'all') {
    if (found.all !== undefined) return found.all;
    throw new DataError(`${path}: is divided into ${names}: expected one of these parts`);
  }
  const training = found.train ?? found.all;
  const ready = part === 'test' ? (found.test ?? found.valid) : part === 'valid' ? found.valid : undefined;
  if (ready !== undefined) return ready;
  if (training === undefined) throw new DataError(`${path}: has no training part, only ${names}`);
  if (part === 'train' && found.valid !== undefined) return training;
  const { every } = settings;
  const [take, share] = part === 'train' ? (['rest', every - 1] as const) : (['held-out', 1] as const);
  return { ...training, name: `${training.name} (${share} of ${every})`, heldOut: { ...settings, take } };
}

/** Classes of the training part for the others; undefined where they are the same by themselves. */
async function trainingClasses(
  found: FoundImages,
  source: ImageSource,
): Promise<readonly string[] | undefined> {
  const { train } = found;
  const isOther = train !== undefined && source.from !== train.from;
  if (!isOther || source.from.kind === 'cifar' || source.from.kind === 'cifar-strips') return undefined;
  const set = await openImageSet(train);
  await set.close();
  return set.classIds;
}
