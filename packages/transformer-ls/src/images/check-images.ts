/** Reads every picture of a set once: which cannot be used, and how large they are. */
import { messageOf } from '../data/errors.js';
import { ImageError, type ImageSet } from './image-set.js';

/** Pictures that are decoded at the same time. */
const TOGETHER = 8;
/** Bad pictures that are named; all are counted. */
export const MOST_NAMED = 1000;

/** Of the good pictures; all 0 where there are none. */
export interface Spread {
  readonly least: number;
  readonly median: number;
  readonly most: number;
}

export interface ImageCheck {
  /** Pictures that were read. */
  readonly pictures: number;
  readonly bad: number;
  /** The first 1,000 bad ones in their order: place in the set, and what is wrong in one line. */
  readonly badPictures: readonly { readonly index: number; readonly problem: string }[];
  /** In pixels. */
  readonly width: Spread;
  readonly height: Spread;
}

export interface CheckOptions {
  /** Called after each picture; throws to stop. */
  readonly onProgress?: (done: number, total: number, bad: number) => void;
}

/** @throws whatever is no ImageError: a set that cannot be read at all */
export async function checkImages(set: ImageSet, { onProgress }: CheckOptions = {}): Promise<ImageCheck> {
  const total = set.labels.length;
  const sizes: [width: Int32Array, height: Int32Array] = [new Int32Array(total), new Int32Array(total)];
  const bad = new Map<number, string>();
  let next = 0;
  let done = 0;
  const work = async () => {
    while (next < total) {
      const index = next++;
      try {
        const { width, height } = await set.read(index);
        [sizes[0][index], sizes[1][index]] = [width, height];
      } catch (error) {
        if (!(error instanceof ImageError)) throw error;
        bad.set(index, messageOf(error));
      }
      onProgress?.(++done, total, bad.size);
    }
  };
  await Promise.all(Array.from({ length: TOGETHER }, work));
  const named = [...bad].sort(([one], [other]) => one - other).slice(0, MOST_NAMED);
  return {
    pictures: total,
    bad: bad.size,
    badPictures: named.map(([index, problem]) => ({ index, problem })),
    width: spread(sizes[0]),
    height: spread(sizes[1]),
  };
}

function spread(sizes: Int32Array): Spread {
  const known = sizes.filter((size) => size > 0).sort();
  const at = (share: number) => known[Math.floor(share * (known.length - 1))] ?? 0;
  return { least: at(0), median: at(0.5), most: at(1) };
}
