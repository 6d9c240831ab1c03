import assert from 'node:assert/strict';
import { assertRefused } from '../../formats/fuzz/refused.js';
import { DataError } from '../src/data/errors.js';
import { ImageError } from '../src/images/image-set.js';
import { openParquetImages } from '../src/images/parquet-images.js';
import { asFile } from './as-file.js';

/** Any bytes as a parquet file of pictures: a set whose pictures are read or refused one by one, or a `DataError` of one line. */
export async function fuzzParquet(data: Uint8Array): Promise<void> {
  const path = asFile('train.parquet', data);
  try {
    const set = await openParquetImages('fuzzed', [path]);
    for (const label of set.labels) assert.ok(label < set.classes.length);
    for (const index of [...set.labels.keys()].slice(0, 2))
      await set.read(index).catch((error) => assertRefused(error, ImageError));
    await set.close();
  } catch (error) {
    assertRefused(error, DataError);
  }
}
