// The loops of attention under sanitizers. Compiling them takes most of a minute.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

test('the kernels are as plain loops, and touch no memory but theirs', () => {
  const script = fileURLToPath(new URL('../scripts/check-kernels.mjs', import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [script], { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(stdout).toContain('as the plain loops');
  expect(status).toBe(0);
});
