/** Reading pictures of which some may be unreadable: those are reported once and remembered. */
import type { RgbImage } from '@transformer-ls/formats';
import type { Random } from '../../data/random.js';
import { ImageError, type ImageSet } from '../image-set.js';
import type { DecodedCache } from './decoded-cache.js';

/** A picture that cannot be used. */
export interface ImageProblem {
  /** In the set. */
  readonly index: number;
  /** One line that begins with its name. */
  readonly message: string;
}

export interface ReadPicture {
  readonly index: number;
  readonly image: RgbImage;
}

/** Others that are tried in the place of one that is unreadable. */
const MOST_REPLACEMENTS = 100;

export class PictureReader {
  private readonly unreadable = new Set<number>();

  constructor(
    private readonly set: ImageSet,
    private readonly cache: DecodedCache | null,
    private readonly onProblem: (problem: ImageProblem) => void,
  ) {}

  /** Undefined where the picture is unreadable. @throws what is wrong with more than this picture */
  async read(index: number): Promise<ReadPicture | undefined> {
    if (this.unreadable.has(index)) return undefined;
    const kept = this.cache?.get(index);
    if (kept !== undefined) return { index, image: kept };
    try {
      const image = await this.set.read(index);
      this.cache?.put(index, image);
      return { index, image };
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      this.unreadable.add(index);
      this.onProblem({ index, message: error.message });
      return undefined;
    }
  }

  /** The picture, or another of `pictures` that chance chooses in its place. @throws ImageError where a hundred in a row are unreadable */
  async readOrReplace(index: number, pictures: Uint32Array, random: Random): Promise<ReadPicture> {
    let found = await this.read(index);
    for (let i = 0; found === undefined && i < MOST_REPLACEMENTS; i++)
      found = await this.read(pictures[random.below(pictures.length)]!);
    if (found !== undefined) return found;
    throw new ImageError(
      `${this.set.nameOf(index)}: it and ${MOST_REPLACEMENTS} others that were tried in its place are unreadable`,
    );
  }
}
