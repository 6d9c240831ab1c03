import { MemoryByteCorpus, type SplitName } from './byte-corpus.js';
import { DataError } from './errors.js';

/** Generated texts that say something about a model within seconds: tests and debug presets train on them. */
export type SyntheticKind = 'copy' | 'pattern' | 'brackets';

/**
 * `bytes` bytes of a synthetic text; the same seed gives the same bytes.
 * - copy: each line is eight random letters, dots, and the same letters again `distance` bytes later (default 64).
 *   Only a model that sees `distance` bytes back can know the second group.
 * - pattern: `distance` random letters over and over. After one period every byte is certain.
 * - brackets: nested (), [] and {} at most `distance` deep. A closing bracket is certain in kind, not in time.
 */
export function syntheticBytes(
  kind: SyntheticKind,
  options: { bytes: number; seed: number; distance?: number | undefined },
): Uint8Array {
  const { bytes, seed, distance = 64 } = options;
  if (!Number.isSafeInteger(bytes) || bytes < 1) {
    throw new DataError(`synthetic ${kind}: bytes must be a positive whole number, found ${bytes}`);
  }
  const smallest = kind === 'copy' ? copiedLetters : 1;
  if (!Number.isSafeInteger(distance) || distance < smallest) {
    throw new DataError(`synthetic ${kind}: distance must be at least ${smallest}, found ${distance}`);
  }
  const text = new Uint8Array(bytes);
  generators[kind](text, distance, randomIntegers(seed));
  return text;
}

/** A synthetic split in memory. Splits of one seed have different text. */
export function syntheticCorpus(
  kind: SyntheticKind,
  split: SplitName,
  options: { bytes: number; seed: number; distance?: number | undefined },
): MemoryByteCorpus {
  const seed = options.seed * 3 + ['train', 'valid', 'test'].indexOf(split);
  return new MemoryByteCorpus({
    bytes: syntheticBytes(kind, { ...options, seed }),
    name: `synthetic-${kind}`,
    split,
  });
}

type Random = (below: number) => number;

const copiedLetters = 8;

const generators: Record<SyntheticKind, (text: Uint8Array, distance: number, random: Random) => void> = {
  copy(text, distance, random) {
    const lineLength = distance + copiedLetters + 1;
    for (let start = 0; start < text.length; start += lineLength) {
      const letters = randomLetters(copiedLetters, random);
      const line = [...letters, ...Array<number>(distance - copiedLetters).fill(46), ...letters, 10];
      text.set(line.slice(0, text.length - start), start);
    }
  },
  pattern(text, distance, random) {
    const letters = randomLetters(distance, random);
    for (let i = 0; i < text.length; i++) text[i] = letters[i % distance]!;
  },
  brackets(text, distance, random) {
    const pairs = ['()', '[]', '{}'];
    const open: string[] = [];
    for (let i = 0; i < text.length; i++) {
      const opens = open.length === 0 || (open.length < distance && random(2) === 0);
      if (opens) open.push(pairs[random(pairs.length)]!);
      text[i] = opens ? open.at(-1)!.charCodeAt(0) : open.pop()!.charCodeAt(1);
    }
  },
};

function randomLetters(count: number, random: Random): number[] {
  return Array.from({ length: count }, () => 97 + random(26));
}

/** A Weyl sequence through a 32-bit mixer: enough chance for test texts, and the same on every machine. */
function randomIntegers(seed: number): Random {
  let state = seed | 0;
  return (below) => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) % below;
  };
}
