import { afterAll, beforeAll, expect, test } from 'vitest';
import { runProgram, transpiledSources } from './programs/transpile.js';

let sources: ReturnType<typeof transpiledSources>;
beforeAll(() => {
  sources = transpiledSources();
});
afterAll(() => sources.remove());

test('tensors that no scope owns are freed by the collector, and V8 knows what they weigh', async () => {
  const ended = await runProgram('collector.mjs', [sources.index], ['--expose-gc']);
  expect([ended.code, ended.signal], ended.output).toEqual([0, null]);
  const report = JSON.parse(ended.output);
  const size = 32 * 2 ** 20;
  expect(report).toMatchObject({
    afterCreation: 50,
    afterCollection: 0,
    kept: 2,
    keptAfterCollection: 0,
    heldSurvives: true,
    afterAll: 0,
    sharedAfterCollection: [1, 1, 0],
  });
  expect(report.reportedBytes).toBeGreaterThan(0.99 * size);
  expect(report.reportedBytes).toBeLessThan(1.3 * size);
  expect(report.returnedBytes).toBeGreaterThan(0.99 * size);
  expect(report.peakMiB).toBeLessThan(960); // half of what was made
});
