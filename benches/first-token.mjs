/**
 * How long the page takes from a cold start to the first token of a text, in a real browser, and what it loads for it.
 *
 *   npm run bench -- first-token [--model <exported language model>] [--rounds 5] [--out <results file>]
 *
 * A new browser profile for each round, so nothing is in its cache; the server is on this machine, so the network costs nothing: what is
 * measured is the browser's work. With and without the headers that allow threads. Default model: the first shipped one.
 */
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { loadavg, tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { build } from 'vite';
import { findBrowser } from '../scripts/setup/browser.mjs';
import { machine, median, table, wholeNumber } from './side-by-side.workers.mjs';

const app = fileURLToPath(new URL('../apps/dashboard/', import.meta.url));
const shipped = fileURLToPath(new URL('../models/', import.meta.url));
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const ISOLATION = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
};
const TYPES = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.wasm': 'application/wasm',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
};

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    out: { type: 'string' },
  },
});

function manifestOf(folder) {
  return JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
}

function firstShipped() {
  const folders = readdirSync(shipped).map((name) => join(shipped, name, 'onnx'));
  const found = folders.find(
    (folder) => existsSync(join(folder, 'manifest.json')) && manifestOf(folder).kind === 'language-model',
  );
  if (found === undefined)
    throw new Error('first-token: no language model is shipped; name an exported one with --model');
  return found;
}

async function makeSite(model, folder) {
  await build({
    root: app,
    configFile: join(app, 'vite.config.ts'),
    build: { outDir: folder, emptyOutDir: true },
    logLevel: 'error',
  });
  cpSync(model, join(folder, 'models', 'model'), { recursive: true });
  const { name, kind, files } = manifestOf(model);
  const bytes = files.reduce((total, file) => total + file.bytes, 0);
  writeFileSync(
    join(folder, 'models', 'index.json'),
    JSON.stringify({ models: [{ id: 'model', name, kind, bytes }] }),
  );
}

/** Counts the bytes that it sends. */
async function serve(folder, headers) {
  const sent = { bytes: 0 };
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://x');
    const path = join(folder, pathname === '/' ? 'index.html' : decodeURIComponent(pathname));
    if (!existsSync(path)) return response.writeHead(404).end();
    const bytes = readFileSync(path);
    sent.bytes += bytes.length;
    response.writeHead(200, {
      'content-type': TYPES[extname(path)] ?? 'application/octet-stream',
      ...headers,
    });
    response.end(bytes);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${server.address().port}/#write`, sent, server };
}

/** Milliseconds since the page was asked for. */
async function oneVisit(url) {
  const browser = await chromium.launch({ executablePath: findBrowser(), args: FLAGS });
  try {
    const page = await browser.newPage();
    const begun = performance.now();
    await page.goto(url);
    const write = page.getByRole('button', { name: 'Write' });
    await write.and(page.locator(':enabled')).waitFor();
    const shown = performance.now() - begun;
    await write.click();
    await page.getByText(/^ready in/).waitFor();
    const ready = performance.now() - begun;
    await page.waitForFunction(() => {
      const written = document.querySelector('.written');
      return written !== null && written.childNodes.length > 1 && written.childNodes[1].textContent !== '';
    });
    const first = performance.now() - begun;
    const status = page.getByRole('status').filter({ hasText: 'tokens/s' });
    await status.filter({ hasText: 'all tokens written' }).waitFor({ timeout: 0 });
    const speed = Number(/([\d,]+) tokens\/s/.exec(await status.textContent())[1].replace(/,/g, ''));
    return { shown, ready, first, speed };
  } finally {
    await browser.close();
  }
}

async function main() {
  const rounds = wholeNumber('--rounds', values.rounds);
  if (findBrowser() === null)
    throw new Error('first-token: there is no Chromium; run: npm run setup -- --browser');
  const model = values.model ?? firstShipped();
  const folder = mkdtempSync(join(tmpdir(), 'tls-first-token-'));
  try {
    await makeSite(model, folder);
    const rows = [];
    for (const [name, headers] of [
      ['threads allowed', ISOLATION],
      ['one thread', {}],
    ]) {
      const { url, sent, server } = await serve(folder, headers);
      const visits = [];
      for (let round = 0; round < rounds; round++) visits.push(await oneVisit(url));
      server.closeAllConnections();
      server.close();
      const of = (key) => median(visits.map((visit) => visit[key]));
      rows.push([
        name,
        ...['shown', 'ready', 'first', 'speed'].map((key) => of(key).toFixed(0)),
        (sent.bytes / rounds / 2 ** 20).toFixed(1),
      ]);
    }
    const { name, model: config } = manifestOf(model);
    const text = [
      '# From a cold start of the page to the first token',
      '',
      `${machine()}; Chromium without a graphics processor; ${name}: ${config.layers} layers, D ${config.modelDim}, window ${config.windowSize}; medians of ${rounds} visits with an empty cache; load average ${loadavg()[0].toFixed(1)}.`,
      '',
      table(
        ['headers', 'page shown, ms', 'model ready, ms', 'first token, ms', 'then tokens/s', 'MiB loaded'],
        rows,
      ),
      '',
    ].join('\n');
    console.log(text);
    if (values.out) writeFileSync(values.out, text);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

try {
  await main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
