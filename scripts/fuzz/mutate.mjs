// Inputs from inputs: small damage at random places, as parsers meet it, and pieces of one input inside another.

/** Small, repeatable random numbers (mulberry32). */
export function randomNumbers(seed) {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Where sizes, counts and signs go wrong. */
const NUMBERS = [0, 1, 2, 7, 127, 128, 255, 256, 32767, 65535, 65536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
const DIGITS = ['0', '1', '-1', '255', '4294967296', '9007199254740993', '1e309', '1e-400', 'NaN', '-0'];

/**
 * @param {Uint8Array} data @param {Uint8Array} other another input to take pieces from
 * @param {readonly Uint8Array[]} words that mean something to the parser
 * @param {(below: number) => number} random @param {number} longest
 */
export function mutated(data, other, words, random, longest) {
  let bytes = data;
  for (let left = 1 + random(random(4) === 0 ? 16 : 3); left > 0; left -= 1)
    bytes = CHANGES[random(CHANGES.length)](bytes, { other, words, random });
  return bytes.subarray(0, longest);
}

const place = (bytes, random) => random(bytes.length + 1);

/** Puts `piece` in the place of `removed` bytes. */
function spliced(bytes, at, removed, piece) {
  const rest = bytes.subarray(Math.min(bytes.length, at + removed));
  const result = new Uint8Array(at + piece.length + rest.length);
  result.set(bytes.subarray(0, at));
  result.set(piece, at);
  result.set(rest, at + piece.length);
  return result;
}

function pieceOf(bytes, random) {
  const start = place(bytes, random);
  return bytes.subarray(start, start + 1 + random(random(3) === 0 ? 256 : 16));
}

function numberBytes(random) {
  const size = [1, 2, 4, 8][random(4)];
  const bytes = new Uint8Array(8);
  const number = BigInt(NUMBERS[random(NUMBERS.length)]) - BigInt(random(8) === 0 ? 1 : 0);
  const isLittle = random(3) > 0;
  new DataView(bytes.buffer).setBigInt64(0, number, isLittle);
  return isLittle ? bytes.subarray(0, size) : bytes.subarray(8 - size);
}

const CHANGES = [
  // a bit
  (bytes, { random }) => {
    if (bytes.length === 0) return bytes;
    const copy = bytes.slice();
    copy[random(copy.length)] ^= 1 << random(8);
    return copy;
  },
  // any byte, in place of one or between two
  (bytes, { random }) => spliced(bytes, place(bytes, random), random(2), Uint8Array.of(random(256))),
  // a number one higher or lower
  (bytes, { random }) => {
    if (bytes.length === 0) return bytes;
    const copy = bytes.slice();
    copy[random(copy.length)] += random(2) === 0 ? 1 : 255;
    return copy;
  },
  // a telling number
  (bytes, { random }) => {
    const piece = numberBytes(random);
    return spliced(bytes, place(bytes, random), random(4) === 0 ? 0 : piece.length, piece);
  },
  (bytes, { random }) =>
    spliced(bytes, place(bytes, random), random(4), Buffer.from(DIGITS[random(DIGITS.length)])),
  // a word of the format
  (bytes, { words, random }) => {
    if (words.length === 0) return bytes;
    const word = words[random(words.length)];
    return spliced(bytes, place(bytes, random), random(2) * word.length, word);
  },
  // a piece less, a piece twice, a piece of another input
  (bytes, { random }) => spliced(bytes, place(bytes, random), 1 + random(random(4) === 0 ? 256 : 8), []),
  (bytes, { random }) => {
    const piece = pieceOf(bytes, random);
    const times = random(8) === 0 ? random(64) : 1;
    const many = Buffer.concat(Array.from({ length: times }, () => piece));
    return spliced(bytes, place(bytes, random), 0, many);
  },
  (bytes, { other, random }) => {
    const piece = pieceOf(other, random);
    return spliced(bytes, place(bytes, random), random(2) * piece.length, piece);
  },
  // the beginning of one and the end of another
  (bytes, { other, random }) =>
    spliced(bytes, place(bytes, random), bytes.length, other.subarray(place(other, random))),
];
