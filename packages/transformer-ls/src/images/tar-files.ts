/** Pictures of a tar archive, compressed or not. The format has no list of contents, so all of it is read once and kept in memory. */
import { DataError, oneLine } from '../data/errors.js';
import { tarFiles } from '../data/tar.js';
import { checkPictureCount, inNameOrder, isPictureName, type PictureFiles } from './picture-files.js';

/** Of the pictures of one archive together. */
export const MOST_TAR_BYTES = 2 ** 32;

/** @throws DataError where the archive is damaged, its pictures too large for memory, or a name leads out of it */
export async function openTarFiles(path: string): Promise<PictureFiles> {
  const found: { name: string; size: number; bytes: Uint8Array }[] = [];
  let total = 0;
  for await (const { name: written, bytes } of tarFiles(path, isPictureName)) {
    const name = plainName(written);
    if (name === undefined)
      throw new DataError(`${path}: holds ${oneLine(written)}, a name that leads out of the archive`);
    total += bytes.length;
    if (total > MOST_TAR_BYTES)
      throw new DataError(
        `${path}: holds more than ${MOST_TAR_BYTES} bytes of pictures: unpack it and give the folder`,
      );
    found.push({ name, size: bytes.length, bytes });
    checkPictureCount(path, found.length);
  }
  const pictures = inNameOrder(path, found);
  return {
    place: path,
    names: pictures.map(({ name }) => name),
    sizes: Float64Array.from(pictures, ({ size }) => size),
    bytes: async (index) => pictures[index]!.bytes,
    close: async () => undefined,
  };
}

/** The name without `./`; undefined where it would lead out of the folder it is unpacked to. */
function plainName(name: string): string | undefined {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  return name.startsWith('/') || parts.includes('..') ? undefined : parts.join('/');
}
