/** What hostile-input.test.ts and its long form share: one run of the program that calls everything with everything. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { runProgram } from './programs/transpile.js';

export const modes = ['binding', 'api', 'operators'] as const;

/** Fails naming the call, when the process was aborted, or the unexpected errors. */
export async function expectSurvives(
  mode: (typeof modes)[number],
  index: string,
  seed: number,
  calls: number,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'hostile-input-'));
  const note = join(folder, 'note');
  const ended = await runProgram('hostile-input.mjs', [mode, index, note, String(seed), String(calls)]);
  const last = readFileSync(note, 'utf8').trim();
  rmSync(folder, { recursive: true });
  const message = `seed ${seed}; last call: ${last}\n${ended.output}`;
  expect([ended.code, ended.signal, last], message).toEqual([0, null, 'done']);
}
