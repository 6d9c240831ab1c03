// A small strict checker for configuration objects. A schema is a value; the static type follows from it (`Infer`), the
// help text too (`describe`). All problems of a configuration are reported at once, unknown keys among them.

import { closestName } from './closest-name.js';
import { quoted, received } from './describe-value.js';
import { JsonError, parseJson, plainValue } from './json.js';

// A file of a million unknown keys is not worth a message of that length.
const MOST_PROBLEMS_SHOWN = 50;

/** A configuration that is not as it must be; the message is one line with the problems joined by '; '. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';

  /** `problems` holds all of them, the message the first 50. */
  constructor(readonly problems: readonly string[]) {
    const hidden = problems.length - MOST_PROBLEMS_SHOWN;
    const more = hidden > 0 ? [`and ${hidden} more`] : [];
    super([...problems.slice(0, MOST_PROBLEMS_SHOWN), ...more].join('; '));
  }
}

/** Checks one value: returns it, or reports what is wrong (at least one problem) and returns undefined. */
export interface Schema<T> {
  /** What is accepted, in words that follow "expected". */
  readonly expected: string;
  check(value: unknown, path: string, problems: string[]): T | undefined;
}

/** A member of an object; without a fallback it must be given. */
export interface Field<T> {
  readonly doc: string;
  readonly schema: Schema<T>;
  readonly fallback?: T;
}

export type Fields = Readonly<Record<string, Field<unknown>>>;
export type ObjectOf<F extends Fields> = { [K in keyof F]: F[K] extends Field<infer T> ? T : never };
export type Infer<S> = S extends Schema<infer T> ? T : never;

export interface ObjectSchema<F extends Fields> extends Schema<ObjectOf<F>> {
  readonly fields: F;
}

/** Reports a problem of the member `key` that only shows beside other members. */
export type ReportProblem = (key: string, message: string) => void;

export function field<T>(doc: string, schema: Schema<T>, fallback?: NoInfer<T>): Field<T> {
  return fallback === undefined ? { doc, schema } : { doc, schema, fallback };
}

/** An object with exactly these fields; `crossCheck` runs once every field is valid by itself. */
export function object<F extends Fields>(
  fields: F,
  crossCheck?: (value: ObjectOf<F>, report: ReportProblem) => void,
): ObjectSchema<F> {
  const check = (value: unknown, path: string, problems: string[]): ObjectOf<F> | undefined => {
    if (!isPlainObject(value)) return reject(path, 'an object', value, problems);
    const before = problems.length;
    for (const key of Object.keys(value)) reportUnknownKey(key, Object.keys(fields), path, problems);
    const result: Record<string, unknown> = {};
    for (const [key, { schema, fallback }] of Object.entries(fields)) {
      const given = Object.hasOwn(value, key) ? value[key] : undefined;
      result[key] =
        given === undefined && fallback !== undefined
          ? fallback
          : schema.check(given, `${path}.${key}`, problems);
    }
    if (problems.length > before) return undefined;
    const checked = result as ObjectOf<F>; // built above, field by field, from the fields themselves
    crossCheck?.(checked, (key, message) => problems.push(`${path}.${key}: ${message}`));
    return problems.length > before ? undefined : checked;
  };
  return { expected: 'an object', fields, check };
}

/** Bounds of a number: `min` and `max` are allowed values, `above` and `below` are not. */
export interface Range {
  min?: number;
  max?: number;
  above?: number;
  below?: number;
}

/** A finite number in the range. */
export function number(range: Range = {}): Schema<number> {
  return schemaOf(`a number${rangeText(range)}`, (value): value is number => isWithin(value, range));
}

/** A whole number (at most 2^53 - 1 in size) in the range. */
export function integer(range: Range = {}): Schema<number> {
  const expected = `a whole number${rangeText(range)}`;
  return schemaOf(
    expected,
    (value): value is number => Number.isSafeInteger(value) && isWithin(value, range),
  );
}

export function boolean(): Schema<boolean> {
  return schemaOf('true or false', (value) => typeof value === 'boolean');
}

/** A text that is not empty. */
export function text(): Schema<string> {
  return schemaOf(
    'a text that is not empty',
    (value): value is string => typeof value === 'string' && value !== '',
  );
}

/** One of the given texts; a near miss is answered with the one that was meant. */
export function oneOf<const Choices extends readonly string[]>(...choices: Choices): Schema<Choices[number]> {
  const expected =
    choices.length === 1 ? `${choices[0]}` : `${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}`;
  const check = (value: unknown, path: string, problems: string[]): Choices[number] | undefined => {
    if (choices.some((choice) => choice === value)) return value as Choices[number];
    const near = typeof value === 'string' ? closestName(value, choices) : undefined;
    reject(path, expected, value, problems, near === undefined ? '' : `, did you mean ${near}?`);
    return undefined;
  };
  return { expected, check };
}

/** The schema's values and null. */
export function nullable<T>(schema: Schema<T>): Schema<T | null> {
  const expected = `${schema.expected}, or null`;
  const check = (value: unknown, path: string, problems: string[]): T | null | undefined => {
    if (value === null) return null;
    return value === undefined
      ? reject(path, expected, value, problems)
      : schema.check(value, path, problems);
  };
  return { expected, check };
}

/** A list of at least `min` and at most `max` items, each as the schema says. */
export function list<T>(item: Schema<T>, { min, max }: { min: number; max: number }): Schema<readonly T[]> {
  const expected = `a list of ${min} to ${max} items`;
  const check = (value: unknown, path: string, problems: string[]): readonly T[] | undefined => {
    if (!Array.isArray(value) || value.length < min || value.length > max)
      return reject(path, expected, value, problems);
    const before = problems.length;
    const checked = value.map((one, index) => item.check(one, `${path}[${index}]`, problems));
    return problems.length > before ? undefined : (checked as T[]); // no problem: every item was checked
  };
  return { expected, check };
}

/** One of several kinds of object, told apart by their member `kind`. */
export function byKind<const Kinds extends Readonly<Record<string, ObjectSchema<Fields>>>>(
  kinds: Kinds,
): Schema<Infer<Kinds[keyof Kinds]>> {
  const names = Object.keys(kinds);
  const expected = names.length === 1 ? names[0]! : `one of ${names.join(', ')}`;
  const check = (value: unknown, path: string, problems: string[]) => {
    if (!isPlainObject(value)) return reject(path, 'an object', value, problems);
    const { kind } = value;
    const schema = typeof kind === 'string' && Object.hasOwn(kinds, kind) ? kinds[kind] : undefined;
    if (schema === undefined) return reject(`${path}.kind`, expected, kind, problems);
    return schema.check(value, path, problems) as Infer<Kinds[keyof Kinds]> | undefined;
  };
  return { expected: 'an object', check };
}

/** A schema from a predicate. */
export function schemaOf<T>(expected: string, accepts: (value: unknown) => value is T): Schema<T> {
  const check = (value: unknown, path: string, problems: string[]): T | undefined =>
    accepts(value) ? value : reject(path, expected, value, problems);
  return { expected, check };
}

/** The checked value, defaults filled in; the argument is not changed. Throws `ConfigError` with every problem. */
export function parseConfig<T>(schema: Schema<T>, value: unknown, path = 'config'): T {
  const problems: string[] = [];
  const checked = schema.check(value, path, problems);
  if (problems.length > 0 || checked === undefined) throw new ConfigError(problems);
  return checked;
}

/** The same from JSON text, where a repeated key is an error too. */
export function parseConfigText<T>(schema: Schema<T>, json: string, path = 'config'): T {
  return parseConfig(schema, jsonValue(json, path), path);
}

function jsonValue(json: string, path: string): unknown {
  try {
    return plainValue(parseJson(json));
  } catch (error) {
    throw error instanceof JsonError ? new ConfigError([`${path}: ${error.message}`]) : error;
  }
}

/** One field for help and documentation. */
export interface FieldDescription {
  /** Dotted, from the outermost object. */
  path: string;
  doc: string;
  expected: string;
  /** Absent where the field must be given. */
  fallback?: unknown;
}

/** Every field, depth first, in the order of declaration. */
export function describe(schema: ObjectSchema<Fields>, prefix = ''): FieldDescription[] {
  return Object.entries(schema.fields).flatMap(([key, { doc, schema: inner, ...rest }]) => {
    const path = `${prefix}${key}`;
    const nested = isObjectSchema(inner) ? describe(inner, `${path}.`) : [];
    return [{ path, doc, expected: inner.expected, ...rest }, ...nested];
  });
}

function isObjectSchema(schema: Schema<unknown>): schema is ObjectSchema<Fields> {
  return 'fields' in schema;
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isWithin(value: unknown, { min, max, above, below }: Range): value is number {
  if (typeof value !== 'number' || !Number.isFinite(value)) return false;
  const highEnough = value >= (min ?? value) && (above === undefined || value > above);
  return highEnough && value <= (max ?? value) && (below === undefined || value < below);
}

function rangeText({ min, max, above, below }: Range): string {
  const bounds: string[] = [];
  if (min !== undefined) bounds.push(`at least ${min}`);
  if (above !== undefined) bounds.push(`above ${above}`);
  if (max !== undefined) bounds.push(`at most ${max}`);
  if (below !== undefined) bounds.push(`below ${below}`);
  return bounds.length === 0 ? '' : ` ${bounds.join(' and ')}`;
}

function reportUnknownKey(key: string, known: readonly string[], path: string, problems: string[]): void {
  if (known.includes(key)) return;
  const near = closestName(key, known);
  const hint = near === undefined ? `expected one of ${known.join(', ')}` : `did you mean ${near}?`;
  problems.push(`${path}: unknown key ${quoted(key)}, ${hint}`);
}

function reject(path: string, expected: string, value: unknown, problems: string[], hint = ''): undefined {
  problems.push(`${path}: expected ${expected}, received ${received(value)}${hint}`);
  return undefined;
}
