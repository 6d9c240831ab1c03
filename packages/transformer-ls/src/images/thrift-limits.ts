/**
 * Descriptions in parquet files are written by Thrift's compact protocol. hyparquet believes the counts that stand in it: some dozens of
 * bytes can ask it for all memory, and some hundred thousand for hours. This walks over one structure first, and refuses what no writer
 * makes.
 */
import { DataError } from '../data/errors.js';

/** Structures and lists inside each other; a file's description has 7 levels. */
export const DEEPEST_THRIFT = 16;
/** Bytes of a whole number of 64 bits. */
const LONGEST_NUMBER = 10;

// Kinds of values
const STOP = 0;
const TRUE = 1;
const FALSE = 2;
const BYTE = 3;
const I16 = 4;
const I32 = 5;
const I64 = 6;
const DOUBLE = 7;
const BINARY = 8;
const LIST = 9;
const STRUCT = 12;

/** @throws DataError where the structure at `start` is damaged, nested too deep, or has more members than there are bytes for */
export function checkThrift(bytes: Uint8Array, start = 0): void {
  new ThriftWalk(bytes, start).structure(0);
}

class ThriftWalk {
  constructor(
    private readonly bytes: Uint8Array,
    private at: number,
  ) {}

  structure(depth: number): void {
    this.#checkDepth(depth);
    for (let head = this.#byte(); (head & 15) !== STOP; head = this.#byte()) {
      // The number of a field is told by its distance from the one before, or, where that is 0, by itself.
      if (head >> 4 === 0) this.#number();
      this.#value(head & 15, depth);
    }
  }

  #value(kind: number, depth: number): void {
    if (kind === TRUE || kind === FALSE) return;
    if (kind === BYTE) this.#skip(1);
    else if (kind === I16 || kind === I32 || kind === I64) this.#number();
    else if (kind === DOUBLE) this.#skip(8);
    else if (kind === BINARY) this.#skip(this.#number());
    else if (kind === LIST) this.#list(depth + 1);
    else if (kind === STRUCT) this.structure(depth + 1);
    else throw new DataError(`is damaged: its description has a value of the unknown kind ${kind}`);
  }

  #list(depth: number): void {
    this.#checkDepth(depth);
    const head = this.#byte();
    const count = head >> 4 === 15 ? this.#number() : head >> 4;
    const kind = head & 15;
    // Every member takes a byte at least.
    if (count > this.bytes.length - this.at)
      throw new DataError(`is damaged: its description has a list of ${count} in ${this.bytes.length} bytes`);
    for (let i = 0; i < count; i += 1) this.#value(kind === TRUE || kind === FALSE ? BYTE : kind, depth);
  }

  #checkDepth(depth: number): void {
    if (depth > DEEPEST_THRIFT)
      throw new DataError(`is damaged: its description has more than ${DEEPEST_THRIFT} levels`);
  }

  /** Seven bits a byte, the lowest first. */
  #number(): number {
    let value = 0;
    for (let place = 0; place < LONGEST_NUMBER; place += 1) {
      const byte = this.#byte();
      value += (byte & 0x7f) * 2 ** (7 * place);
      if (byte < 0x80) return value;
    }
    throw new DataError(`is damaged: a number has more than ${LONGEST_NUMBER} bytes`);
  }

  #byte(): number {
    this.#skip(1);
    return this.bytes[this.at - 1]!;
  }

  #skip(length: number): void {
    if (length > this.bytes.length - this.at)
      throw new DataError('is damaged: its description ends too early');
    this.at += length;
  }
}
