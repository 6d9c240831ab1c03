import { expect, it } from 'vitest';
import { killWhileSaving } from './kill-loop.js';

it('leaves a whole checkpoint and a whole best checkpoint after each of 60 kills', async () => {
  expect(await killWhileSaving(60)).toBeGreaterThan(3);
});
