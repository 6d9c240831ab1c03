/** Shifting and mirroring: pixels are moved, none is changed. */
import type { RgbImage } from '@transformer-ls/formats';

/** The picture of the same size moved by whole pixels; what comes in from outside is black. */
export function shifted({ width, height, data }: RgbImage, right: number, down: number): RgbImage {
  const result = new Uint8Array(data.length);
  const from = Math.max(0, -right);
  const to = Math.min(width, width - right);
  for (let y = Math.max(0, -down); y < Math.min(height, height - down) && from < to; y++) {
    const row = data.subarray(3 * (y * width + from), 3 * (y * width + to));
    result.set(row, 3 * ((y + down) * width + from + right));
  }
  return { width, height, data: result };
}

/** Left and right exchanged. */
export function mirrored({ width, height, data }: RgbImage): RgbImage {
  const result = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) {
    let to = 3 * (y + 1) * width;
    for (let from = 3 * y * width; from < 3 * (y + 1) * width; from += 3) {
      to -= 3;
      result[to] = data[from]!;
      result[to + 1] = data[from + 1]!;
      result[to + 2] = data[from + 2]!;
    }
  }
  return { width, height, data: result };
}
