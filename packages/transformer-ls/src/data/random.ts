/** Random numbers for data: the same on every machine, and independent for every example. */

/** xoshiro128** (Blackman and Vigna 2018), seeded by mixing any number of integers. */
export class Random {
  readonly #state: Uint32Array;

  /** Streams of different seeds have nothing to do with one another: `new Random(seed, split, index)`. */
  constructor(...seeds: readonly number[]) {
    let mixed = 0x9e3779b9;
    for (const seed of seeds) {
      mixed = mix(mixed ^ (seed >>> 0));
      mixed = mix(mixed ^ Math.floor(seed / 2 ** 32));
    }
    this.#state = Uint32Array.from({ length: 4 }, (_, i) => mix(mixed + Math.imul(i + 1, 0x9e3779b9)) | 1);
  }

  /** A whole number in [0, 2^32). */
  #next(): number {
    const s = this.#state;
    const result = Math.imul(rotate(Math.imul(s[1]!, 5), 7), 9) >>> 0;
    const shifted = s[1]! << 9;
    s[2]! ^= s[0]!;
    s[3]! ^= s[1]!;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= shifted;
    s[3] = rotate(s[3]!, 11);
    return result;
  }

  /** In [0, 1), 32 bits of it random. */
  unit(): number {
    return this.#next() / 2 ** 32;
  }

  /** A whole number in [0, limit); limit up to 2^32. */
  below(limit: number): number {
    return Math.floor(this.unit() * limit);
  }

  /** In [low, high). */
  between(low: number, high: number): number {
    return low + this.unit() * (high - low);
  }

  /** Any of the items. */
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}

/** The numbers 0 … count-1 in random order (Fisher and Yates). */
export function shuffledIndices(count: number, random: Random): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let last = count - 1; last > 0; last--) {
    const other = random.below(last + 1);
    [order[last], order[other]] = [order[other]!, order[last]!];
  }
  return order;
}

function rotate(x: number, bits: number): number {
  return (x << bits) | (x >>> (32 - bits));
}

/** A 32-bit finaliser: every bit of the input changes half of the output's. */
function mix(x: number): number {
  let h = x >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
