/** `transformer-ls images --contact-sheet`: what an augmentation makes of some pictures of a place, as a picture. */
import { DataError } from '../data/errors.js';
import { Random, shuffledIndices } from '../data/random.js';
import { type AugmentationName, augmentation } from '../images/augment/presets.js';
import { contactSheet, type SheetPicture } from '../images/contact-sheet.js';
import { findImages } from '../images/find-source.js';
import { imageParts } from '../images/image-parts.js';
import { ImageError, type ImageSet } from '../images/image-set.js';
import { openImageSet } from '../images/sources.js';
import { formatBytes } from '../text/numbers.js';
import { pictureFormat, writePicture } from './picture-file.js';

export interface SheetFlags {
  readonly augmentation: AugmentationName;
  readonly seed: number;
  /** Pixels a side. */
  readonly size: number;
  readonly pictures: number;
}

/** Writes the file; returns what to say of it. @throws UsageError, DataError in one line */
export async function drawSheet(place: string, path: string, flags: SheetFlags): Promise<string> {
  const format = await pictureFormat(path, { flag: '--contact-sheet', hasPhotographs: true });
  const found = await findImages(place);
  const source = imageParts.map((part) => found[part]).find((one) => one !== undefined)!;
  const set = await openImageSet(source);
  try {
    const { augmentation: name, seed, size } = flags;
    const sheet = {
      title: `${set.name}: augmentation "${name}" at ${size} x ${size} pixels`,
      pictures: await chosenPictures(set, flags),
      augmentation: augmentation(name),
      size,
      seed,
    };
    const bytes = await format(await contactSheet(sheet));
    await writePicture(path, bytes);
    return `wrote ${path} (${formatBytes(bytes.length)})`;
  } finally {
    await set.close();
  }
}

/** Those that the seed draws; what cannot be read is passed over. */
async function chosenPictures(set: ImageSet, { seed, pictures }: SheetFlags): Promise<SheetPicture[]> {
  const chosen: SheetPicture[] = [];
  for (const index of shuffledIndices(set.labels.length, new Random(seed))) {
    if (chosen.length === pictures) break;
    const image = await set.read(index).catch((error: unknown) => {
      if (error instanceof ImageError) return undefined;
      throw error;
    });
    if (image !== undefined) chosen.push({ index, image });
  }
  if (chosen.length === 0) throw new DataError(`${set.name}: none of its pictures can be read`);
  return chosen;
}
