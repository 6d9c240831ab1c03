/** The pages under test, built once for each run of the tests. */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const app = fileURLToPath(new URL('..', import.meta.url));

/** @param root the page itself, or a page for tests, with Vite's defaults */
export async function builtPage(root: 'page' | 'runtime-page'): Promise<string> {
  const outDir = await mkdtemp(join(tmpdir(), 'tls-page-'));
  const folder = root === 'page' ? app : join(app, 'test', 'runtime-page');
  await build({
    root: folder,
    ...(root === 'page' ? { configFile: join(app, 'vite.config.ts') } : { configFile: false }),
    build: { outDir, emptyOutDir: true },
    logLevel: 'error',
  });
  return outDir;
}
