/** The static page in a real browser: what people do with it. */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { builtPage } from './build.js';
import { exportFamilies } from './families.js';
import { browserPath, ISOLATION, type Site, serveFolders, startBrowser } from './site.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const SHIPPED = ['film-reviews', 'listops', 'small-pictures'];
const PHONE = { width: 390, height: 844 };
const DESK = { width: 1100, height: 900 };

/** What the dashboard's server allows a page. */
const POLICY =
  "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; img-src 'self' data: blob:; connect-src 'self'; style-src 'self'";

describe.skipIf(browserPath === null)(
  'the page in Chromium (skipped: no Chromium; npm run setup -- --browser)',
  () => {
    let folder: string;
    let browser: Browser;
    let site: Site;

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'tls-page-test-'));
      const models = join(folder, 'models');
      await mkdir(models);
      await exportFamilies(models);
      for (const name of SHIPPED)
        await cp(join(root, 'models', name, 'onnx'), join(models, name), { recursive: true });
      const listed = [...SHIPPED, 'lm-consistent'].map(async (id) => {
        const { name, kind, files, provenance } = JSON.parse(
          await readFile(join(models, id, 'manifest.json'), 'utf8'),
        );
        return { id, name, kind, bytes: files[0].bytes, data: provenance.data };
      });
      await writeFile(join(models, 'index.json'), JSON.stringify({ models: await Promise.all(listed) }));
      const headers = { ...ISOLATION, 'content-security-policy': POLICY };
      site = await serveFolders({ '/': await builtPage('page'), '/models/': models }, headers);
      browser = await startBrowser();
    });

    afterAll(async () => {
      await browser?.close();
      await site?.close();
      await rm(folder, { recursive: true });
    });

    /** Runs `work` in a new page; whatever goes wrong in it, and every request to elsewhere, fails the test. */
    async function onPage(
      part: string,
      work: (page: Page) => Promise<void>,
      options: { viewport?: typeof DESK; colorScheme?: 'light' | 'dark' } = {},
    ): Promise<void> {
      const context = await browser.newContext({ viewport: DESK, ...options });
      const page = await context.newPage();
      const problems: string[] = [];
      page.on('pageerror', ({ message }) => problems.push(message));
      page.on('console', (message) => {
        // A static page asks once whether there is a server.
        if (message.type() === 'error' && !message.location().url.endsWith('/api/models'))
          problems.push(message.text());
      });
      page.on('request', (request) => {
        const url = request.url();
        if (!url.startsWith(site.url) && !url.startsWith('blob:') && !url.startsWith('data:'))
          problems.push(`asked ${url}`);
      });
      try {
        await page.goto(`${site.url}#${part}`);
        await work(page);
        expect(problems).toEqual([]);
      } finally {
        await context.close();
      }
    }

    it('writes, shows how fast and where it looks, and stops', async () => {
      await onPage('write', async (page) => {
        await page.getByLabel('Beginning of the text').fill('Long ago');
        await page.getByLabel('Tokens').fill('100000');
        await page.getByRole('button', { name: 'Write' }).click();
        await page.getByText('Where it looks').waitFor();
        await page.getByRole('button', { name: 'Stop' }).click();
        const status = page.getByRole('status').filter({ hasText: 'context' });
        await status.filter({ hasText: 'stopped' }).waitFor();
        expect(await status.textContent()).toMatch(
          /^context [\d,]+ tokens · [\d,]+ tokens\/s · memory [\d.]+ KiB · .* · stopped$/,
        );
        const shares = await page.locator('.legend').textContent();
        expect(shares).toMatch(
          /chunks of 16 tokens, \d+ in memory: [\d.]+ %.*last \d+ tokens: [\d.]+ %.*most from/,
        );
        const [chunks, window] = [...shares!.matchAll(/([\d.]+) %/g)].map(([, share]) => Number(share)) as [
          number,
          number,
        ];
        expect(chunks + window).toBeCloseTo(100, 0);
        await page.getByLabel('Layer').selectOption('2');
        expect(await page.locator('.legend').textContent()).not.toBe(shares);
        // The same seed writes the same again.
        const texts: string[] = [];
        for (let i = 0; i < 2; i++) {
          await page.getByLabel('Tokens').fill('30');
          await page.getByRole('button', { name: 'Write' }).click();
          await status.filter({ hasText: 'all tokens written' }).waitFor();
          texts.push((await page.locator('.written').textContent())!);
        }
        expect(texts[0]).toBe(texts[1]);
        expect(texts[0]!.startsWith('Long ago')).toBe(true);
      });
    });

    it('reads a document: the label with probabilities, where it looked and which passages decided', async () => {
      await onPage('read', async (page) => {
        await page.getByRole('button', { name: 'Read', exact: true }).click();
        await page.locator('.label').waitFor();
        expect(await page.locator('.label').textContent()).toMatch(/^(positive|negative)$/);
        const shares = await page.locator('.shares .number').allTextContents();
        expect(shares.map((text) => Number.parseFloat(text)).reduce((a, b) => a + b, 0)).toBeCloseTo(100, 0);
        const text = await page.getByRole('textbox', { name: 'Document' }).inputValue();
        expect(await page.locator('.heat-text').textContent()).toBe(text);
        await page.getByRole('button', { name: /again without each passage/ }).click();
        await page.getByText('speaks against it').waitFor();
        const passages = page.locator('.heat-text').nth(1);
        expect(await passages.textContent()).toBe(text);
        expect(await passages.locator('span.for').count()).toBeGreaterThan(0);
        expect(await passages.locator('span').first().getAttribute('title')).toMatch(
          /^without it: [\d.]+ %$/,
        );
      });
    });

    it('takes a dropped text, and says how much of a long one it reads', async () => {
      await onPage('read', async (page) => {
        await page.setInputFiles('input[type=file]', {
          name: 'long.txt',
          mimeType: 'text/plain',
          buffer: Buffer.from('A wonderful film. '.repeat(400)),
        });
        await page.getByRole('button', { name: 'Read', exact: true }).click();
        await page.locator('.label').waitFor();
        await page.getByText(/^4,000 of 7,200 bytes read in .* no more than its first 4,000$/).waitFor();
      });
    });

    it('reads a tree of ListOps, whose example comes with the model', async () => {
      await onPage('read', async (page) => {
        // What the first model has read goes when another is chosen.
        await page.getByRole('button', { name: 'Read', exact: true }).click();
        await page.locator('.label').waitFor();
        await page.getByLabel('Model').selectOption('listops');
        await page.locator('.label').waitFor({ state: 'detached' });
        const text = await page.getByRole('textbox', { name: 'Document' }).inputValue();
        expect(text).toMatch(/^\[MAX /);
        await page.getByRole('button', { name: 'Read', exact: true }).click();
        await page.locator('.label').waitFor();
        expect(await page.locator('.label').textContent()).toMatch(/^\d$/);
        await page.getByText(/^\d+ of \d+ tokens read in \d+ ms; the value of the tree is \d$/).waitFor();
        expect((await page.locator('.heat-text').textContent())!.trim()).toBe(text);
        expect(await page.locator('.heat-text span[title="not read by this model"]').count()).toBe(
          text.split(']').length - 1,
        );
        expect(await page.getByText('What decided').count()).toBe(0);
        // What a person has written stays when another model is chosen.
        await page.getByRole('textbox', { name: 'Document' }).fill('A fine film.');
        await page.getByLabel('Model').selectOption('film-reviews');
        expect(await page.getByRole('textbox', { name: 'Document' }).inputValue()).toBe('A fine film.');
      });
    });

    it('sees the boat that it offers', async () => {
      await onPage('see', async (page) => {
        await page.getByRole('button', { name: 'a drawn boat' }).click();
        await page.locator('.label').waitFor();
        expect(await page.locator('.label').textContent()).toBe('ship');
      });
    });

    it('sees a picture: the classes and where it looked; something else is refused in a line', async () => {
      await onPage('see', async (page) => {
        await page.setInputFiles('input[type=file]', join(root, 'docs', 'images', 'boat.png'));
        await page.locator('.label').waitFor();
        expect(await page.locator('.label').textContent()).toBe('ship');
        const shown = () =>
          page.locator('.see canvas').evaluate((canvas) => (canvas as HTMLCanvasElement).toDataURL());
        const withHeat = await shown();
        await page.getByLabel(/show where it looked/).uncheck();
        await expect.poll(shown).not.toBe(withHeat);
        await page.setInputFiles('input[type=file]', {
          name: 'x.png',
          mimeType: 'image/png',
          buffer: Buffer.from('no'),
        });
        await page.getByRole('alert').filter({ hasText: 'expected a picture, received image/png' }).waitFor();
      });
    });

    it('fits a phone, in light and in dark, without anything to scroll sideways', async () => {
      for (const colorScheme of ['light', 'dark'] as const)
        for (const part of ['write', 'read', 'see'])
          await onPage(
            part,
            async (page) => {
              await page.getByRole('heading', { level: 1 }).waitFor();
              await page.getByLabel('Model').waitFor();
              const [wide, screen] = await page.evaluate(() => [
                document.documentElement.scrollWidth,
                innerWidth,
              ]);
              expect(wide, part).toBeLessThanOrEqual(screen!);
              const background = await page.evaluate(
                () => getComputedStyle(document.documentElement).backgroundColor,
              );
              expect(background).toBe(colorScheme === 'dark' ? 'rgb(17, 21, 27)' : 'rgb(246, 247, 249)');
            },
            { viewport: PHONE, colorScheme },
          );
    });

    it('is walked by keyboard alone, and every control has a name', async () => {
      await onPage('write', async (page) => {
        await page.getByLabel('Model').waitFor();
        const names: string[] = [];
        for (let i = 0; i < 14; i++) {
          await page.keyboard.press('Tab');
          names.push(await page.evaluate(nameOfFocus));
        }
        expect(names.join(' | ')).toMatch(
          /Skip to content \| Write \| Read \| See \| Change to \w+ colours \| Model .*\| Beginning of the text \| Tokens \| Temperature \| Top p \| Seed \| Write/,
        );
        const nameless = await page.evaluate(
          () =>
            [...document.querySelectorAll('button, a, input, select, textarea, canvas')].filter(
              (element) =>
                !element.getAttribute('aria-label') &&
                !element.textContent?.trim() &&
                !(element as HTMLInputElement).labels?.length,
            ).length,
        );
        expect(nameless).toBe(0);
      });
    });
  },
);

/** Runs in the page. */
function nameOfFocus(): string {
  const element = document.activeElement as HTMLElement & { labels?: NodeListOf<HTMLLabelElement> };
  const label = element.labels?.[0];
  const own = label === undefined ? element.textContent : (label.firstChild?.textContent ?? '');
  return (element.getAttribute('aria-label') ?? own ?? '').trim();
}
