import assert from 'node:assert/strict';
import { assertRefused } from '../../formats/fuzz/refused.js';
import { DataError } from '../src/data/errors.js';
import { readClassTable } from '../src/images/class-table.js';
import { listedLabels } from '../src/images/label-list.js';
import { readIdx } from '../src/lra/idx.js';
import { listOpsOfTable } from '../src/lra/listops-table.js';
import { pairsOfIds, pairsOfTable, readDocuments } from '../src/lra/retrieval.js';
import { reviewsOfTable } from '../src/lra/reviews.js';
import { asFile } from './as-file.js';

async function orRefused(read: () => Promise<void>): Promise<void> {
  try {
    await read();
  } catch (error) {
    assertRefused(error, DataError);
  }
}

/** Any bytes as each of the tables of examples: labels that are classes, or a `DataError` that names the line. */
export async function fuzzTables(data: Uint8Array): Promise<void> {
  const path = asFile('table.tsv', data);
  await orRefused(async () => {
    for await (const { label, tokens } of listOpsOfTable(path)) {
      assert.ok(label >= 0 && label <= 9);
      assert.ok(tokens.every((token) => token < 15));
    }
  });
  await orRefused(async () => {
    for await (const { label } of reviewsOfTable(path, 'train')) assert.ok(label === 0 || label === 1);
  });
  await orRefused(async () => {
    for await (const { label } of pairsOfTable(path)) assert.ok(label === 0 || label === 1);
  });
}

const KNOWN_DOCUMENTS = new Map(['a', 'b', '1'].map((id) => [id, new Uint8Array(3)]));

/** Any bytes as the file of documents, and as pairs of their ids. */
export async function fuzzPairs(data: Uint8Array): Promise<void> {
  const path = asFile('pairs.tsv', data);
  await orRefused(async () => {
    for (const text of (await readDocuments(path)).values()) assert.ok(text instanceof Uint8Array);
  });
  await orRefused(async () => {
    for await (const { label } of pairsOfIds(path, KNOWN_DOCUMENTS)) assert.ok(label === 0 || label === 1);
  });
}

/** Any bytes as an IDX file, compressed or not: arrays of one size, or a `DataError` of one line. */
export async function fuzzIdx(data: Uint8Array): Promise<void> {
  const path = asFile('images-idx3-ubyte', data);
  await orRefused(async () => {
    const arrays = await readIdx(path);
    assert.equal(new Set(arrays.map(({ length }) => length)).size <= 1, true);
  });
}

const PICTURES = ['a/1.png', 'a/2.png', 'b/1.png'];

/** Any bytes as a table of classes and as a list of labels beside pictures. */
export async function fuzzLabels(data: Uint8Array): Promise<void> {
  const path = asFile('labels.txt', data);
  await orRefused(async () => {
    const { ids, names } = await readClassTable(path);
    for (const id of ids ?? []) assert.ok(names.has(id));
  });
  await orRefused(async () => {
    const { labels, classIds } = await listedLabels(path, 'pictures', PICTURES, undefined);
    for (const label of labels) assert.ok(label >= 0 && label < classIds.length);
  });
}
