/** Copying named tensors into a module's own, with every disagreement reported at once. */
import { noGrad } from '../autograd.js';
import { ArgumentError } from '../errors.js';
import { describeValue } from '../operator.js';
import { Tensor } from '../tensor.js';
import { closestName } from './closest-name.js';

export interface LoadOptions {
  /** Refuse missing and unexpected names. Default true. */
  strict?: boolean;
}

/** Names that were passed over; both are empty after a strict load. */
export interface LoadReport {
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
}

const SHOWN_NAMES = 10;

/** Copies each tensor of `source` into the one of the same name in `target`, after checking all of them. */
export function copyState(
  source: ReadonlyMap<string, Tensor>,
  target: ReadonlyMap<string, Tensor>,
  { strict = true }: LoadOptions,
): LoadReport {
  if (!(source instanceof Map))
    throw new ArgumentError(`loadStateDict: expected a Map of Tensors, received ${describeValue(source)}`);
  const missing = [...target.keys()].filter((name) => !source.has(name));
  const unexpected = [...source.keys()].filter((name) => !target.has(name));
  const misshapen = [...source].flatMap(([name, value]) => shapeProblem(name, value, target.get(name)));
  const problems = [
    ...(strict ? listed('missing', missing) : []),
    ...(strict
      ? listed(
          'unexpected',
          unexpected.map((name) => withSuggestion(name, missing)),
        )
      : []),
    ...listed('wrong shape', misshapen),
  ];
  if (problems.length > 0) throw new ArgumentError(`loadStateDict: ${problems.join('; ')}`);
  noGrad(() => {
    for (const [name, value] of source) target.get(name)?.copy_(value);
  });
  return { missing, unexpected };
}

function shapeProblem(name: string, value: Tensor, into: Tensor | undefined): string[] {
  if (!(value instanceof Tensor))
    throw new ArgumentError(`loadStateDict: ${name}: expected a Tensor, received ${describeValue(value)}`);
  if (into === undefined || String(value.shape) === String(into.shape)) return [];
  return [`${name} (expected [${into.shape}], received [${value.shape}])`];
}

function withSuggestion(name: string, missing: readonly string[]): string {
  const meant = closestName(name, missing);
  return meant === undefined ? name : `${name} (did you mean ${meant}?)`;
}

function listed(what: string, names: readonly string[]): string[] {
  if (names.length === 0) return [];
  const rest = names.length > SHOWN_NAMES ? ` and ${names.length - SHOWN_NAMES} more` : '';
  return [`${what}: ${names.slice(0, SHOWN_NAMES).join(', ')}${rest}`];
}
