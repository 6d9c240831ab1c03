import { expect, it } from 'vitest';
import { canMount, fillDisk, flipBits, saveOnFailingDisks } from './disk-trouble.js';

it('loses nothing in 1,000 saves on disks that fail once, for good, or in one kind of operation', async () => {
  expect(await saveOnFailingDisks(1000, 2)).toBeGreaterThan(300);
});

it('passes over a checkpoint with any of 1,000 flipped bits', async () => {
  await flipBits(1000, 2);
});

it.skipIf(!canMount())(
  'loses nothing on disks of 150 kB to 700 kB that are really full (needs root and mount)',
  async () => {
    for (let kilobytes = 150; kilobytes <= 700; kilobytes += 10) await fillDisk(kilobytes);
  },
);
