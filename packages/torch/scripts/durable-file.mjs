/** Small files that are either whole or not there, also after a power cut. */
import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs';

/** Readers see the old file or the whole new one. @param {string} path @param {string} text */
export function writeDurably(path, text) {
  const temporary = `${path}.tmp`;
  writeFileSync(temporary, text);
  flush(temporary);
  renameSync(temporary, path);
}

/** @param {string} path */
export function flush(path) {
  const file = openSync(path, 'r+');
  fsyncSync(file);
  closeSync(file);
}
