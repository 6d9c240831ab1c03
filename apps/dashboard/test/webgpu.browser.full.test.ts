/** Exported models on WebGPU, which here the processor computes: slow, and the same commands. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'vitest';
import { builtPage } from './build.js';
import { compareFamily } from './compare-family.js';
import { exportFamilies } from './families.js';
import { browserPath, ISOLATION, serveFolders, startBrowser } from './site.js';

describe.skipIf(browserPath === null)(
  'exported models on WebGPU (skipped: no Chromium; npm run setup -- --browser)',
  () => {
    it('give what libtorch gives', async ({ skip }) => {
      const folder = await mkdtemp(join(tmpdir(), 'tls-webgpu-'));
      const models = join(folder, 'models');
      await mkdir(models);
      const families = await exportFamilies(models);
      const site = await serveFolders(
        { '/': await builtPage('runtime-page'), '/models/': models },
        ISOLATION,
      );
      const browser = await startBrowser({ gpu: true });
      try {
        const page = await browser.newPage();
        page.setDefaultTimeout(0);
        await page.goto(site.url);
        await page.waitForFunction(() => 'runtime' in window);
        if (!(await page.evaluate(hasWebGpu))) skip('this Chromium has no WebGPU, not even in software');
        for (const family of families) await compareFamily(page, family, 'webgpu');
      } finally {
        await browser.close();
        await site.close();
        await rm(folder, { recursive: true });
      }
    });
  },
);

/** Runs in the page. */
async function hasWebGpu(): Promise<boolean> {
  const { gpu } = navigator as { gpu?: { requestAdapter(): Promise<object | null> } };
  return (await gpu?.requestAdapter()) != null;
}
