/** An optimiser's saved state, and the checks that it fits before it is loaded. */
import { ArgumentError } from '../errors.js';
import { closestName } from '../nn/closest-name.js';
import { describeValue } from '../operator.js';
import { Tensor } from '../tensor.js';

/** The part that is plain JSON. */
export interface SavedOptimizer {
  readonly kind: string;
  /** The settings of each group. */
  readonly groups: readonly Readonly<Record<string, number>>[];
  /** How often each parameter was updated. */
  readonly steps: Readonly<Record<string, number>>;
}

export interface OptimizerState {
  /** `<parameter>.<slot>` → a tensor of the parameter's shape; absent before the first update. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly state: SavedOptimizer;
}

interface Named {
  readonly name: string;
  readonly parameter: Tensor;
}

/** @throws ArgumentError naming everything in which a state does not fit an optimiser */
export function checkSavedState(
  state: unknown,
  kind: string,
  groups: number,
  parameters: readonly Named[],
  tensors: ReadonlyMap<string, Tensor>,
  slotNames: readonly string[],
): SavedOptimizer {
  const saved = asSavedState(state);
  if (saved.kind !== kind)
    throw new ArgumentError(`expected the state of ${kind}, received that of ${describeValue(saved.kind)}`);
  if (saved.groups.length !== groups)
    throw new ArgumentError(`${kind}: expected ${groups} parameter groups, received ${saved.groups.length}`);
  const names = parameters.map(({ name }) => name);
  const expected = new Map(
    parameters
      .filter(({ name }) => (saved.steps[name] ?? 0) > 0)
      .flatMap(({ name, parameter }) => slotNames.map((slot) => [`${name}.${slot}`, parameter] as const)),
  );
  const problems = [
    ...nameProblems('parameter', names, Object.keys(saved.steps)),
    ...nameProblems('tensor', [...expected.keys()], [...tensors.keys()]),
    ...[...expected].flatMap(([name, like]) => shapeProblem(name, tensors.get(name), like)),
  ];
  if (problems.length === 0) return saved;
  const rest = problems.length > 10 ? `; and ${problems.length - 10} more` : '';
  throw new ArgumentError(
    `${kind}: the saved state does not fit: ${problems.slice(0, 10).join('; ')}${rest}`,
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isStepCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function asSavedState(state: unknown): SavedOptimizer {
  if (!isRecord(state))
    throw new ArgumentError(`expected an optimiser's state, received ${describeValue(state)}`);
  const { kind, groups, steps } = state;
  if (typeof kind !== 'string')
    throw new ArgumentError(`optimiser state: expected kind, received ${describeValue(kind)}`);
  if (!Array.isArray(groups) || !groups.every(isRecord))
    throw new ArgumentError(
      `optimiser state: expected groups to be a list of settings, received ${describeValue(groups)}`,
    );
  if (!isRecord(steps) || !Object.values(steps).every(isStepCount))
    throw new ArgumentError('optimiser state: expected steps to hold whole numbers of at least 0');
  return { kind, groups: groups as Record<string, number>[], steps: steps as Record<string, number> };
}

function nameProblems(what: string, expected: readonly string[], received: readonly string[]): string[] {
  const wanted = new Set(expected);
  const present = new Set(received);
  const missing = expected.filter((name) => !present.has(name));
  const unexpected = received.filter((name) => !wanted.has(name));
  return [
    ...missing.map((name) => `${what} ${name} is missing`),
    ...unexpected.map((name) => {
      const meant = closestName(name, missing);
      return `${what} ${name} is unexpected${meant === undefined ? '' : ` (did you mean ${meant}?)`}`;
    }),
  ];
}

function shapeProblem(name: string, received: unknown, like: Tensor): string[] {
  if (received === undefined) return [];
  if (!(received instanceof Tensor)) return [`tensor ${name} is ${describeValue(received)}`];
  if (String(received.shape) === String(like.shape)) return [];
  return [`tensor ${name} has shape [${received.shape}], expected [${like.shape}]`];
}
