// A strict JSON reader for files that are not trusted. JSON.parse hides repeated keys, rounds integers beyond 2^53 without
// a word and gives `__proto__` a meaning elsewhere in a program; here objects are Maps, numbers keep their text and a
// repeated key is an error.

import { quoted } from './describe-value.js';

/** A number as it was written. */
export class JsonNumber {
  constructor(readonly text: string) {}

  /** The value if it is written as a whole number from 0 to 2^53 - 1 (no sign, fraction or exponent), else undefined. */
  wholeNumber(): number | undefined {
    const value = /^\d+$/.test(this.text) ? Number(this.text) : Number.NaN;
    return Number.isSafeInteger(value) ? value : undefined;
  }
}

export type JsonObject = Map<string, JsonValue>;
export type JsonValue = null | boolean | string | JsonNumber | JsonValue[] | JsonObject;

/** Thrown by `parseJson`; `offset` counts UTF-16 units from the start of the text. */
export class JsonError extends Error {
  override readonly name = 'JsonError';

  constructor(
    readonly problem: 'syntax' | 'duplicate-key',
    message: string,
    readonly offset: number,
  ) {
    super(`${message} at character ${offset}`);
  }
}

// The formats read here need three levels; a limit keeps a file of brackets from exhausting the stack.
const DEEPEST_NESTING = 64;

/** Reads one JSON text (RFC 8259). Throws `JsonError` on anything else, on repeated keys and on lone surrogates. */
export function parseJson(text: string): JsonValue {
  return new JsonReader(text).document();
}

/** The same value as plain JavaScript: objects without a prototype, numbers rounded to doubles. */
export function plainValue(value: JsonValue): unknown {
  if (value instanceof JsonNumber) return Number(value.text);
  if (Array.isArray(value)) return value.map(plainValue);
  if (!(value instanceof Map)) return value;
  const plain: Record<string, unknown> = Object.create(null);
  for (const [key, member] of value) plain[key] = plainValue(member);
  return plain;
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;

class JsonReader {
  private position = 0;
  private depth = 0;

  constructor(private readonly text: string) {}

  document(): JsonValue {
    const value = this.value();
    if (this.peek() !== '') throw this.unexpected('the end of the text');
    return value;
  }

  private value(): JsonValue {
    const first = this.peek();
    if (first === '{') return this.nested(() => this.object());
    if (first === '[') return this.nested(() => this.array());
    if (first === '"') return this.string();
    if (this.skip('null')) return null;
    if (this.skip('true')) return true;
    if (this.skip('false')) return false;
    return this.number();
  }

  private nested<T>(read: () => T): T {
    this.depth += 1;
    if (this.depth > DEEPEST_NESTING)
      throw this.syntax(`expected at most ${DEEPEST_NESTING} levels, received more`);
    this.position += 1;
    const value = read();
    this.depth -= 1;
    return value;
  }

  private object(): JsonObject {
    const members: JsonObject = new Map();
    if (this.skip('}')) return members;
    do {
      if (this.peek() !== '"') throw this.unexpected('a key in double quotes');
      const start = this.position;
      const key = this.string();
      if (members.has(key)) {
        throw new JsonError('duplicate-key', `expected every key once, received ${quoted(key)} again`, start);
      }
      if (!this.skip(':')) throw this.unexpected('":"');
      members.set(key, this.value());
    } while (this.skip(','));
    if (!this.skip('}')) throw this.unexpected('"," or "}"');
    return members;
  }

  private array(): JsonValue[] {
    const items: JsonValue[] = [];
    if (this.skip(']')) return items;
    do items.push(this.value());
    while (this.skip(','));
    if (!this.skip(']')) throw this.unexpected('"," or "]"');
    return items;
  }

  private string(): string {
    const start = this.position;
    const end = this.closingQuote(start);
    this.position = end + 1;
    const body = this.text.slice(start + 1, end);
    if (!body.includes('\\')) return body;
    const value = unescaped(this.text.slice(start, end + 1));
    if (value === undefined)
      throw new JsonError('syntax', 'expected a valid escape, received a broken one', start);
    return value;
  }

  private closingQuote(start: number): number {
    for (let at = start + 1; at < this.text.length; at += 1) {
      const code = this.text.charCodeAt(at);
      if (code === 0x22) return at;
      if (code === 0x5c) at += 1;
      if (code < 0x20) throw new JsonError('syntax', 'expected no control character in a string', at);
    }
    throw new JsonError('syntax', 'expected a closing quote, received the end of the text', start);
  }

  private number(): JsonNumber {
    NUMBER.lastIndex = this.position;
    const match = NUMBER.exec(this.text);
    if (match === null) throw this.unexpected('a value');
    this.position = NUMBER.lastIndex;
    return new JsonNumber(match[0]);
  }

  /** The next character after white space, or '' at the end. */
  private peek(): string {
    while (isBlank(this.text.charCodeAt(this.position))) this.position += 1;
    return this.text.charAt(this.position);
  }

  private skip(token: string): boolean {
    this.peek();
    if (!this.text.startsWith(token, this.position)) return false;
    this.position += token.length;
    return true;
  }

  private unexpected(expected: string): JsonError {
    const next = this.peek();
    return this.syntax(
      `expected ${expected}, received ${next === '' ? 'the end of the text' : quoted(next)}`,
    );
  }

  private syntax(message: string): JsonError {
    return new JsonError('syntax', message, this.position);
  }
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

function unescaped(literal: string): string | undefined {
  try {
    const value: unknown = JSON.parse(literal);
    return typeof value === 'string' && !hasLoneSurrogate(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** True where the text holds half a surrogate pair, which UTF-8 cannot carry. */
export function hasLoneSurrogate(text: string): boolean {
  return /\p{Surrogate}/u.test(text);
}
