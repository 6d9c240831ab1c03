// Sums over processes in pairs: right, and the same bits everywhere, for powers of two and others.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { distributedBackends } from '@transformer-ls/torch';
import { beforeAll, expect, it } from 'vitest';
import { startRanks } from '../../../torch/test/programs/ranks.js';
import { programFolder } from './parallel-program.js';

interface Said {
  readonly exact: number[];
  readonly bits: string[];
  readonly thirds: number[];
}

let cli: string;
beforeAll(() => {
  cli = programFolder();
});

it.skipIf(!distributedBackends().gloo).each([2, 3, 5, 8])('%s processes', async (world) => {
  const folder = mkdtempSync(join(tmpdir(), 'tls-sums-'));
  try {
    const program = fileURLToPath(new URL('./sums-run.mjs', import.meta.url));
    const { ended } = startRanks(program, [cli], { world, folder });
    const ends = await ended;
    for (const { code, error } of ends) expect(code, error).toBe(0);
    const said = ends.map((end) => end.said[0] as Said);
    const ranks = Array.from({ length: world }, (_, rank) => rank);
    for (const { exact, bits, thirds } of said) {
      expect(exact).toEqual([world, (world * (world - 1)) / 2, 2 ** world - 1]);
      expect(bits).toEqual(said[0]!.bits);
      for (const [i, third] of thirds.entries())
        expect(third).toBeCloseTo(
          ranks.reduce((sum, rank) => sum + 1 / (3 + rank * i), 0),
          14,
        );
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
