import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { type DecodeImage, imageDecoder, imageFormat, MOST_ENCODED_BYTES } from '../../src/images/decode.js';
import { ImageError } from '../../src/images/image-set.js';
import { plainPicture, pngClaiming } from './pictures.js';

interface DecodedCases {
  readonly width: number;
  readonly height: number;
  readonly cases: readonly { readonly name: string; readonly file: string; readonly pixels: string }[];
}

/** What Pillow makes of small pictures, as `make_decoded.py` wrote it. */
const { width, height, cases } = JSON.parse(
  readFileSync(new URL('./fixtures/decoded.json', import.meta.url), 'utf8'),
) as DecodedCases;
const fileOf = (name: string) => Buffer.from(cases.find((one) => one.name === name)!.file, 'base64');
const partOf = (name: string) => fileOf(name).subarray(0, Math.floor(0.3 * fileOf(name).length));

let decode: DecodeImage;
beforeAll(async () => {
  decode = await imageDecoder();
});

describe('decoding', () => {
  it.each(cases.map((one) => [one.name, one] as const))(
    'gives the pixels of Pillow: %s',
    async (name, { file, pixels }) => {
      const image = await decode(Buffer.from(file, 'base64'), name);
      expect([image.width, image.height]).toEqual([width, height]);
      expect(Buffer.from(image.data).toString('base64')).toBe(pixels);
    },
  );

  it('reads AVIF', async () => {
    const bytes = await sharp(await plainPicture(200, 100, 50))
      .avif({ lossless: true })
      .toBuffer();
    const image = await decode(bytes, 'a.avif');
    expect([image.width, image.height]).toEqual([6, 5]);
    for (const [i, value] of image.data.entries())
      expect(Math.abs(value - [200, 100, 50][i % 3]!)).toBeLessThan(4);
  });

  it('halves the bits of a grey picture of sixteen', async () => {
    const values = Uint16Array.from({ length: 12 }, (_, i) => i * 5000 + 100);
    const bytes = await sharp(values, { raw: { width: 4, height: 3, channels: 1 } })
      .toColourspace('grey16')
      .png()
      .toBuffer();
    const { data } = await decode(bytes, 'grey16.png');
    expect([...data]).toEqual([...values].flatMap((value) => [value >> 8, value >> 8, value >> 8]));
  });

  it.each<[string, () => Promise<Uint8Array> | Uint8Array, RegExp]>([
    [
      'nothing',
      () => new Uint8Array(0),
      /^x: expected JPEG, PNG, WebP, GIF, TIFF or AVIF, received no bytes$/,
    ],
    [
      'a text',
      () => Buffer.from('no picture'),
      /^x: expected JPEG.* received bytes that begin with "no pictu"$/,
    ],
    [
      'SVG',
      () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
      /begin with "<svg xml"$/,
    ],
    ['PDF', () => Buffer.from('%PDF-1.7\n%âãÏÓ'), /begin with "%PDF-1\.7"$/],
    [
      'HEIC',
      () => Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'latin1'),
      /begin with 0000001866747970$/,
    ],
    ['a part of a JPEG', () => partOf('rgb.jpg'), /^x: cannot be decoded: .*premature end of JPEG image$/],
    ['a JPEG without its last bytes', () => fileOf('rgb.jpg').subarray(0, -8), /^x: cannot be decoded: /],
    ['a part of a PNG', () => partOf('rgb.png'), /^x: cannot be decoded: /],
    ['the beginning of a PNG', () => fileOf('rgb.png').subarray(0, 8), /^x: cannot be decoded: /],
    ['a part of a WebP', () => partOf('lossless.webp'), /^x: cannot be decoded: /],
    ['a part of a GIF', () => partOf('first-of-two.gif'), /^x: cannot be decoded: /],
    [
      '2,500,000,000 pixels',
      () => pngClaiming(50_000, 50_000),
      /^x: cannot be decoded: Input image exceeds pixel limit$/,
    ],
    ['no pixels', () => pngClaiming(0, 5), /^x: cannot be decoded: /],
    [
      'too many bytes',
      () => Buffer.concat([fileOf('rgb.jpg'), new Uint8Array(MOST_ENCODED_BYTES)]),
      /^x: has \d+ bytes, expected at most 67108864$/,
    ],
  ])('%s is one clear line', async (_, bytes, message) => {
    const error = await decode(await bytes(), 'x').catch((caught) => caught);
    expect(error).toBeInstanceOf(ImageError);
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain('\n');
  });

  it('of damaged files gives a picture or one clear line', async () => {
    const file = fc.constantFrom(...cases.map(({ name }) => name));
    const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(file, changes, async (name, edits) => {
        const bytes = fileOf(name);
        for (const [at, value] of edits) bytes[at % bytes.length] = value;
        const found = await decode(bytes, name).catch((error) => error);
        if (found instanceof Error) {
          expect(found).toBeInstanceOf(ImageError);
          expect(found.message).toMatch(new RegExp(`^${name}: .+$`));
        } else expect(found.data).toHaveLength(3 * found.width * found.height);
      }),
      { numRuns: 150 },
    );
  });
});

describe('formats', () => {
  it('are told by how a file begins', async () => {
    for (const { name, file } of cases) {
      const format = imageFormat(Buffer.from(file, 'base64'));
      expect(name.endsWith(`.${{ jpeg: 'jpg', tiff: 'tif' }[format as string] ?? format}`), name).toBe(true);
    }
    expect(
      imageFormat(
        await sharp(await plainPicture(1))
          .avif()
          .toBuffer(),
      ),
    ).toBe('avif');
  });
});
