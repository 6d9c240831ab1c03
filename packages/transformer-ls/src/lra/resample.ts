/** Making small grey pictures of larger ones. */

/** Lobes of the windowed sine on either side. */
const LOBES = 3;

/**
 * A square picture of bytes reduced to `to` pixels a side by a Lanczos filter that is stretched with the reduction: first along the
 * rows, then along the columns, rounded to bytes after each. Edges turn out sharper than by averages, with faint rings around them.
 *
 * @param pixels (from, from), row by row
 * @returns (to, to)
 */
export function reduced(pixels: Uint8Array, from: number, to: number): Uint8Array {
  const taps = tapsOf(from, to);
  return alongRows(alongRows(pixels, from, taps), from, taps, to);
}

/** Weights of the pixels that one pixel of the result is made of. */
interface Taps {
  readonly first: number;
  readonly weights: Float64Array;
}

function tapsOf(from: number, to: number): Taps[] {
  const scale = from / to;
  const reach = LOBES * scale;
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - reach + 0.5));
    const last = Math.min(from, Math.floor(centre + reach + 0.5));
    const weights = Float64Array.from({ length: last - first }, (_, k) =>
      lanczos((first + k + 0.5 - centre) / scale),
    );
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

/** Filters every row of a picture of `width` columns and writes it as a column: applied twice, rows are rows again. */
function alongRows(
  pixels: Uint8Array,
  width: number,
  taps: readonly Taps[],
  rows = pixels.length / width,
): Uint8Array {
  const result = new Uint8Array(rows * taps.length);
  for (let row = 0; row < rows; row++)
    for (const [column, { first, weights }] of taps.entries()) {
      const start = row * width + first;
      const value = weights.reduce((sum, weight, k) => sum + weight * pixels[start + k]!, 0);
      result[column * rows + row] = Math.min(255, Math.max(0, Math.round(value)));
    }
  return result;
}

function lanczos(x: number): number {
  return Math.abs(x) < LOBES ? sinc(x) * sinc(x / LOBES) : 0;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}
