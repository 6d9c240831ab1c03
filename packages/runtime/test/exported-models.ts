// Exported small models in folders of their own, and servers of such folders.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import type { RuntimeError, RuntimeErrorCode } from '../src/index.js';

/** A folder for a whole file of tests; remove it when they are done. */
export function testFolder(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'tls runtime '));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** A copy of an exported model that goes when the test ends. */
export function copyOf(folder: string): string {
  const { path, remove } = testFolder();
  onTestFinished(remove);
  cpSync(folder, path, { recursive: true });
  return path;
}

type Json = Record<string, unknown>;

/** Rewrites the manifest of a copy. */
export function withManifest(
  folder: string,
  change: (manifest: Json & { files: Json[] }) => unknown,
): string {
  const copy = copyOf(folder);
  const path = join(copy, 'manifest.json');
  const manifest = JSON.parse(readFileSync(path, 'utf8'));
  writeFileSync(path, JSON.stringify(change(manifest) ?? manifest));
  return copy;
}

export type Handle = (name: string, request: IncomingMessage, response: ServerResponse) => boolean;

export interface Served {
  readonly url: string;
  /** Names asked for, in order. */
  readonly asked: string[];
}

/** The folder on a loopback address until the test ends; `handle` may answer by itself (true). */
export async function served(folder: string, handle: Handle = () => false): Promise<Served> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const name = decodeURIComponent(new URL(request.url!, 'http://x').pathname).replace('/model/', '');
    asked.push(name);
    if (handle(name, request, response)) return;
    try {
      response.end(readFileSync(join(folder, name)));
    } catch {
      response.writeHead(404).end('not here');
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/model`, asked };
}

/** The RuntimeError that a promise fails with, in one line. */
export async function failure(
  promise: Promise<unknown>,
): Promise<{ code: RuntimeErrorCode; message: string }> {
  const error = await promise.then(
    () => undefined,
    (one: unknown) => one as RuntimeError,
  );
  expect(error).toMatchObject({ name: 'RuntimeError' });
  expect(error!.message).not.toContain('\n');
  return { code: error!.code, message: error!.message };
}
