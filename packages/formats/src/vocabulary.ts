// Bytes to token ids and back: of models that take bytes as they are, and of the published ones, which have a dictionary.

import { quoted } from './describe-value.js';

/** A dictionary, or ids, that are not as they must be; the message is one line. */
export class VocabularyError extends Error {
  override readonly name = 'VocabularyError';
}

/** Maps each byte to one token id and back. */
export interface Vocabulary {
  readonly kind: 'bytes' | 'fairseq';
  /** Number of token ids: rows of the embedding table. */
  readonly vocabularySize: number;
  /** Token that follows the last byte of every split, or undefined where nothing does. */
  readonly endOfSplit: number | undefined;
  /** Whether blanks at both ends of a split are left out (text8 in reference mode). */
  readonly stripsBlanks: boolean;
  /** One id per byte, into the start of `into` or a new array. */
  encode(bytes: Uint8Array, into?: Int32Array): Int32Array;
  /** The bytes that the ids stand for. Ids that stand for no byte become U+FFFD; unknown ids throw VocabularyError. */
  decode(tokens: ArrayLike<number>): Uint8Array;
}

const bytesOfNoByte = new TextEncoder().encode('\uFFFD');

/** Token id = byte value. */
export const byteVocabulary: Vocabulary = {
  kind: 'bytes',
  vocabularySize: 256,
  endOfSplit: undefined,
  stripsBlanks: false,
  encode(bytes, into = new Int32Array(bytes.length)) {
    into.set(bytes);
    return into.subarray(0, bytes.length);
  },
  decode: (tokens) => Uint8Array.from(tokens, (token) => checkedId(token, 256)),
};

/** How a dictionary spells a byte: enwik8 as a decimal number, text8 as the character with the blank as `_`. */
export type SymbolStyle = 'decimal' | 'characters';

export interface DictionaryEntry {
  readonly symbol: string;
  readonly count: number;
}

const specialSymbols = ['<s>', '<pad>', '</s>', '<unk>'];
const endOfLine = 2;
const unknown = 3;
const newline = 10;
const blank = 32;

/**
 * The dictionary of the published language models (spec 3.7): `<s>` 0, `<pad>` 1, `</s>` 2, `<unk>` 3, then symbols
 * by falling frequency, ties alphabetical, padded to a multiple of 8. The newline byte is `</s>`, and one more
 * `</s>` ends each split. A checkpoint is usable only with its own `dict.txt`.
 */
export class FairseqDictionary implements Vocabulary {
  readonly kind = 'fairseq';
  readonly style: SymbolStyle;
  readonly entries: readonly DictionaryEntry[];
  readonly vocabularySize: number;
  readonly endOfSplit = endOfLine;
  readonly stripsBlanks: boolean;
  readonly #idOfByte = new Int32Array(256).fill(unknown);
  readonly #byteOfId: Int32Array;

  private constructor(style: SymbolStyle, entries: readonly DictionaryEntry[]) {
    this.style = style;
    this.entries = entries;
    this.vocabularySize = specialSymbols.length + entries.length;
    this.stripsBlanks = style === 'characters';
    this.#byteOfId = new Int32Array(this.vocabularySize).fill(-1);
    this.#pair(newline, endOfLine);
    for (const [index, { symbol }] of entries.entries()) {
      if (!isPadding(symbol)) this.#pair(byteOfSymbol(symbol, style), specialSymbols.length + index);
    }
  }

  /** From `counts[byte]`, 256 of them: the dictionary that fairseq would build and save. */
  static fromCounts(counts: ArrayLike<number>, style: SymbolStyle): FairseqDictionary {
    const entries: DictionaryEntry[] = [];
    for (let byte = 0; byte < 256; byte++) {
      const count = counts[byte] ?? 0;
      if (count > 0 && byte !== newline) entries.push({ symbol: symbolOfByte(byte, style), count });
    }
    entries.sort((a, b) => b.count - a.count || (a.symbol < b.symbol ? -1 : 1));
    for (let padding = 0; (specialSymbols.length + entries.length) % 8 !== 0; padding++) {
      entries.push({ symbol: `madeupword${String(padding).padStart(4, '0')}`, count: 0 });
    }
    return new FairseqDictionary(style, entries);
  }

  /** Reads the lines of a `dict.txt`. `file` names it in errors, which carry the line number. */
  static parse(text: string, style: SymbolStyle, file = 'dict.txt'): FairseqDictionary {
    const lines = text.split('\n');
    if (lines.at(-1) === '') lines.pop();
    if (lines.length === 0) throw new VocabularyError(`${file}: is empty, expected lines 'symbol count'`);
    const lineOfSymbol = new Map<string, number>();
    const entries = lines.map((line, index) => {
      const where = `${file} line ${index + 1}`;
      const entry = parseLine(line, style, where);
      const first = lineOfSymbol.get(entry.symbol);
      if (first !== undefined) {
        throw new VocabularyError(`${where}: the symbol '${entry.symbol}' stands already on line ${first}`);
      }
      lineOfSymbol.set(entry.symbol, index + 1);
      return entry;
    });
    return new FairseqDictionary(style, entries);
  }

  /** The lines of `dict.txt`, each `symbol count`. */
  toText(): string {
    return this.entries.map(({ symbol, count }) => `${symbol} ${count}\n`).join('');
  }

  encode(bytes: Uint8Array, into: Int32Array = new Int32Array(bytes.length)): Int32Array {
    for (let i = 0; i < bytes.length; i++) into[i] = this.#idOfByte[bytes[i]!]!;
    return into.subarray(0, bytes.length);
  }

  decode(tokens: ArrayLike<number>): Uint8Array {
    const bytes: number[] = [];
    for (let i = 0; i < tokens.length; i++) {
      const byte = this.#byteOfId[checkedId(tokens[i]!, this.vocabularySize)]!;
      if (byte >= 0) bytes.push(byte);
      else bytes.push(...bytesOfNoByte);
    }
    return Uint8Array.from(bytes);
  }

  #pair(byte: number, id: number): void {
    this.#idOfByte[byte] = id;
    this.#byteOfId[id] = byte;
  }
}

function checkedId(token: number, size: number): number {
  if (Number.isInteger(token) && token >= 0 && token < size) return token;
  throw new VocabularyError(`token id ${token} is outside the vocabulary of ${size}`);
}

function isPadding(symbol: string): boolean {
  return /^madeupword\d{4}$/.test(symbol);
}

function symbolOfByte(byte: number, style: SymbolStyle): string {
  if (style === 'decimal') return String(byte);
  if (byte === blank) return '_';
  if (byte > blank && byte < 127 && byte !== 95) return String.fromCharCode(byte);
  throw new VocabularyError(
    `byte ${byte} has no symbol in a dictionary of characters, which takes printable ASCII without '_'; use the decimal style`,
  );
}

function byteOfSymbol(symbol: string, style: SymbolStyle): number {
  if (style === 'decimal') return Number(symbol);
  return symbol === '_' ? blank : symbol.charCodeAt(0);
}

function parseLine(line: string, style: SymbolStyle, where: string): DictionaryEntry {
  const match = /^(\S+) (\d{1,15})\r?$/.exec(line);
  if (match === null) throw new VocabularyError(`${where}: expected 'symbol count', found ${quoted(line)}`);
  const symbol = match[1]!;
  const expected = symbolProblem(symbol, style);
  if (expected !== undefined)
    throw new VocabularyError(`${where}: expected ${expected}, found ${quoted(symbol)}`);
  return { symbol, count: Number(match[2]) };
}

/** What was expected instead of this symbol, or undefined where it is fine. */
function symbolProblem(symbol: string, style: SymbolStyle): string | undefined {
  if (isPadding(symbol)) return undefined;
  if (style === 'characters') {
    return /^[!-~]$/.test(symbol) ? undefined : 'one printable ASCII character or a madeupword';
  }
  const isByte = /^(0|[1-9]\d{0,2})$/.test(symbol) && Number(symbol) < 256;
  if (!isByte) return 'a byte as a number 0 to 255 or a madeupword';
  return Number(symbol) === newline ? "no symbol 10, as the newline byte is '</s>'" : undefined;
}
