/** What Pillow makes of small pictures, as `make_resize.py` wrote it. */
import { readFileSync } from 'node:fs';
import type { ResizeFilter, RgbImage } from '../../src/index.js';

type Size = [width: number, height: number];

interface PillowCases {
  resized: {
    seed: number;
    from: Size;
    to: Size;
    filter: ResizeFilter;
    box: [left: number, top: number, right: number, bottom: number] | null;
    pixels: string;
  }[];
  views: { seed: number; from: Size; size: number; cropRatio: number; pixels: string; numbers: string }[];
}

export const pillowCases = JSON.parse(
  readFileSync(new URL('./fixtures/resize.json', import.meta.url), 'utf8'),
) as PillowCases;

/** The same bytes that the Python script computes. */
export function sourcePicture(seed: number, [width, height]: Size): RgbImage {
  const data = Uint8Array.from(
    { length: 3 * width * height },
    (_, i) => (i * 7919 + Math.floor(i / 5) * seed * 31 + ((i * i) % 251)) % 256,
  );
  return { width, height, data };
}
