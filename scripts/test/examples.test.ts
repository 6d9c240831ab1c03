// Every example runs as examples/README.md says, on the sources as they are now.
import { spawn } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { browserPath, ISOLATION, serveFolders, startBrowser } from '../../apps/dashboard/test/site.js';
import { type Ended, ended } from '../../packages/transformer-ls/test/cli/program.js';
import {
  exportLanguageModel,
  smallLanguageModel,
} from '../../packages/transformer-ls/test/export/small-exports.js';
import { transpileProgram } from '../../packages/transformer-ls/test/train/transpiled-program.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tls examples '));
  transpileProgram(folder);
  symlinkSync(join(folder, 'transformer-ls'), join(folder, 'node_modules/transformer-ls'));
  cpSync(join(root, 'examples'), join(folder, 'examples'), { recursive: true });
  symlinkSync(join(root, 'models'), join(folder, 'models'));
  mkdirSync(join(folder, 'exported/first'), { recursive: true });
  const model = smallLanguageModel();
  await exportLanguageModel(model, join(folder, 'exported/first'));
  model.dispose();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function run(name: string, ...args: string[]): Promise<string> {
  const child = spawn(process.execPath, [join('examples', name), ...args], { cwd: folder });
  const { code, out, error }: Ended = await ended(child);
  expect({ code, error }).toEqual({ code: 0, error: '' });
  return out;
}

describe('examples', () => {
  it('are all in their README', () => {
    const readme = readFileSync(join(root, 'examples/README.md'), 'utf8');
    for (const name of readdirSync(join(root, 'examples')).filter((entry) => entry !== 'README.md'))
      expect(readme).toContain(`examples/${name}`);
  });

  it('own-text trains and writes', async () => {
    writeFileSync(join(folder, 'notes.txt'), 'The quick brown fox jumps over the lazy dog. '.repeat(3000));
    const out = await run('own-text.mjs', 'notes.txt', '0.05', 'embedded/debug');
    expect(out).toMatch(/npx transformer-ls train --resume runs\/own-text-\d+ --max-time 10m\n$/);
  });

  it('own-model learns', async () => {
    expect(await run('own-model.mjs', '3')).toMatch(/^step 3: loss \d\.\d{3}, \d+ % right\n$/);
  });

  it('stream writes text', async () => {
    expect(await run('stream.mjs', 'exported/first', 'Once', '20')).toMatch(
      /^Once(.|\n)*\n20 tokens, \d+ a second, /,
    );
  });

  it('long-document says the class, and how much was read', async () => {
    writeFileSync(
      join(folder, 'review.txt'),
      'I loved this wonderful film, every minute of it. '.repeat(200),
    );
    const out = await run('long-document.mjs', 'models/film-reviews/onnx', 'review.txt');
    expect(out).toMatch(/^review\.txt: positive\n {2}positive \d+\.\d %\n/);
    expect(out).toMatch(/the first 4\d{3} of 9800 bytes were read/);
  });

  it.skipIf(browserPath === null)('the page classifies in a worker', async () => {
    const outDir = join(folder, 'site');
    await build({
      root: join(root, 'examples/page'),
      build: { outDir, emptyOutDir: true },
      logLevel: 'error',
    });
    const site = await serveFolders({ '/': outDir }, ISOLATION);
    const browser = await startBrowser();
    try {
      const page = await browser.newPage();
      await page.goto(site.url);
      await page.locator('#answer', { hasText: /%.*%/ }).waitFor();
      expect(await page.textContent('#answer')).toMatch(/^positive \d+ %, negative \d+ % \(wasm\)$/);
    } finally {
      await browser.close();
      await site.close();
    }
  });
});
