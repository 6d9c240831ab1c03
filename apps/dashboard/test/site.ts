/** A site on loopback, and a real browser that looks at it. */
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import { findBrowser } from '../../../scripts/setup/browser.mjs';

/** null: the tests are skipped, and say why. */
export const browserPath = findBrowser();

/** What Chromium needs where there is neither a screen nor a network. */
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** WebGPU computed by the processor, where there is no graphics processor: slow, and the same commands. */
const SOFTWARE_GPU = [
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--enable-features=Vulkan',
];

/** @param gpu whether pages are given WebGPU */
export function startBrowser({ gpu = false } = {}): Promise<Browser> {
  const args = gpu ? [...FLAGS.filter((flag) => flag !== '--disable-gpu'), ...SOFTWARE_GPU] : FLAGS;
  return chromium.launch({ executablePath: browserPath as string, args });
}

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};

/** The headers without which pages have no threads. */
export const ISOLATION = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
};

export interface Site {
  readonly url: string;
  close(): Promise<void>;
}

/** @param folders by the beginning of the path; the longest that fits is taken */
export async function serveFolders(
  folders: Record<string, string>,
  headers: Record<string, string> = {},
): Promise<Site> {
  const beginnings = Object.keys(folders).sort((a, b) => b.length - a.length);
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? '/', 'http://x').pathname));
    const beginning = beginnings.find((one) => path.startsWith(one)) as string;
    const name = path === beginning ? 'index.html' : path.slice(beginning.length);
    try {
      const bytes = await readFile(join(folders[beginning]!, name));
      const type = TYPES[extname(name)] ?? 'application/octet-stream';
      response.writeHead(200, { 'content-type': type, ...headers });
      response.end(bytes);
    } catch {
      response.writeHead(404).end();
    }
  });
  return listening(server);
}

async function listening(server: Server): Promise<Site> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
