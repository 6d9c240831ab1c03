/** Encoded pictures by name, wherever they lie. */
import { DataError, oneLine } from '../data/errors.js';

export interface PictureFiles {
  /** Path of the folder or archive. */
  readonly place: string;
  /** Names below the place, with `/` between folders, in order of their characters: the same order in a folder and in its archive. */
  readonly names: readonly string[];
  /** Bytes of each. */
  readonly sizes: Float64Array;
  /** @throws ImageError that begins with the name, where the file cannot be read */
  bytes(index: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** ImageNet-21k has 14 million. */
export const MOST_PICTURES = 20e6;

/** Whether a file is taken for a picture; hidden files and what macOS adds to archives are not. */
export function isPictureName(name: string): boolean {
  return (
    /\.(?:jpe?g|png|webp|gif|tiff?|avif)$/i.test(name) && !/(?:^|\/)(?:\.(?!\.?\/)|__MACOSX\/)/.test(name)
  );
}

/** A picture that was found in a place. */
export interface FoundPicture {
  readonly name: string;
  readonly size: number;
}

/** Puts found pictures into their order. @throws DataError where there are too many, or two of one name */
export function inNameOrder<T extends FoundPicture>(place: string, found: readonly T[]): T[] {
  const sorted = found.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const again = sorted.find(({ name }, i) => name === sorted[i + 1]?.name);
  if (again !== undefined) throw new DataError(`${place}: holds ${oneLine(again.name)} twice`);
  return sorted;
}

/** @throws DataError where there are more pictures than any set has */
export function checkPictureCount(place: string, count: number): void {
  if (count > MOST_PICTURES) throw new DataError(`${place}: holds more than ${MOST_PICTURES} pictures`);
}
