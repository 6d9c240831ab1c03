/** Runs in a real browser, served by the dashboard while they are written. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Dashboard, startDashboard } from '../../../packages/transformer-ls/src/dashboard/server.js';
import {
  append,
  evaluated,
  steps,
  trained,
  writeRun,
} from '../../../packages/transformer-ls/test/dashboard/small-runs.js';
import { builtPage } from './build.js';
import { browserPath, startBrowser } from './site.js';

describe.skipIf(browserPath === null)(
  'runs in Chromium (skipped: no Chromium; npm run setup -- --browser)',
  () => {
    let folder: string;
    let first: string;
    let dashboard: Dashboard;
    let browser: Browser;
    let page: Page;
    const problems: string[] = [];

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'tls-runs-page-'));
      first = writeRun(join(folder, 'runs', 'first'), [...steps(1, 30), evaluated(30, 2.5, true)]);
      writeRun(join(folder, 'runs', 'second'), steps(1, 20));
      dashboard = await startDashboard({
        folder: join(folder, 'runs'),
        models: [],
        page: await builtPage('page'),
        port: 0,
        host: '127.0.0.1',
        onProblem: (line) => problems.push(line),
      });
      browser = await startBrowser();
      page = await browser.newPage();
      page.on('pageerror', ({ message }) => problems.push(message));
      page.on('console', (message) => {
        if (message.type() === 'error') problems.push(message.text());
      });
      await page.goto(dashboard.url);
      await page.getByRole('heading', { name: 'Runs' }).waitFor();
    });

    afterAll(async () => {
      await browser?.close();
      await dashboard?.close();
      await rm(folder, { recursive: true });
    });

    const lastValue = (run: string) =>
      page
        .locator('.chart table tr')
        .filter({ has: page.getByRole('rowheader', { name: run, exact: true }) })
        .locator('td');

    it('are listed with their state and drawn side by side', async () => {
      expect(await page.locator('tbody tr').first().textContent()).toContain('text/small');
      await lastValue('first').filter({ hasText: 'at 30' }).waitFor({ state: 'attached' });
      await lastValue('second').filter({ hasText: 'at 20' }).waitFor({ state: 'attached' });
      await lastValue('first, validation').filter({ hasText: '2.5 at 30' }).waitFor({ state: 'attached' });
      expect(await page.locator('.chart canvas').count()).toBe(1);
    });

    it('grow while they are written, without a reload', async () => {
      append(first, [trained(31), trained(32)]);
      await lastValue('first').filter({ hasText: 'at 32' }).waitFor({ state: 'attached' });
    });

    it('go on growing on a page whose events were refused at first', async () => {
      const another = await browser.newPage();
      let refusals = 0;
      await another.route(/\/api\/events/, (route) => {
        if (refusals > 0) return route.continue();
        refusals += 1;
        return route.fulfill({ status: 503, body: '{"error":"too many"}', contentType: 'application/json' });
      });
      await another.goto(dashboard.url);
      const last = another
        .locator('.chart table tr')
        .filter({ has: another.getByRole('rowheader', { name: 'first', exact: true }) })
        .locator('td');
      await last.filter({ hasText: 'at 32' }).waitFor({ state: 'attached' });
      append(first, [trained(33)]);
      await last.filter({ hasText: 'at 33' }).waitFor({ state: 'attached' });
      expect(refusals).toBe(1);
      await another.close();
    });

    it('are shown over another axis, and no longer where they are not chosen', async () => {
      await page.getByRole('combobox', { name: 'over' }).selectOption('seconds');
      await page.getByRole('figure', { name: 'bits per character over seconds' }).waitFor();
      await page.getByRole('combobox', { name: 'Show' }).selectOption('learningRate');
      await page.getByRole('figure', { name: 'learning rate over seconds' }).waitFor();
      await page.getByRole('checkbox', { name: 'second' }).uncheck();
      await expect.poll(() => lastValue('second').count()).toBe(0);
    });

    it('have their settings, and those in which two differ', async () => {
      await page.getByText(/^\d+ settings$/).click();
      await page.getByRole('rowheader', { name: 'model.modelDim' }).waitFor();
      await page.getByRole('checkbox', { name: 'second' }).check();
      await page.getByRole('heading', { name: 'Settings that differ' }).waitFor();
      expect(problems).toEqual([]);
    });
  },
);
