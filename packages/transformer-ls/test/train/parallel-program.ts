import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { transpileProgram } from './transpiled-program.js';

/** The whole program for the processes of a test file's tests; goes when they are over. Returns the folder of `cli/`. */
export function programFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tls-parallel-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return transpileProgram(folder);
}
