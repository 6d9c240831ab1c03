/** Logits as probabilities of classes. */
import { RuntimeError } from './errors.js';

export interface ClassShare {
  readonly id: string;
  readonly name: string;
  readonly probability: number;
}

/** The likeliest first. */
export function sharesOf(
  logits: ArrayLike<number>,
  classes: readonly { readonly id: string; readonly name: string }[],
): ClassShare[] {
  if (logits.length !== classes.length)
    throw new RuntimeError(
      'damaged',
      `expected ${classes.length} logits, one for each class, received ${logits.length}`,
    );
  const numbers = Array.from(logits);
  const largest = numbers.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const grown = numbers.map((logit) => Math.exp(logit - largest));
  const total = grown.reduce((a, b) => a + b, 0);
  return classes
    .map(({ id, name }, i) => ({ id, name, probability: grown[i]! / total }))
    .sort((a, b) => b.probability - a.probability);
}
