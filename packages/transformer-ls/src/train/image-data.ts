/** The pictures of a run: which train, and which choose the checkpoint. */
import { ConfigError, type ImageTrainingConfig } from '@transformer-ls/formats';
import { Random, shuffledIndices } from '../data/random.js';
import { type FoundImages, findImages } from '../images/find-source.js';
import type { ImageSet } from '../images/image-set.js';
import { HELD_OUT } from '../images/part-source.js';
import { type ImageSource, openImageSet } from '../images/sources.js';

/** Some pictures of an open set. */
export interface ImageSelection {
  readonly set: ImageSet;
  /** Where threads open the same set. */
  readonly source: ImageSource;
  /** By their index. */
  readonly pictures: Uint32Array;
}

export interface ImageData {
  readonly train: ImageSelection;
  readonly valid: ImageSelection;
  /** What the validation pictures are, in words: `2,500 held out of the training part`. */
  readonly validationIs: string;
  close(): Promise<void>;
}

/** Which pictures choose the checkpoint and which are measured at the end. */
export interface ImagePartsInUse {
  readonly train: ImageSource;
  readonly valid: ImageSource;
  /** Null where there is nothing but what was trained on and what chose the checkpoint. */
  readonly test: ImageSource | null;
  readonly isHeldOut: boolean;
}

/**
 * Parts for a run. With `published` the validation part chooses the checkpoint, or else the test part. With `held-out` pictures of
 * the training part do, unless validation and test parts are both there; so what is reported has chosen nothing.
 *
 * @throws DataError where the data have no part to train on
 */
export function partsInUse(
  found: FoundImages,
  { split, heldOutEvery }: ImageTrainingConfig['data'],
  path: string,
): ImagePartsInUse {
  const train = found.train ?? found.all;
  if (train === undefined) throw new ConfigError([`data.path: ${path} has no training part`]);
  const { valid, test } = found;
  if (valid !== undefined && test !== undefined) return { train, valid, test, isHeldOut: false };
  const other = valid ?? test;
  if (split === 'published' && other !== undefined)
    return { train, valid: other, test: other, isHeldOut: false };
  // The same ones for every seed, so that runs can be compared.
  const part = (take: 'held-out' | 'rest') => ({
    ...train,
    name: `${train.name} (${take === 'rest' ? 'without held-out pictures' : 'held out'})`,
    heldOut: { every: heldOutEvery, seed: HELD_OUT.seed, take },
  });
  return { train: part('rest'), valid: part('held-out'), test: other ?? null, isHeldOut: true };
}

/** @throws DataError, ConfigError in one line where there are no such pictures */
export async function openImageData({
  data,
  evaluateExamples,
  seed,
}: ImageTrainingConfig): Promise<ImageData> {
  const { path, examples } = data;
  if (path === null)
    throw new ConfigError([
      `data.path: where the pictures of ${data.name} lie must be said: --data <folder or archive>`,
    ]);
  const parts = partsInUse(await findImages(path), data, path);
  const train = await select(parts.train, examples, seed);
  try {
    // Labels are those of the training part, whatever classes another one lacks.
    const valid = await select({ ...parts.valid, classIds: train.set.classIds }, evaluateExamples, seed);
    return {
      train,
      valid,
      validationIs: parts.isHeldOut ? 'held out of the training part' : valid.set.name,
      close: async () => {
        await train.set.close();
        await valid.set.close();
      },
    };
  } catch (error) {
    await train.set.close();
    throw error;
  }
}

/** Some pictures of a set, chosen by the seed since the first ones may all be of one class; all where `count` is null. */
async function select(source: ImageSource, count: number | null, seed: number): Promise<ImageSelection> {
  const set = await openImageSet(source);
  const order = shuffledIndices(set.labels.length, new Random(seed));
  return { set, source, pictures: order.subarray(0, count ?? undefined).sort() };
}
