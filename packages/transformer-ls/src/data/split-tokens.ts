import type { ByteCorpus } from './byte-corpus.js';
import { DataError } from './errors.js';
import type { Vocabulary } from './vocabulary.js';

const blank = 32;

/** A split seen as a row of token ids: one per byte, and what the vocabulary adds or leaves out at the ends. */
export class SplitTokens {
  readonly corpus: ByteCorpus;
  readonly vocabulary: Vocabulary;
  /** Number of tokens. */
  readonly length: number;
  readonly #start: number;
  readonly #byteCount: number;
  #buffer = new Uint8Array(0);

  constructor(corpus: ByteCorpus, vocabulary: Vocabulary) {
    this.corpus = corpus;
    this.vocabulary = vocabulary;
    const [start, end] = vocabulary.stripsBlanks ? withoutOuterBlanks(corpus) : [0, corpus.length];
    this.#start = start;
    this.#byteCount = end - start;
    this.length = this.#byteCount + (vocabulary.endOfSplit === undefined ? 0 : 1);
  }

  /** Tokens [offset, offset + into.length) of the split. Throws DataError when they are not all inside. */
  read(offset: number, into: Int32Array): Int32Array {
    const end = offset + into.length;
    if (offset < 0 || end > this.length) {
      throw new DataError(
        `${this.corpus.name} ${this.corpus.split}: tokens [${offset}, ${end}) are outside the split of ${this.length}`,
      );
    }
    const byteLength = Math.min(end, this.#byteCount) - offset;
    if (byteLength > 0) this.#encode(offset, byteLength, into);
    // Only the added last token can be left.
    if (end > this.#byteCount && into.length > 0) into[into.length - 1] = this.vocabulary.endOfSplit!;
    return into;
  }

  #encode(offset: number, length: number, into: Int32Array): void {
    if (this.#buffer.length < length) this.#buffer = new Uint8Array(length);
    const bytes = this.corpus.read(this.#start + offset, length, this.#buffer);
    this.vocabulary.encode(bytes, into);
  }
}

function withoutOuterBlanks(corpus: ByteCorpus): [start: number, end: number] {
  let start = 0;
  let end = corpus.length;
  while (start < end && corpus.read(start, 1)[0] === blank) start++;
  while (end > start && corpus.read(end - 1, 1)[0] === blank) end--;
  return [start, end];
}
