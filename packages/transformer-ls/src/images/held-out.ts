/** A validation part for pictures that come without one: some of the training pictures, always the same. */
import { createHash } from 'node:crypto';
import { DataError } from '../data/errors.js';
import { Random } from '../data/random.js';
import type { ImageSet } from './image-set.js';

export interface HeldOut {
  /** One picture of each so many is held out. */
  readonly every: number;
  readonly seed: number;
  /** The held-out pictures, or the rest of them. */
  readonly take: 'held-out' | 'rest';
}

/**
 * Of every `every` pictures in their order one, drawn by the seed, is held out: where pictures lie class by class, about the same
 * share of each class.
 * @throws DataError where nothing would be left in one of the two
 */
export function heldOut(set: ImageSet, { every, seed, take }: HeldOut): ImageSet {
  const total = set.labels.length;
  if (!Number.isInteger(every) || every < 2 || every > total)
    throw new DataError(
      `${set.name}: expected to hold out 1 picture of 2 to ${total}, received 1 of ${every}`,
    );
  const random = new Random(seed, total);
  const isHeldOut = new Uint8Array(total);
  // An incomplete last group gives none: it would count for more.
  for (let start = 0; start + every <= total; start += every) isHeldOut[start + random.below(every)] = 1;
  const chosen = Uint32Array.from(set.labels.keys()).filter(
    (index) => (isHeldOut[index] === 1) === (take === 'held-out'),
  );
  return {
    ...set,
    labels: Int32Array.from(chosen, (index) => set.labels[index]!),
    fingerprint: createHash('sha256').update(`${set.fingerprint} ${every} ${seed} ${take}`).digest('hex'),
    nameOf: (index) => set.nameOf(chosen[index]!),
    read: (index) => set.read(chosen[index]!),
  };
}
