/** Changes that look at one channel of one pixel at a time: tables of 256 values. The same bytes as Pillow's operations. */
import type { RgbImage } from '@transformer-ls/formats';

const CHANNELS = 3;

/** Every channel stretched to the whole range from 0 to 255. */
export function autoContrast(image: RgbImage): RgbImage {
  return throughTables(
    image,
    histograms(image).map((counts) => {
      const low = counts.findIndex((count) => count > 0);
      const high = counts.findLastIndex((count) => count > 0);
      if (high <= low) return tableOf((value) => value);
      const scale = 255 / (high - low);
      return tableOf((value) => Math.trunc(value * scale + -low * scale));
    }),
  );
}

/** Every channel's values spread so that all are about equally frequent. */
export function equalize(image: RgbImage): RgbImage {
  return throughTables(image, histograms(image).map(equalizingTable));
}

function equalizingTable(counts: Uint32Array): Uint8ClampedArray {
  const last = counts.findLastIndex((count) => count > 0);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const step = Math.floor((total - counts[last]!) / 255);
  // A single value makes no step, as few pixels do not.
  if (step === 0) return tableOf((value) => value);
  let seen = Math.floor(step / 2);
  return tableOf((value) => {
    const mapped = Math.floor(seen / step);
    seen += counts[value]!;
    return mapped;
  });
}

export function invert(image: RgbImage): RgbImage {
  return throughTable(image, (value) => 255 - value);
}

/** Keeps the highest bits of every value. @param bits 0 to 8; none at all is black */
export function posterize(image: RgbImage, bits: number): RgbImage {
  const mask = 0xff & ~(2 ** (8 - bits) - 1);
  return throughTable(image, (value) => value & mask);
}

/** Inverts values from the threshold on. @param threshold 0 to 256 */
export function solarize(image: RgbImage, threshold: number): RgbImage {
  return throughTable(image, (value) => (value < threshold ? value : 255 - value));
}

/** Adds to the darker half of the values. */
export function solarizeAdd(image: RgbImage, added: number): RgbImage {
  return throughTable(image, (value) => (value < 128 ? value + added : value));
}

/** One table for all channels. */
export function throughTable(image: RgbImage, mapping: (value: number) => number): RgbImage {
  const table = tableOf(mapping);
  return throughTables(image, [table, table, table]);
}

function tableOf(mapping: (value: number) => number): Uint8ClampedArray {
  return Uint8ClampedArray.from({ length: 256 }, (_, value) => mapping(value));
}

function throughTables({ data, ...size }: RgbImage, tables: readonly Uint8ClampedArray[]): RgbImage {
  const result = new Uint8Array(data.length);
  for (const [channel, table] of tables.entries())
    for (let i = channel; i < data.length; i += CHANNELS) result[i] = table[data[i]!]!;
  return { ...size, data: result };
}

/** How often each value comes, for red, green and blue. */
function histograms({ data }: RgbImage): Uint32Array[] {
  return Array.from({ length: CHANNELS }, (_, channel) => {
    const counts = new Uint32Array(256);
    for (let i = channel; i < data.length; i += CHANNELS) counts[data[i]!]!++;
    return counts;
  });
}
