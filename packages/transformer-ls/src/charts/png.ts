/** Pixels as a PNG file, for pictures inside of SVG documents: drawing one needs no further package. */
import { deflateSync } from 'node:zlib';
import { crc32 } from '@transformer-ls/formats';

export interface Pixels {
  readonly width: number;
  readonly height: number;
  /** 1: grey; 3: red, green, blue. */
  readonly channels: 1 | 3;
  /** width * height * channels bytes, row by row. */
  readonly data: Uint8Array;
}

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
const COLOUR_TYPE = { 1: 0, 3: 2 } as const;

/** @throws RangeError where there is no pixel, or not a byte for each colour of each */
export function pngFile(pixels: Pixels): Uint8Array {
  const { width, height, channels, data } = pixels;
  if (width * height < 1 || data.length !== width * height * channels)
    throw new RangeError(`pngFile: expected ${width} x ${height} x ${channels} bytes, got ${data.length}`);
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, 8); // bits a colour
  header.setUint8(9, COLOUR_TYPE[channels]);
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', new Uint8Array(header.buffer)),
    chunk('IDAT', deflateSync(differences(pixels), { level: 9 })),
    chunk('IEND', new Uint8Array()),
  ]);
}

/** Each row as its differences from the row above, after the number of this filter: photographs become a third smaller. */
function differences({ width, height, channels, data }: Pixels): Uint8Array {
  const row = width * channels;
  const filtered = new Uint8Array(height * (row + 1));
  for (let y = 0; y < height; y++) {
    const at = y * (row + 1);
    filtered[at] = 2;
    for (let i = 0; i < row; i++) {
      const above = y === 0 ? 0 : data[(y - 1) * row + i]!;
      filtered[at + 1 + i] = data[y * row + i]! - above;
    }
  }
  return filtered;
}

/** Length, name, content, checksum of name and content. */
function chunk(name: string, content: Uint8Array): Uint8Array {
  const named = Buffer.concat([Buffer.from(name, 'latin1'), content]);
  const ends = Buffer.alloc(8);
  ends.writeUInt32BE(content.length, 0);
  ends.writeUInt32BE(crc32(named), 4);
  return Buffer.concat([ends.subarray(0, 4), named, ends.subarray(4)]);
}
