/**
 * Resizing with antialiasing, with the numbers of Pillow's `Image.resize` (3.3 to 12): a separable convolution whose filter is
 * stretched where the picture is reduced, weights rounded to 22 bits behind the point, first along the rows, then along the columns,
 * rounded to bytes after each. (Pillow 13 goes along the columns first where the height is reduced much more than the width.)
 */
import { checkedArea, type PixelArea } from './crop.js';
import type { RgbImage } from './rgb-image.js';

interface Filter {
  /** Pixels on either side of the centre that count where nothing is reduced. */
  readonly support: number;
  weight(x: number): number;
}

const filters = {
  box: { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { support: 2, weight: (x) => cubic(Math.abs(x)) },
  lanczos: { support: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
} as const satisfies Record<string, Filter>;

export type ResizeFilter = keyof typeof filters;

/** A part of a picture by its edges, in pixels from the left and from the top; they may lie between pixels. */
export interface SourceBox {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

export interface ResizeOptions {
  readonly width: number;
  readonly height: number;
  /** Default: bicubic. */
  readonly filter?: ResizeFilter;
  /** What becomes the result; pixels beyond its edges still count for those near them. Default: all. */
  readonly box?: SourceBox;
  /** The only part of the resized picture that is wanted: the rest is not computed. Default: all. */
  readonly keep?: PixelArea;
}

/**
 * The picture, or the part of it in `box`, in another size.
 * @throws RangeError where a size is no whole number of at least 1, or `box` or `keep` is empty or leaves its picture
 */
export function resize(image: RgbImage, options: ResizeOptions): RgbImage {
  const { width, height, filter = 'bicubic' } = options;
  const { left, top, right, bottom } = checkedBox(image, options);
  const keep = checkedArea(options.keep ?? { left: 0, top: 0, width, height }, options);
  const columns = axis({ from: left, to: right, pixels: image.width, size: width }, keep.left, keep.width);
  const rows = axis({ from: top, to: bottom, pixels: image.height, size: height }, keep.top, keep.height);
  const across = isUnchanged(columns) ? undefined : tapsOf(columns, filters[filter]);
  const down = isUnchanged(rows) ? undefined : tapsOf(rows, filters[filter]);
  // Rows that no row of the result is made of need not be narrowed.
  const first = down === undefined ? 0 : down.first[0]!;
  const end = down === undefined ? image.height : down.first.at(-1)! + down.count.at(-1)!;
  const used = image.data.subarray(3 * image.width * first, 3 * image.width * end);
  const narrowed = across === undefined ? used : resizedRows(used, 3 * image.width, across);
  const result = down === undefined ? narrowed : resizedColumns(narrowed, 3 * keep.width, first, down);
  return { width: keep.width, height: keep.height, data: result === used ? used.slice() : result };
}

function checkedBox({ width, height }: RgbImage, options: ResizeOptions): SourceBox {
  for (const name of ['width', 'height'] as const)
    if (!Number.isInteger(options[name]) || options[name] < 1)
      throw new RangeError(`expected a ${name} of at least 1 pixel, received ${options[name]}`);
  const box = options.box ?? { left: 0, top: 0, right: width, bottom: height };
  const { left, top, right, bottom } = box;
  if (left >= 0 && left < right && right <= width && top >= 0 && top < bottom && bottom <= height) return box;
  throw new RangeError(
    `expected a box within ${width} x ${height} pixels, received ${left} to ${right} and ${top} to ${bottom}`,
  );
}

/** What happens to a row or column: the part between two edges becomes `size` pixels, `count` of which from `start` on are wanted. */
interface Axis {
  readonly from: number;
  readonly to: number;
  /** Of the whole row or column. */
  readonly pixels: number;
  readonly size: number;
  readonly start: number;
  readonly count: number;
}

/** Pillow holds edges in single precision. */
function axis(span: Omit<Axis, 'start' | 'count'>, start: number, count: number): Axis {
  return { ...span, from: Math.fround(span.from), to: Math.fround(span.to), start, count };
}

function isUnchanged({ from, to, pixels, size, count }: Axis): boolean {
  return size === pixels && from === 0 && to === pixels && count === size;
}

const PRECISION_BITS = 22;
const ONE = 1 << PRECISION_BITS;
const HALF = 1 << (PRECISION_BITS - 1);

/** For each pixel of the result the pixels it is made of: `count` from `first` on, with weights from `index * most` on. */
interface Taps {
  readonly first: Int32Array;
  readonly count: Int32Array;
  readonly weights: Int32Array;
  readonly most: number;
}

function tapsOf({ from, to, pixels, size, start, count }: Axis, { support, weight }: Filter): Taps {
  const scale = Math.fround(to - from) / size;
  const stretch = Math.max(scale, 1);
  const reach = support * stretch;
  const most = 2 * Math.ceil(reach) + 1;
  const taps = {
    first: new Int32Array(count),
    count: new Int32Array(count),
    weights: new Int32Array(count * most),
  };
  const exact = new Float64Array(most);
  for (let i = 0; i < count; i++) {
    const centre = from + (start + i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const taken = Math.min(pixels, Math.trunc(centre + reach + 0.5)) - first;
    let sum = 0;
    for (let k = 0; k < taken; k++) {
      exact[k] = weight((k + first - centre + 0.5) * (1 / stretch));
      sum += exact[k]!;
    }
    for (let k = 0; k < taken; k++) taps.weights[i * most + k] = inFixedPoint(exact[k]! / (sum || 1));
    taps.first[i] = first;
    taps.count[i] = taken;
  }
  return { ...taps, most };
}

function inFixedPoint(weight: number): number {
  return Math.trunc(weight * ONE + (weight < 0 ? -0.5 : 0.5));
}

/** Every row with as many pixels as there are taps. */
function resizedRows(data: Uint8Array, rowBytes: number, { first, count, weights, most }: Taps): Uint8Array {
  const width = first.length;
  // Clamped: bicubic and Lanczos weights below 0 may lead beyond 0 and 255.
  const result = new Uint8ClampedArray((data.length / rowBytes) * 3 * width);
  let to = 0;
  for (let row = 0; row < data.length; row += rowBytes)
    for (let column = 0; column < width; column++) {
      let at = row + 3 * first[column]!;
      const start = column * most;
      const end = start + count[column]!;
      let red = HALF;
      let green = HALF;
      let blue = HALF;
      for (let k = start; k < end; k++) {
        const weight = weights[k]!;
        red = (red + Math.imul(data[at]!, weight)) | 0;
        green = (green + Math.imul(data[at + 1]!, weight)) | 0;
        blue = (blue + Math.imul(data[at + 2]!, weight)) | 0;
        at += 3;
      }
      result[to] = red >> PRECISION_BITS;
      result[to + 1] = green >> PRECISION_BITS;
      result[to + 2] = blue >> PRECISION_BITS;
      to += 3;
    }
  return new Uint8Array(result.buffer);
}

/** As many rows as there are taps; `data` begins with row `firstRow` of the picture. */
function resizedColumns(data: Uint8Array, rowBytes: number, firstRow: number, taps: Taps): Uint8Array {
  const { first, count, weights, most } = taps;
  const height = first.length;
  const result = new Uint8ClampedArray(height * rowBytes);
  for (let row = 0; row < height; row++) {
    const top = (first[row]! - firstRow) * rowBytes;
    const start = row * most;
    const end = start + count[row]!;
    for (let i = 0; i < rowBytes; i++) {
      let sum = HALF;
      let at = top + i;
      for (let k = start; k < end; k++) {
        sum = (sum + Math.imul(data[at]!, weights[k]!)) | 0;
        at += rowBytes;
      }
      result[row * rowBytes + i] = sum >> PRECISION_BITS;
    }
  }
  return new Uint8Array(result.buffer);
}

/** Keys' cubic with a = -0.5, from the centre to one side. */
function cubic(x: number): number {
  const a = -0.5;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}
