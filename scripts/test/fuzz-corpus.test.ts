// What fuzzing found worth keeping, once more: every input gives a result or the parser's own error, and soon.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { TARGETS } from '../../fuzz/targets.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
/** Far above what any needs, so that a busy machine fails no test. */
const SLOWEST_MS = 10_000;

it.each(Object.entries(TARGETS))('%s', async (name, { file, entry }) => {
  const target: (data: Uint8Array) => unknown = (await import(join(root, file)))[entry];
  const corpus = join(root, 'fuzz/corpus', name);
  const inputs = readdirSync(corpus);
  expect(inputs.length).toBeGreaterThan(0);
  for (const input of inputs) {
    const begun = performance.now();
    await target(Uint8Array.from(readFileSync(join(corpus, input))));
    expect(performance.now() - begun, input).toBeLessThan(SLOWEST_MS);
  }
});
