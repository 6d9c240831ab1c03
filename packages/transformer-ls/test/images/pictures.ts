/** Encoded pictures for tests. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { crc32 } from '@transformer-ls/formats';
import sharp from 'sharp';

/** A picture of one colour. */
export async function plainPicture(
  red: number,
  green = 0,
  blue = 0,
  { width = 6, height = 5, format = 'png' as 'png' | 'jpeg' | 'webp' } = {},
): Promise<Uint8Array> {
  const background = { r: red, g: green, b: blue };
  return sharp({ create: { width, height, channels: 3, background } })
    [format]()
    .toBuffer();
}

/** Writes files with the folders they lie in. */
export function writeFiles(folder: string, files: Readonly<Record<string, Uint8Array | string>>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
}

/** A PNG of this size by its header, with next to nothing behind it. */
export async function pngClaiming(width: number, height: number): Promise<Uint8Array> {
  const png = Buffer.from(await plainPicture(1));
  png.writeUInt32BE(width, 16);
  png.writeUInt32BE(height, 20);
  png.writeUInt32BE(crc32(png.subarray(12, 29)), 29);
  return png;
}
