/** Exported models of every family in a real browser, beside libtorch. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Device } from '@transformer-ls/runtime';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { builtPage } from './build.js';
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
      for (const family of families) await compare(page, family, 'wasm');
      await page.close();
    });

    it('give the same on WebGPU', async ({ skip }) => {
      const gpuBrowser = await startBrowser({ gpu: true });
      try {
        const page = await gpuBrowser.newPage();
        await page.goto(site.url);
        await page.waitForFunction(() => 'runtime' in window);
        if (!(await page.evaluate(hasWebGpu))) skip('this Chromium has no WebGPU, not even in software');
        for (const family of families) await compare(page, family, 'webgpu');
      } finally {
        await gpuBrowser.close();
      }
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

async function compare(page: Page, { name, expected }: FamilyExpectation, device: Device): Promise<void> {
  const received = await page.evaluate(runFamily, { name, device });
  expect(received.device, name).toBe(device);
  if (expected.kind === 'language-model') return expect(received.text, name).toBe(expected.text);
  const ids = (shares: readonly { id: string }[]) => shares.map(({ id }) => id).sort();
  expect(ids(received.shares!)).toEqual(ids(expected.shares));
  for (const { id, probability } of expected.shares)
    expect(received.shares!.find((share) => share.id === id)!.probability, name).toBeCloseTo(probability, 4);
  expect(received.features!.length, name).toBe(expected.features.length);
  const largest = Math.max(...expected.features.map(Math.abs));
  received.features!.forEach((value, i) => {
    expect(Math.abs(value - expected.features[i]!), name).toBeLessThanOrEqual(1e-4 * largest);
  });
}

/** Runs in the page. */
async function hasWebGpu(): Promise<boolean> {
  const { gpu } = navigator as { gpu?: { requestAdapter(): Promise<object | null> } };
  return (await gpu?.requestAdapter()) != null;
}

/** Runs in the page. */
async function runFamily({ name, device: wanted }: { name: string; device: Device }) {
  const { loadInWorker } = window.runtime;
  const model = await loadInWorker(`models/${name}`, { device: wanted });
  const { device } = model;
  try {
    if (model.kind === 'language-model') {
      let text = '';
      const stream = model.generate('The history of the world is long. '.repeat(8), {
        maxTokens: 40,
        seed: 5,
        temperature: 0.7,
      });
      for await (const piece of stream) text += piece;
      return { device, text };
    }
    if (model.kind === 'text-classifier') {
      const { classes } = await model.classifyText(
        'One of the best films I have seen in years, and then some.',
      );
      return {
        device,
        shares: classes,
        features: [...(await model.embedText('One of the best films I have seen in years, and then some.'))],
      };
    }
    const data = Uint8Array.from({ length: 3 * 40 * 36 }, (_, i) => (i * 37) % 256);
    const picture = { width: 40, height: 36, data };
    const { classes } = await model.classifyImage(picture);
    return { device, shares: classes, features: [...(await model.embedImage(picture))] };
  } finally {
    await model.dispose();
  }
}
