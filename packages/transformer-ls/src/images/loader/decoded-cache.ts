/**
 * Decoded pictures kept in memory that all threads share: a set that fits need only be decoded once. A set that turns out too large
 * is not kept at all: with pictures in random order, keeping a few would hardly save any decoding.
 */
import type { RgbImage } from '@transformer-ls/formats';

/** What is shared; plain data that can be posted to a thread. */
export interface CacheMemory {
  /** Bytes of pictures in a row. */
  readonly bytes: SharedArrayBuffer;
  /** Whole: see TAKEN … below. Then for each picture where it begins, its width and height. */
  readonly words: Int32Array<SharedArrayBuffer>;
}

/** Words of the whole: units taken, pictures stored, 1 where the set is too large. */
const TAKEN = 0;
const STORED = 1;
const TOO_LARGE = 2;
const WHOLE = 3;
/** Words of each picture: its first unit plus 1 (0: not kept), width, height. */
const PER_PICTURE = 3;

/** Bytes are counted in units, so that a 32-bit word reaches far enough. */
const UNIT = 64;
/** Pictures after which their mean size tells whether all will fit. */
const SAMPLE = 64;

/** @param limit bytes; the system gives memory only as it is filled */
export function cacheMemory(pictures: number, limit: number): CacheMemory {
  return {
    bytes: new SharedArrayBuffer(Math.floor(limit / UNIT) * UNIT),
    words: new Int32Array(new SharedArrayBuffer(4 * (WHOLE + PER_PICTURE * pictures))),
  };
}

export class DecodedCache {
  private readonly bytes: Uint8Array;
  private readonly pictures: number;

  constructor(private readonly memory: CacheMemory) {
    this.bytes = new Uint8Array(memory.bytes);
    this.pictures = (memory.words.length - WHOLE) / PER_PICTURE;
  }

  /** The picture, not to be changed; undefined where it is not kept. */
  get(index: number): RgbImage | undefined {
    const { words } = this.memory;
    const at = WHOLE + PER_PICTURE * index;
    const first = Atomics.load(words, at);
    if (first === 0) return undefined;
    const [width, height] = [words[at + 1]!, words[at + 2]!];
    const start = (first - 1) * UNIT;
    return { width, height, data: this.bytes.subarray(start, start + 3 * width * height) };
  }

  /** Keeps a copy if the whole set is going to fit, as far as that is known. */
  put(index: number, { width, height, data }: RgbImage): void {
    const { words } = this.memory;
    if (Atomics.load(words, TOO_LARGE) === 1) return;
    const units = Math.ceil(data.length / UNIT);
    const start = Atomics.add(words, TAKEN, units);
    const stored = Atomics.add(words, STORED, 1);
    const mean = (start + units) / (stored + 1);
    const room = this.bytes.length / UNIT;
    if (start + units > room || (stored >= SAMPLE && mean * this.pictures > room)) {
      Atomics.store(words, TOO_LARGE, 1);
      return;
    }
    this.bytes.set(data, start * UNIT);
    const at = WHOLE + PER_PICTURE * index;
    words[at + 1] = width;
    words[at + 2] = height;
    // Last: who sees it sees all the rest.
    Atomics.store(words, at, start + 1);
  }
}
