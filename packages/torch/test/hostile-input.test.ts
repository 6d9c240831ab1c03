// No input may abort the process. Every function of the bridge, of the public API, and every operator that the package
// uses are called with wrong types, counts, shapes, dtypes and devices, freed and made-up tensors, detached and shared
// buffers, throwing getters. It happens in child processes, so that a crash is seen and named.
import { afterAll, beforeAll, test } from 'vitest';
import { expectSurvives, modes } from './hostile-input.js';
import { transpiledSources } from './programs/transpile.js';

let sources: ReturnType<typeof transpiledSources>;
beforeAll(() => {
  sources = transpiledSources();
});
afterAll(() => sources.remove());

test.each(modes)('%s', (mode) => expectSurvives(mode, sources.index, 1, 2000));
