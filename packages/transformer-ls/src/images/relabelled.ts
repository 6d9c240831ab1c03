/** A set under the labels of another: the same class has one number in all parts, whatever classes a part lacks. */
import { DataError } from '../data/errors.js';
import type { ImageSet } from './image-set.js';

/**
 * The set with the classes `classIds`, matched by their identifiers.
 * @throws DataError where it has a class that is none of these
 */
export function relabelled(set: ImageSet, classIds: readonly string[]): ImageSet {
  if (set.classIds.length === classIds.length && set.classIds.every((id, label) => id === classIds[label]))
    return set;
  const numbers = new Map(classIds.map((id, label) => [id, label]));
  const unknown = set.classIds.filter((id) => !numbers.has(id));
  if (unknown.length > 0)
    throw new DataError(
      `${set.name}: expected classes among ${classIds.length} known ones such as ${classIds[0]}, received ${unknown.length} other(s) such as ${unknown[0]}`,
    );
  const own = new Map(set.classIds.map((id, label) => [id, label]));
  return {
    ...set,
    classIds,
    classes: classIds.map((id) => (own.has(id) ? set.classes[own.get(id)!]! : id)),
    labels: set.labels.map((label) => numbers.get(set.classIds[label]!)!),
  };
}
