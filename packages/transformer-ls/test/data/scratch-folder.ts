import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A fresh folder, with a blank in its name, that goes when the test ends. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), 'tls data '));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
