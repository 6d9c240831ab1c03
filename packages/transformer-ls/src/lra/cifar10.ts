/** Image: CIFAR-10 from whatever copy of it is there. */
import { readdirSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { sha256OfFile } from '../data/download.js';
import { DataError } from '../data/errors.js';
import { type CifarCopy, cifar10, cifarCopiesIn } from '../images/cifar-batches.js';
import { isStrip } from '../images/cifar-strips.js';
import { greyBatches } from './cifar10-batches.js';
import { imagesOfJpegs, imagesOfStrips, JPEG_ARCHIVES } from './cifar10-pictures.js';
import type { GreyImages, Tick } from './grey-images.js';

/** The published archives. Their SHA-256 are those that TensorFlow Datasets and Keras check. */
export const cifar10Archives = [
  {
    name: 'cifar-10-binary.tar.gz',
    bytes: 170_052_171,
    sha256: 'c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd',
  },
  {
    name: 'cifar-10-python.tar.gz',
    bytes: 170_498_071,
    sha256: '6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce',
  },
] as const;

export const cifar10Expects =
  'cifar-10-binary.tar.gz, cifar-10-python.tar.gz, a folder that one of them unpacks to, or a folder with cifar10-jpeg.{train,test}.tar.gz and cifar10-labels.train.txt';

type Copy =
  | { readonly kind: 'batches'; readonly copy: CifarCopy }
  | { readonly kind: 'jpeg'; readonly folder: string }
  | { readonly kind: 'strips'; readonly folder: string };

/** Images in official order. @throws DataError where the copy is incomplete or damaged */
export function readCifar10(from: string, tick: Tick): Promise<GreyImages> {
  const copy = copyAt(from);
  switch (copy.kind) {
    case 'batches':
      return greyBatches(copy.copy, tick);
    case 'jpeg':
      return imagesOfJpegs(copy.folder, tick);
    case 'strips':
      return imagesOfStrips(copy.folder, tick);
  }
}

/** How results on this copy may be reported. */
export async function cifar10Standing(
  from: string,
): Promise<{ readonly reportAs: string | null; readonly caution: string }> {
  const copy = copyAt(from);
  if (copy.kind === 'jpeg')
    return {
      reportAs: 'cifar10-jpeg',
      caution: 'Images that were stored as JPEG: accuracies are close to, but not, those of CIFAR-10.',
    };
  if (copy.kind === 'strips')
    return { reportAs: 'cifar10-part', caution: 'Some thousand of the images only: not CIFAR-10.' };
  if (copy.copy.kind === 'folder') return { reportAs: null, caution: '' };
  const sha256 = await sha256OfFile(copy.copy.path);
  if (cifar10Archives.some((archive) => archive.sha256 === sha256)) return { reportAs: null, caution: '' };
  return { reportAs: null, caution: `Not one of the published archives: its SHA-256 is ${sha256}.` };
}

/** Tells by names which copy a path is; a picked strip stands for all of its folder. */
function copyAt(from: string): Copy {
  if (!statSync(from).isDirectory())
    return isStrip(basename(from))
      ? { kind: 'strips', folder: dirname(from) }
      : { kind: 'batches', copy: { set: cifar10, kind: 'archive', path: from } };
  const names = new Set(readdirSync(from));
  const copy = cifarCopiesIn(from).find(({ set }) => set === cifar10);
  if (copy !== undefined) return { kind: 'batches', copy };
  if (Object.values(JPEG_ARCHIVES).some((name) => names.has(name))) return { kind: 'jpeg', folder: from };
  if ([...names].some(isStrip)) return { kind: 'strips', folder: from };
  throw new DataError(`${from}: holds no CIFAR-10, expected ${cifar10Expects}`);
}
