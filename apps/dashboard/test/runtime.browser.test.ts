/** Exported models of every family in a real browser, beside libtorch. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { builtPage } from './build.js';
import { compareFamily } from './compare-family.js';
import { exportFamilies, type FamilyExpectation } from './families.js';
import { browserPath, ISOLATION, type Site, serveFolders, startBrowser } from './site.js';

describe.skipIf(browserPath === null)(
  'exported models in Chromium (skipped: no Chromium; npm run setup -- --browser)',
  () => {
    let folder: string;
    let families: readonly FamilyExpectation[];
    let browser: Browser;
    let site: Site;
    let plainSite: Site;

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'tls-browser-'));
      const models = join(folder, 'models');
      await mkdir(models);
      families = await exportFamilies(models);
      const page = await builtPage('runtime-page');
      const folders = { '/': page, '/models/': models };
      site = await serveFolders(folders, ISOLATION);
      plainSite = await serveFolders(folders);
      browser = await startBrowser();
    });

    afterAll(async () => {
      await browser?.close();
      await site?.close();
      await plainSite?.close();
      await rm(folder, { recursive: true });
    });

    async function opened(url: string): Promise<Page> {
      const page = await browser.newPage();
      await page.goto(url);
      await page.waitForFunction(() => 'runtime' in window);
      return page;
    }

    it('give what libtorch gives: text of the same seed, probabilities within 1e-4, features', async () => {
      const page = await opened(site.url);
      for (const family of families) await compareFamily(page, family, 'wasm');
      await page.close();
    });

    it('say what they lack where the page is not isolated, and compute all the same', async () => {
      const page = await opened(plainSite.url);
      const notes = await page.evaluate(async (name) => {
        const found: string[] = [];
        const model = await window.runtime.loadInWorker(`models/${name}`, {
          threads: 2,
          onNote: (note) => found.push(note),
        });
        await model.dispose();
        return found;
      }, families[0]!.name);
      expect(notes.join()).toMatch(/Cross-Origin-Opener-Policy/);
      await page.close();
    });

    it('end a stream in the worker when it is aborted, and answer errors in one line', async () => {
      const page = await opened(site.url);
      const name = families.find(({ expected }) => expected.kind === 'language-model')!.name;
      const result = await page.evaluate(async (model) => {
        const loaded = await window.runtime.loadInWorker(`models/${model}`, { device: 'wasm' });
        const stop = new AbortController();
        const stream = loaded.generate('x', { signal: stop.signal });
        let pieces = 0;
        for await (const _ of stream) if (++pieces === 5) stop.abort();
        const wrong = await loaded.classifyText('x').catch((error: Error) => error.message);
        const settings = await (async () => {
          for await (const _ of loaded.generate('x', { temperature: -1 }));
        })().catch((error: Error) => `${error.name}: ${error.message}`);
        await loaded.dispose();
        const after = await loaded.classifyText('x').catch((error: Error) => error.message);
        const missing = await window.runtime
          .loadInWorker('models/none')
          .catch((error: Error) => error.message);
        return { ending: stream.counts.ending, wrong, settings, after, missing };
      }, name);
      expect(result).toMatchObject({
        ending: 'aborted',
        wrong: 'this model is a language-model, expected a text-classifier',
        settings: 'GenerationError: temperature: expected at least 0, received -1',
        after: 'this model was disposed',
      });
      expect(result.missing).toMatch(/models\/none\/manifest\.json: the server answered 404$/);
      await page.close();
    });

    it('leave the page free while they compute', async () => {
      const page = await opened(site.url);
      const name = families.find(({ expected }) => expected.kind === 'language-model')!.name;
      const turns = await page.evaluate(async (model) => {
        const loaded = await window.runtime.loadInWorker(`models/${model}`, { device: 'wasm' });
        let count = 0;
        const timer = setInterval(() => count++, 0);
        let text = '';
        for await (const piece of loaded.generate('The '.repeat(500), { maxTokens: 50 })) text += piece;
        clearInterval(timer);
        await loaded.dispose();
        return { count, length: text.length };
      }, name);
      expect(turns.length).toBeGreaterThan(0);
      expect(turns.count).toBeGreaterThan(5);
      await page.close();
    });
  },
);
