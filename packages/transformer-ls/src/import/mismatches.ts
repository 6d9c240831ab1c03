/** Every way in which the tensors of a file and those of a model disagree. */
import { closestName } from '@transformer-ls/formats';
import type { TensorShapes } from './state-dict.js';

/** One line with all names, or undefined where names and shapes are the same. */
export function mismatches(expected: TensorShapes, found: TensorShapes): string | undefined {
  const missing = [...expected.keys()].filter((name) => !found.has(name));
  const unexpected = [...found.keys()].filter((name) => !expected.has(name));
  const misshapen = [...found].flatMap(([name, shape]) => {
    const wanted = expected.get(name);
    return wanted === undefined || String(wanted) === String(shape)
      ? []
      : [`${name} (expected [${wanted.join(', ')}], received [${shape.join(', ')}])`];
  });
  const parts = [
    listed('missing', missing),
    listed(
      'unexpected',
      unexpected.map((name) => withSuggestion(name, missing)),
    ),
    listed('wrong shape', misshapen),
  ].filter((part) => part !== '');
  return parts.length === 0 ? undefined : parts.join('; ');
}

function listed(what: string, names: readonly string[]): string {
  return names.length === 0 ? '' : `${names.length} ${what}: ${names.join(', ')}`;
}

function withSuggestion(name: string, missing: readonly string[]): string {
  const meant = missing.length > MOST_COMPARED ? undefined : closestName(name, missing);
  return meant === undefined ? name : `${name} (did you mean ${meant}?)`;
}

/** Comparing each name with each takes long where everything is wrong, and tells nothing then. */
const MOST_COMPARED = 50;
