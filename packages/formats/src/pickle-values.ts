// What a pickle becomes: data only. Classes and functions of Python are names; what they do is never done.

import { quoted } from './describe-value.js';
import { PickleError } from './pickle-error.js';

/**
 * A value of a pickle. Tuples and lists are arrays, Python 2 strings are bytes, whole numbers beyond 2^53 are bigint. A list, dict or
 * set may hold itself: walk no deeper than the data you expect.
 */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleValue[]
  | Set<PickleValue>
  | PickleDict
  | PickleGlobal
  | PickleObject;

/** Longer keys of bytes are told apart by identity. */
const LONGEST_BYTES_KEY = 1024;
/** Bytes that are a key again and again become text once, so that small files stay small in memory. */
const keyTexts = new WeakMap<Uint8Array, string>();

/** A dict. The keys `b'data'` and `'data'` are one: Python 2 wrote the names that Python 3 writes as text as bytes. */
export class PickleDict {
  readonly #entries = new Map<PickleValue, PickleValue>();

  get size(): number {
    return this.#entries.size;
  }

  get(key: PickleValue): PickleValue | undefined {
    return this.#entries.get(keyOf(key));
  }

  set(key: PickleValue, value: PickleValue): void {
    this.#entries.set(keyOf(key), value);
  }

  /** In the order of the first `set` of each key. */
  entries(): IterableIterator<[PickleValue, PickleValue]> {
    return this.#entries.entries();
  }
}

function keyOf(key: PickleValue): PickleValue {
  if (!(key instanceof Uint8Array) || key.length > LONGEST_BYTES_KEY) return key;
  const text = keyTexts.get(key) ?? latin1(key);
  keyTexts.set(key, text);
  return text;
}

/** Bytes as the characters of the same numbers. */
export function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

/** Text of at most `longest` bytes or characters, which Python 2 wrote as bytes; undefined for anything else. */
export function shortText(value: PickleValue | undefined, longest: number): string | undefined {
  if (value instanceof Uint8Array && value.length <= longest) return latin1(value);
  return typeof value === 'string' && value.length <= longest ? value : undefined;
}

/** A number where it is exact. */
export function shortestInteger(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** A class or function by its name. `call` makes what a call of it stands for; without it, calls are refused. */
export class PickleGlobal {
  constructor(
    readonly module: string,
    readonly name: string,
    readonly call?: (args: readonly PickleValue[]) => PickleValue,
  ) {}

  toString(): string {
    return quoted(`${this.module}.${this.name}`);
  }
}

/** What is left of an object: the name of its class, what it was made with, and its state. */
export class PickleObject {
  state: PickleValue = null;

  constructor(
    readonly type: PickleGlobal,
    readonly args: readonly PickleValue[],
  ) {}

  /** @throws PickleError where the state is none that the object can have */
  setState(state: PickleValue): void {
    this.state = state;
  }
}

/**
 * An object of a class that nobody here knows. It takes whatever a pickle does to it, being called included, and does nothing: it only
 * keeps what it was given.
 */
export class InertObject extends PickleObject {
  #items: PickleValue[] | undefined;
  #entries: PickleDict | undefined;

  /** What was appended to it as to a list. */
  get items(): readonly PickleValue[] {
    return this.#items ?? [];
  }

  /** What was set in it as in a dict. */
  get entries(): PickleDict {
    return this.#entries ?? new PickleDict();
  }

  push(value: PickleValue): void {
    this.#items ??= [];
    this.#items.push(value);
  }

  set(key: PickleValue, value: PickleValue): void {
    this.#entries ??= new PickleDict();
    this.#entries.set(key, value);
  }

  call(args: PickleValue[]): InertObject {
    return new InertObject(this.type, [this, args]);
  }
}

/** A global whose calls give inert objects: for the parts of a file that the reader does not care for. */
export function inertGlobal(module: string, name: string): PickleGlobal {
  const type: PickleGlobal = new PickleGlobal(module, name, (args) => new InertObject(type, args));
  return type;
}

/** What a message says after "received". */
export function describePickle(value: PickleValue | undefined): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'None';
  if (typeof value === 'string') return quoted(value);
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value === 'bigint') return 'a large whole number';
  if (Array.isArray(value)) return `a list or tuple of ${value.length}`;
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (value instanceof PickleDict) return `a dict of ${value.size}`;
  if (value instanceof PickleGlobal) return `the global ${value}`;
  if (value instanceof PickleObject) return `an object of ${value.type}`;
  return `a set of ${value.size}`;
}

/** For handlers: the error for arguments or a state that are not as they must be. */
export function wrongType(where: string, expected: string, value: PickleValue | undefined): PickleError {
  return new PickleError('wrong-type', `${where}: expected ${expected}, received ${describePickle(value)}`);
}
