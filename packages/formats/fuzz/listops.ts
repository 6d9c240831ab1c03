import assert from 'node:assert/strict';
import { evaluateListOps, ListOpsError, parseListOps } from '../src/index.js';
import { assertRefused } from './refused.js';

/** Any text as a tree, and any bytes as tokens: refused with a `ListOpsError` of one line, or worth a digit. */
export function fuzzListOps(data: Uint8Array): void {
  const readers = [
    () => parseListOps(new TextDecoder().decode(data)).label,
    () => evaluateListOps(data.map((token) => token % 15)),
  ];
  for (const read of readers) {
    try {
      assert.match(String(read()), /^\d$/);
    } catch (error) {
      assertRefused(error, ListOpsError);
    }
  }
}
