import { expect, it } from 'vitest';
import { flipBits, saveOnFailingDisks } from './disk-trouble.js';

it('loses nothing on disks that fail once, for good, or in one kind of operation', async () => {
  expect(await saveOnFailingDisks(40, 1)).toBeGreaterThan(5);
});

it('passes over a checkpoint with a flipped bit', async () => {
  await flipBits(40, 1);
});
