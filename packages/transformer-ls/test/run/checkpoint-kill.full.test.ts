import { expect, it } from 'vitest';
import { killWhileSaving } from './kill-loop.js';

it('leaves a whole checkpoint and a whole best checkpoint after each of 1,000 kills', async () => {
  expect(await killWhileSaving(1000)).toBeGreaterThan(50);
});
