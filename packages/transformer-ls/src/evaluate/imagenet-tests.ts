/**
 * Published tests of ImageNet models, which each have their own folders and labels: the validation pictures, ImageNet-Real, -V2, -A, -R
 * and -C.
 */
import { readdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { DataError, fileError, messageOf } from '../data/errors.js';
import { findImages } from '../images/find-source.js';
import type { ImageSet } from '../images/image-set.js';
import { relabelled } from '../images/relabelled.js';
import { type ImageSource, openImageSet } from '../images/sources.js';
import { imagenetClasses } from '../import/imagenet-classes.js';
import { readSmallFile } from '../run/durable.js';
import { nodeFileSystem } from '../run/file-system.js';
import { formatInteger } from '../text/numbers.js';
import { AnyLabelScorer, SubsetScorer } from './image-scorers.js';
import { ScoreSums } from './image-scores.js';
import {
  type NamedModel,
  type PicturesUnderTest,
  plainPictures,
  underLabelsOf,
} from './labelled-pictures.js';

export const imagenetTests = ['imagenet', 'real', 'v2', 'a', 'r', 'c'] as const;
export type ImagenetTest = (typeof imagenetTests)[number];

/** The model with names of ImageNet's classes: its own, or where it keeps none, those of the 1,000 in their order. */
function imagenetModel(model: NamedModel, benchmark: ImagenetTest): NamedModel {
  if (model.hasClassNames) return model;
  if (model.config.classes === imagenetClasses.length)
    return { ...model, classes: imagenetClasses, hasClassNames: true };
  throw new DataError(
    `--benchmark ${benchmark}: expected a model of ImageNet's 1,000 classes or one with a classes.txt, received ${formatInteger(model.config.classes)} classes without names`,
  );
}

/** The validation pictures, or all of a folder of classes. */
export async function openImagenet(model: NamedModel, path: string): Promise<PicturesUnderTest> {
  return plainPictures(imagenetModel(model, 'imagenet'), await validationPart(path));
}

async function validationPart(path: string): Promise<ImageSource> {
  const found = await findImages(path);
  const source = found.valid ?? found.all ?? found.test;
  if (source === undefined)
    throw new DataError(`${path}: has no validation part, only ${Object.keys(found).join(', ')}`);
  return source;
}

/**
 * ImageNet-Real (Beyer et al. 2020): the validation pictures with all labels that people gave them; those without any do not count.
 *
 * @param labels file with the list of labels of each picture, in the order of their numbers. Default: real.json in or beside the folder
 */
export async function openReal(
  model: NamedModel,
  path: string,
  labels: string | undefined,
): Promise<PicturesUnderTest> {
  const named = imagenetModel(model, 'real');
  const listPath = labels ?? (await findRealLabels(path));
  const lists = await readRealLabels(listPath, model.config.classes);
  const { set, source } = await underLabelsOf(named, await validationPart(path));
  try {
    const numbers = set.labels.map((_, index) => validationNumber(set, index, lists.length));
    const pictures = Uint32Array.from(set.labels.keys()).filter(
      (index) => lists[numbers[index]! - 1]!.length > 0,
    );
    if (pictures.length === 0) throw new DataError(`${listPath}: has no labels for any of the pictures`);
    const left = set.labels.length - pictures.length;
    return {
      set,
      source,
      pictures,
      scorer: () => new AnyLabelScorer((index) => lists[numbers[index]! - 1]!),
      classes: model.config.classes,
      notes: left === 0 ? [] : [`${formatInteger(left)} pictures without a label do not count`],
    };
  } catch (error) {
    await set.close();
    throw error;
  }
}

const REAL_NAME = 'real.json';
const LARGEST_REAL = 64 * 2 ** 20;

async function findRealLabels(path: string): Promise<string> {
  for (const folder of [path, dirname(resolve(path))]) {
    const names = await readdir(folder).catch((): string[] => []);
    if (names.includes(REAL_NAME)) return join(folder, REAL_NAME);
  }
  throw new DataError(`${path}: expected ${REAL_NAME} in it or beside it, or --labels <file>`);
}

async function readRealLabels(path: string, classes: number): Promise<readonly (readonly number[])[]> {
  const text = await readSmallFile(nodeFileSystem, path, LARGEST_REAL).catch((error) => {
    throw fileError('read', path, error);
  });
  let lists: unknown;
  try {
    lists = JSON.parse(new TextDecoder().decode(text));
  } catch (error) {
    throw new DataError(`${path}: expected JSON: ${messageOf(error)}`);
  }
  const isLabel = (label: unknown) =>
    Number.isInteger(label) && Number(label) >= 0 && Number(label) < classes;
  const isLists = (value: unknown): value is number[][] =>
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((list) => Array.isArray(list) && list.every(isLabel));
  if (!isLists(lists))
    throw new DataError(
      `${path}: expected a list with a list of labels from 0 to ${classes - 1} for each picture`,
    );
  return lists;
}

/** 1 to 50,000, of `ILSVRC2012_val_00000001.JPEG`. */
function validationNumber(set: ImageSet, index: number, most: number): number {
  const [, digits] = /ILSVRC2012_val_(\d{8})\./i.exec(set.nameOf(index)) ?? [];
  const number = Number(digits ?? 0);
  if (number >= 1 && number <= most) return number;
  throw new DataError(
    `${set.nameOf(index)}: expected a name with a number from 1 to ${formatInteger(most)}, such as ILSVRC2012_val_00000001.JPEG`,
  );
}

/** ImageNet-V2 (Recht et al. 2019): folders are called by the numbers of the classes. */
export async function openV2(model: NamedModel, path: string): Promise<PicturesUnderTest> {
  const { classes } = model.config;
  const source = await undivided(path, 'folders 0 to 999');
  const set = await openImageSet(source);
  try {
    const isNumbered = set.classIds.every((id) => /^\d{1,4}$/.test(id) && Number(id) < classes);
    if (!isNumbered) {
      await set.close();
      return plainPictures(imagenetModel(model, 'v2'), source);
    }
    const classIds = Array.from({ length: classes }, (_, label) => String(label));
    const numbered = relabelled(set, classIds);
    return {
      set: numbered,
      source: { ...source, classIds },
      scorer: () => new ScoreSums(),
      classes,
      notes: [],
    };
  } catch (error) {
    await set.close();
    throw error;
  }
}

/** Classes of ImageNet-A and of ImageNet-R. */
const SUBSET_CLASSES = 200;

/** ImageNet-A or -R (Hendrycks et al. 2021): the model chooses among the classes that the folders have. */
export async function openSubset(
  model: NamedModel,
  benchmark: 'a' | 'r',
  path: string,
): Promise<PicturesUnderTest> {
  const named = imagenetModel(model, benchmark);
  const { set, source, notes } = await underLabelsOf(
    named,
    await undivided(path, 'a folder for each of its 200 classes'),
  );
  const classes = Int32Array.from(new Set(set.labels)).sort();
  const isWhole = classes.length === SUBSET_CLASSES;
  return {
    set,
    source,
    scorer: () => new SubsetScorer(classes, model.config.classes),
    classes: classes.length,
    notes: isWhole
      ? notes
      : [
          ...notes,
          `ImageNet-${benchmark.toUpperCase()} has ${SUBSET_CLASSES} classes, these pictures ${classes.length}`,
        ],
  };
}

async function undivided(path: string, expected: string): Promise<ImageSource> {
  const found = await findImages(path);
  if (found.all !== undefined) return found.all;
  throw new DataError(`${path}: expected ${expected}, received parts ${Object.keys(found).join(', ')}`);
}

/** One severity of a corruption. */
export async function openCorruption(model: NamedModel, folder: string): Promise<PicturesUnderTest> {
  const source: ImageSource = {
    name: `${basename(dirname(folder))} ${basename(folder)}`,
    from: { kind: 'folder', path: folder },
  };
  return plainPictures(imagenetModel(model, 'c'), source);
}
