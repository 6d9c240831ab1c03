/** Encoded pictures and their labels as a set. */
import { createHash } from 'node:crypto';
import { oneLine } from '../data/errors.js';
import type { LabelledPictures } from './class-folders.js';
import { imageDecoder } from './decode.js';
import { ImageError, type ImageSet } from './image-set.js';
import type { PictureFiles } from './picture-files.js';

/**
 * @param name what the data are called in records
 * @param classNames names for people by identifier, where there are any
 * @throws DataError where the decoder is not installed
 */
export async function labelledFiles(
  name: string,
  files: PictureFiles,
  pictures: LabelledPictures,
  classNames: ReadonlyMap<string, string> = new Map(),
): Promise<ImageSet> {
  const { labels, classIds, inside } = pictures;
  const decode = await imageDecoder();
  const hash = createHash('sha256');
  const prefix = inside === '' ? 0 : inside.length + 1;
  for (const [i, file] of pictures.files.entries())
    hash.update(`${files.names[file]!.slice(prefix)}\0${files.sizes[file]}\0${labels[i]}\n`);
  const nameOf = (index: number) => `${files.place}: ${oneLine(files.names[pictures.files[index]!]!)}`;
  return {
    name,
    classes: classIds.map((id) => classNames.get(id) ?? id),
    classIds,
    labels,
    fingerprint: hash.digest('hex'),
    nameOf,
    read: async (index) => {
      const bytes = await files.bytes(pictures.files[index]!).catch((error) => {
        // The message of the files begins with the bare name.
        throw error instanceof ImageError
          ? new ImageError(`${files.place}: ${error.message}`, { cause: error })
          : error;
      });
      return decode(bytes, nameOf(index));
    },
    close: () => files.close(),
  };
}
