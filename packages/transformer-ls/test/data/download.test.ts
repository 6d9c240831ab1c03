import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type DownloadOptions, type DownloadProgress, downloadFile } from '../../src/data/index.js';
import { scratchFolder } from './scratch-folder.js';

const content = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 31 + (i >> 7)) & 255));
const sha256 = createHash('sha256').update(content).digest('hex');

type Handler = (request: IncomingMessage, response: ServerResponse, count: number) => void;

/** A server on 127.0.0.1 whose handler gets the number of the request, from 1. */
async function serve(handler: Handler): Promise<{ url: string; requests: IncomingMessage[] }> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    handler(request, response, requests.length);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return { url: `http://127.0.0.1:${address.port}/corpus.zip`, requests };
}

/** Serves the content with an ETag, and parts of it when If-Range names that tag. */
function sendResumable(request: IncomingMessage, response: ServerResponse): void {
  const start = startResumable(request, response);
  response.end(content.subarray(start));
}

/** Breaks the connection when the client has the bytes up to `upTo` on its disk. */
function sendAndCut(
  request: IncomingMessage,
  response: ServerResponse,
  upTo: number,
  partial: string,
  afterwards?: () => void,
): void {
  const start = startResumable(request, response);
  response.write(content.subarray(start, upTo));
  const watch = setInterval(() => {
    if (statSync(partial, { throwIfNoEntry: false })?.size !== upTo) return;
    clearInterval(watch);
    response.destroy();
    afterwards?.();
  }, 5);
  onTestFinished(() => clearInterval(watch));
}

function startResumable(request: IncomingMessage, response: ServerResponse): number {
  const asked = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
  const start = asked && request.headers['if-range'] === '"v1"' ? Number(asked[1]) : 0;
  const headers: Record<string, string | number> = { ETag: '"v1"', 'Content-Length': content.length - start };
  if (start > 0) headers['Content-Range'] = `bytes ${start}-${content.length - 1}/${content.length}`;
  response.writeHead(start > 0 ? 206 : 200, headers);
  return start;
}

function optionsFor(url: string, more: Partial<DownloadOptions> = {}): DownloadOptions {
  const to = join(scratchFolder(), 'corpus.zip');
  return { url, to, bytes: content.length, sha256, retryDelayMs: 1, retries: 0, ...more };
}

/** The one line of a failed download, and what it left in the folder. */
async function failureOf(options: DownloadOptions): Promise<{ message: string; left: string[] }> {
  const message = await downloadFile(options).then(
    () => 'it did not fail',
    (error: Error) => `${error.name}: ${error.message}`,
  );
  expect(message).not.toContain('\n');
  expect(existsSync(options.to)).toBe(false);
  return { message, left: readdirSync(join(options.to, '..')).sort() };
}

function expectComplete(options: DownloadOptions): void {
  expect(content.equals(readFileSync(options.to))).toBe(true);
  expect(readdirSync(join(options.to, '..'))).toEqual(['corpus.zip']);
}

const partialFiles = ['corpus.zip.partial', 'corpus.zip.partial.json'];

describe('downloadFile', () => {
  it('fetches a whole file and reports progress up to the last byte', async () => {
    const { url, requests } = await serve((request, response) => sendResumable(request, response));
    const reports: DownloadProgress[] = [];
    const options = optionsFor(url, { onProgress: (progress) => reports.push(progress) });
    await downloadFile(options);
    expectComplete(options);
    expect(requests.map(({ headers }) => headers.range)).toEqual([undefined]);
    expect(reports.at(-1)).toMatchObject({ bytes: content.length, total: content.length });
    expect(reports.at(-1)!.rate).toBeGreaterThan(0);
  });

  it('goes on by itself after the connection was cut', async () => {
    const to = join(scratchFolder(), 'corpus.zip');
    const { url, requests } = await serve((request, response, count) => {
      if (count < 3) sendAndCut(request, response, count * 100_000, `${to}.partial`);
      else sendResumable(request, response);
    });
    const options = optionsFor(url, { to, retries: 3 });
    await downloadFile(options);
    expectComplete(options);
    expect(requests.map(({ headers }) => headers.range)).toEqual([
      undefined,
      'bytes=100000-',
      'bytes=200000-',
    ]);
  });

  it('keeps what it has after a cut, and a later call goes on from there', async () => {
    const to = join(scratchFolder(), 'corpus.zip');
    const { url, requests } = await serve((request, response, count) => {
      if (count === 1) sendAndCut(request, response, 120_000, `${to}.partial`);
      else sendResumable(request, response);
    });
    const options = optionsFor(url, { to });
    const { message, left } = await failureOf(options);
    expect(message).toMatch(
      /^DataError: .*connection was lost.*; 120000 of 300000 bytes are kept, run it again/,
    );
    expect(left).toEqual(partialFiles);
    await downloadFile(options);
    expectComplete(options);
    expect(requests[1]?.headers).toMatchObject({ range: 'bytes=120000-', 'if-range': '"v1"' });
  });

  it('begins anew where the server ignores Range or has a new version of the file', async () => {
    const to = join(scratchFolder(), 'corpus.zip');
    const { url } = await serve((request, response, count) => {
      if (count === 1) return sendAndCut(request, response, 120_000, `${to}.partial`);
      response.writeHead(200, { ETag: '"v2"', 'Content-Length': content.length }).end(content);
    });
    const options = optionsFor(url, { to });
    await failureOf(options);
    await downloadFile(options);
    expectComplete(options);
  });

  it('begins anew after 416 Range Not Satisfiable', async () => {
    const to = join(scratchFolder(), 'corpus.zip');
    const { url, requests } = await serve((request, response, count) => {
      if (count === 1) return sendAndCut(request, response, 120_000, `${to}.partial`);
      if (count === 2) return void response.writeHead(416).end();
      sendResumable(request, response);
    });
    const options = optionsFor(url, { to, retries: 2 });
    await downloadFile(options);
    expectComplete(options);
    expect(requests[2]?.headers.range).toBeUndefined();
  });

  it('keeps no partial file that cannot be continued', async () => {
    const { url } = await serve((_, response) => {
      // No ETag, no date: nothing would say that a later answer is the same file.
      response.sendDate = false;
      response.writeHead(200, { 'Content-Length': content.length });
      response.write(content.subarray(0, 1000), () => response.destroy());
    });
    const { message, left } = await failureOf(optionsFor(url));
    expect(message).toMatch(/connection was lost/);
    expect(message).not.toContain('kept');
    expect(left).toEqual([]);
  });

  it('does not put a weak ETag into If-Range', async () => {
    const { url } = await serve((_, response) => {
      response.writeHead(200, { ETag: 'W/"v1"', 'Content-Length': content.length });
      response.write(content.subarray(0, 1000), () => response.destroy());
    });
    expect((await failureOf(optionsFor(url))).left).toEqual([]);
  });

  it('does not continue a partial file of another address or with a damaged record', async () => {
    const { url, requests } = await serve((request, response) => sendResumable(request, response));
    for (const record of [
      '{"url":"http://elsewhere/","validator":"\\"v1\\""}',
      '{"url":',
      '[]',
      '{"url":5}',
    ]) {
      const options = optionsFor(url);
      writeFileSync(`${options.to}.partial`, 'something else');
      writeFileSync(`${options.to}.partial.json`, record);
      await downloadFile(options);
      expectComplete(options);
      expect(requests.at(-1)?.headers.range).toBeUndefined();
    }
  });

  it('refuses a wrong declared length before the body', async () => {
    const { url } = await serve((_, response) => {
      response.writeHead(200, { 'Content-Length': 5 }).end('short');
    });
    const { message, left } = await failureOf(optionsFor(url));
    expect(message).toBe(`DataError: ${url}: wrong size 5, expected 300000 bytes`);
    expect(left).toEqual([]);
  });

  it('refuses a body that is longer or shorter than expected where no length is declared', async () => {
    const { url } = await serve((_, response, count) => {
      response.writeHead(200, { ETag: '"v1"' });
      response.end(count === 1 ? Buffer.concat([content, content]) : content.subarray(0, 10));
    });
    const tooLong = await failureOf(optionsFor(url));
    expect(tooLong.message).toBe(`DataError: ${url}: sent more than the expected 300000 bytes`);
    expect(tooLong.left).toEqual([]);
    expect((await failureOf(optionsFor(url))).message).toContain(
      'the connection ended after 10 of 300000 bytes',
    );
  });

  it('removes a file with the wrong hash', async () => {
    const wrong = Buffer.from(content);
    wrong[5] = 0;
    const { url } = await serve((_, response) => {
      response.writeHead(200, { ETag: '"v1"', 'Content-Length': wrong.length }).end(wrong);
    });
    const { message, left } = await failureOf(optionsFor(url));
    expect(message).toMatch(
      new RegExp(`: wrong SHA-256 [0-9a-f]{64}, expected ${sha256}; the download is removed$`),
    );
    expect(left).toEqual([]);
  });

  it.each([404, 403, 500])('names the status %d', async (status) => {
    const { url, requests } = await serve((_, response) => void response.writeHead(status).end('no'));
    const { message, left } = await failureOf(optionsFor(url, { retries: 3 }));
    expect(message).toMatch(new RegExp(`^DataError: http://.*: the server answered ${status} \\w+`));
    expect(left).toEqual([]);
    expect(requests).toHaveLength(1);
  });

  it('gives up on a connection that goes silent, before the answer and within it', async () => {
    const { url } = await serve((request, response, count) => {
      if (count === 1) return;
      response.writeHead(200, { ETag: '"v1"', 'Content-Length': content.length });
      response.write(content.subarray(0, 5000));
      request.resume();
    });
    const silent = await failureOf(optionsFor(url, { stallTimeoutMs: 500 }));
    expect(silent.message).toBe(`DataError: ${url}: the connection brought nothing for 0.5 s`);
    expect(silent.left).toEqual([]);
    const stalled = await failureOf(optionsFor(url, { stallTimeoutMs: 500 }));
    expect(stalled.message).toContain('brought nothing for 0.5 s; 5000 of 300000 bytes are kept');
    expect(stalled.left).toEqual(partialFiles);
  });

  it('stops when told to, also while it waits to try again', async () => {
    const controller = new AbortController();
    const to = join(scratchFolder(), 'corpus.zip');
    const { url } = await serve((request, response, count) => {
      const abortSoon = () => void setTimeout(() => controller.abort(), 50);
      if (count === 1) sendAndCut(request, response, 1000, `${to}.partial`, abortSoon);
    });
    const options = optionsFor(url, { to, retries: 5, retryDelayMs: 3_600_000, signal: controller.signal });
    const { message, left } = await failureOf(options);
    expect(message).toMatch(/^AbortError/);
    expect(left).toEqual(partialFiles);
  });

  it('stops when told to in the middle of a body', async () => {
    const controller = new AbortController();
    const { url } = await serve((_, response) => {
      response.writeHead(200, { ETag: '"v1"', 'Content-Length': content.length });
      response.write(content.subarray(0, 5000), () => setTimeout(() => controller.abort(), 50));
    });
    expect((await failureOf(optionsFor(url, { signal: controller.signal }))).message).toMatch(/^AbortError/);
  });

  it('follows redirects, but not for ever and not to other protocols', async () => {
    const { url } = await serve((request, response) => {
      const hops = Number(new URL(request.url ?? '', 'http://x').searchParams.get('hops'));
      if (hops > 0) response.writeHead(302, { Location: `?hops=${hops - 1}` }).end();
      else if (hops < 0) response.writeHead(302, { Location: 'file:///etc/hostname' }).end();
      else sendResumable(request, response);
    });
    const options = optionsFor(`${url}?hops=3`);
    await downloadFile(options);
    expectComplete(options);
    expect((await failureOf(optionsFor(`${url}?hops=9`))).message).toContain('more than 5 redirects');
    expect((await failureOf(optionsFor(`${url}?hops=-1`))).message).toContain(
      'is not an http or https address',
    );
    expect((await failureOf(optionsFor('corpus.zip'))).message).toContain(
      "'corpus.zip' is not an http or https",
    );
  });

  it('says that nobody listens, or that there is no such host', async () => {
    // Port 1 of this machine; names below .invalid never exist (RFC 6761).
    const refused = await failureOf(optionsFor('http://127.0.0.1:1/corpus.zip'));
    expect(refused.message).toBe('DataError: cannot reach 127.0.0.1:1: connection refused');
    const unknown = await failureOf(optionsFor('http://host.invalid/corpus.zip'));
    expect(unknown.message).toBe('DataError: cannot reach host.invalid: no network, or no host of that name');
  });
});
