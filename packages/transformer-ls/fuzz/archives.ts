import assert from 'node:assert/strict';
import { assertRefused } from '../../formats/fuzz/refused.js';
import { DataError } from '../src/data/errors.js';
import { tarFiles } from '../src/data/tar.js';
import { unpackedBytes } from '../src/data/unpack.js';
import { ImageError } from '../src/images/image-set.js';
import { openZipFiles } from '../src/images/zip-files.js';
import { asFile } from './as-file.js';

/** Any bytes as a tar archive: files of the sizes that were read, or a `DataError` of one line. */
export async function fuzzTar(data: Uint8Array): Promise<void> {
  const path = asFile('archive.tar', data);
  try {
    let total = 0;
    for await (const { bytes } of tarFiles(path, () => true)) total += bytes.length;
    // Nothing is unpacked in a plain archive: what comes out was inside.
    if (data[0] !== 0x1f && data[0] !== 0x50) assert.ok(total <= data.length);
  } catch (error) {
    assertRefused(error, DataError);
  }
}

const MOST_UNPACKED = 2 ** 20;

/** Any bytes as a `.gz` or `.zip` of one file: no more than asked for, or a `DataError` of one line. */
export async function fuzzUnpack(data: Uint8Array): Promise<void> {
  const path = asFile('file.gz', data);
  try {
    let total = 0;
    for await (const chunk of unpackedBytes(path, { maxBytes: MOST_UNPACKED })) total += chunk.length;
    assert.ok(total <= MOST_UNPACKED);
  } catch (error) {
    assertRefused(error, DataError);
  }
}

/** Any bytes as a zip archive of pictures: each is read or refused by itself, with one line. */
export async function fuzzZipPictures(data: Uint8Array): Promise<void> {
  const path = asFile('pictures.zip', data);
  try {
    const files = await openZipFiles(path);
    try {
      for (const [index, size] of [...files.sizes].slice(0, 16).entries())
        await files.bytes(index).then(
          (bytes) => assert.equal(bytes.length, size),
          (error) => assertRefused(error, ImageError),
        );
    } finally {
      await files.close();
    }
  } catch (error) {
    assertRefused(error, DataError);
  }
}
