import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import { assertRefused } from '../../formats/fuzz/refused.js';
import { DataError } from '../src/data/errors.js';
import { readExampleSetRecord } from '../src/lra/example-set.js';
import { parseManifest, writeManifest } from '../src/run/manifest.js';
import { asFile } from './as-file.js';

/** Any bytes as the manifest of a checkpoint: a `SyntaxError` or `TypeError`, or exactly what would be written again. */
export function fuzzCheckpointManifest(data: Uint8Array): void {
  try {
    const manifest = parseManifest(data);
    assert.deepEqual(new TextEncoder().encode(writeManifest(manifest)), Uint8Array.from(data));
    for (const name of manifest.files.keys()) assert.match(name, /^[a-z0-9][a-z0-9._-]*$/);
  } catch (error) {
    assertRefused(error, SyntaxError, TypeError);
  }
}

/** Any bytes as `set.json` of a prepared set: a record, or a `DataError` of one line. */
export async function fuzzExampleSet(data: Uint8Array): Promise<void> {
  const folder = dirname(asFile('set.json', data));
  try {
    const record = await readExampleSetRecord(folder);
    assert.ok(record!.classes.every((name) => typeof name === 'string'));
  } catch (error) {
    assertRefused(error, DataError);
  }
}
