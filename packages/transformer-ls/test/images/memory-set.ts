import type { RgbImage } from '@transformer-ls/formats';
import { ImageError, type ImageSet } from '../../src/images/image-set.js';

/** A set in memory that counts what is read of it. */
export interface MemorySet extends ImageSet {
  /** How often each picture was read. */
  readonly reads: Int32Array;
}

/** Pictures of different sizes; picture i is of class i modulo `classes`, and those in `unreadable` throw. */
export function memorySet(
  count: number,
  { classes = 3, unreadable = [] as readonly number[], side = 12 } = {},
): MemorySet {
  const reads = new Int32Array(count);
  return {
    name: 'made up',
    classes: Array.from({ length: classes }, (_, label) => `class ${label}`),
    classIds: Array.from({ length: classes }, (_, label) => `c${label}`),
    labels: Int32Array.from({ length: count }, (_, i) => i % classes),
    fingerprint: 'none',
    nameOf: (index) => `picture ${index}`,
    read: async (index) => {
      reads[index]!++;
      // Some take longer than others.
      if (index % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
      if (unreadable.includes(index)) throw new ImageError(`picture ${index}: is damaged`);
      return memoryPicture(index, side);
    },
    close: async () => undefined,
    reads,
  };
}

export function memoryPicture(index: number, side = 12): RgbImage {
  const [width, height] = [side + (index % 4), side + (index % 5)];
  return {
    width,
    height,
    data: Uint8Array.from({ length: 3 * width * height }, (_, i) => (i * (index + 7)) % 256),
  };
}
