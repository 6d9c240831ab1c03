// The long form of hostile-input.test.ts: the same, from many seeds.
import { afterAll, beforeAll, test } from 'vitest';
import { expectSurvives, modes } from './hostile-input.js';
import { transpiledSources } from './programs/transpile.js';

let sources: ReturnType<typeof transpiledSources>;
beforeAll(() => {
  sources = transpiledSources();
});
afterAll(() => sources.remove());

const seeds = Array.from({ length: 10 }, (_, i) => 10_000 + i);

test.each(modes.flatMap((mode) => seeds.map((seed) => [mode, seed] as const)))(
  '%s from seed %i',
  (mode, seed) => expectSurvives(mode, sources.index, seed, 20_000),
);
