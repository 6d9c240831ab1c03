/** Checks of the numbers that layers are made with. */
import { ArgumentError } from '../errors.js';
import { describeValue } from '../operator.js';

/** @throws ArgumentError unless the size is a whole number of at least 1 */
export function requireSize(layer: string, name: string, value: number): number {
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new ArgumentError(
    `${layer}: expected ${name} to be a whole number of at least 1, received ${describeValue(value)}`,
  );
}
