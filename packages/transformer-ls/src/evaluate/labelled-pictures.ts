/** The pictures that a vision model is measured on, under its labels. */
import { resolve } from 'node:path';
import { DataError } from '../data/errors.js';
import { type FoundImages, findImages } from '../images/find-source.js';
import type { ImageSet } from '../images/image-set.js';
import { relabelled } from '../images/relabelled.js';
import { type ImageSource, openImageSet } from '../images/sources.js';
import type { LoadedImageClassifier } from '../models/vision/weights.js';
import { formatInteger } from '../text/numbers.js';
import { partsInUse } from '../train/image-data.js';
import { ScoreSums } from './image-scores.js';
import type { ImageScorer } from './images.js';

/** Pictures that are scored together. */
export interface PicturesUnderTest {
  readonly set: ImageSet;
  readonly source: ImageSource;
  /** Places of the pictures that count. Default: all. */
  readonly pictures?: Uint32Array;
  readonly scorer: () => ImageScorer;
  /** Classes that can be chosen. */
  readonly classes: number;
  /** What is to be known about the result. */
  readonly notes: readonly string[];
}

export type NamedModel = Pick<LoadedImageClassifier, 'config' | 'classes' | 'hasClassNames' | 'training'>;

export interface PicturesRequest {
  /** Default: what the model was trained on. */
  readonly data?: string | undefined;
  readonly part: 'train' | 'valid' | 'test';
}

/** Labelled pictures. @throws DataError in one line where there are none, or of other classes */
export async function openPictures(model: NamedModel, request: PicturesRequest): Promise<PicturesUnderTest> {
  const { training } = model;
  const own = training?.data.path ?? undefined;
  const path = request.data ?? own;
  if (path === undefined)
    throw new DataError('expected --data <folder>, since these weights do not lie in a run that names one');
  const isOwn = own !== undefined && resolve(path) === resolve(own);
  if (!isOwn || training === undefined) return plainPictures(model, await foreignPart(path, request.part));
  const { source, notes } = ownPart(await findImages(path), training.data, path, request.part);
  const pictures = await plainPictures(model, source);
  return { ...pictures, notes: [...notes, ...pictures.notes] };
}

/** The parts of a run are those that its training uses. */
function ownPart(
  found: FoundImages,
  data: NonNullable<NamedModel['training']>['data'],
  path: string,
  part: PicturesRequest['part'],
): { readonly source: ImageSource; readonly notes: readonly string[] } {
  const { train, valid, test } = partsInUse(found, data, path);
  if (part === 'train') return { source: train, notes: [] };
  const hasChosen = part === 'test' && (test ?? valid) === valid;
  return {
    source: part === 'valid' ? valid : (test ?? valid),
    notes: hasChosen ? ['these pictures chose the checkpoint too, so the figure is a little too good'] : [],
  };
}

/** All pictures of a place that is not divided; validation and test part stand in for one another. */
async function foreignPart(path: string, part: PicturesRequest['part']): Promise<ImageSource> {
  const found = await findImages(path);
  const instead = part === 'train' ? undefined : part === 'valid' ? found.test : found.valid;
  const source = found.all ?? found[part] ?? instead;
  if (source !== undefined) return source;
  const parts = Object.keys(found);
  throw new DataError(
    `${path}: has no ${part} part, only ${parts.join(', ')}; --split ${parts[0]} takes that one`,
  );
}

/** Each with its label, among all classes. */
export async function plainPictures(model: NamedModel, found: ImageSource): Promise<PicturesUnderTest> {
  const { set, source, notes } = await underLabelsOf(model, found);
  return { set, source, scorer: () => new ScoreSums(), classes: model.config.classes, notes };
}

export interface Labelled {
  readonly set: ImageSet;
  readonly source: ImageSource;
  readonly notes: readonly string[];
}

/** The pictures under the model's labels: classes are matched by identifier, else by name, else, where the model has no names, by order. */
export async function underLabelsOf(model: NamedModel, source: ImageSource): Promise<Labelled> {
  let set = await openImageSet(source);
  try {
    if (isNumberedList(source, set) && model.hasClassNames) {
      await set.close();
      set = await openImageSet({ ...source, classIds: model.classes.map(({ id }) => id) });
    }
    const { classIds, notes } = matchedClasses(model, set);
    return { set: relabelled(set, classIds), source: { ...source, classIds }, notes };
  } catch (error) {
    await set.close();
    throw error;
  }
}

/** Numbers of a list are labels, not names of classes. */
function isNumberedList({ from }: ImageSource, { classIds }: ImageSet): boolean {
  return 'list' in from && from.list !== undefined && classIds.every((id) => /^\d+$/.test(id));
}

function matchedClasses(
  model: NamedModel,
  set: ImageSet,
): { classIds: readonly string[]; notes: readonly string[] } {
  const { classes, hasClassNames, config } = model;
  if (!hasClassNames) return matchedByOrder(config.classes, set);
  const ids = classes.map(({ id }) => id);
  const known = new Set(ids);
  if (set.classIds.every((id) => known.has(id))) return { classIds: ids, notes: [] };
  const byName = new Map(set.classes.map((name, label) => [name, set.classIds[label]!]));
  const isNamed =
    byName.size === set.classes.length &&
    set.classes.every((name) => classes.some((one) => one.name === name));
  if (isNamed)
    return {
      classIds: classes.map(({ id, name }) => byName.get(name) ?? id),
      notes: ['classes were matched by their names'],
    };
  const unknown = set.classIds.filter((id) => !known.has(id));
  throw new DataError(
    `${set.name}: expected classes of the model, such as ${ids[0]}, received ${formatInteger(unknown.length)} other(s), such as ${unknown[0]}`,
  );
}

function matchedByOrder(
  count: number,
  set: ImageSet,
): { classIds: readonly string[]; notes: readonly string[] } {
  if (set.classIds.length === count)
    return {
      classIds: set.classIds,
      notes: ['the model keeps no names of classes: they were taken in the order of the pictures'],
    };
  throw new DataError(
    `${set.name}: has ${formatInteger(set.classIds.length)} classes, the model ${formatInteger(count)} and no classes.txt that names them`,
  );
}
