import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, readFile, rm, stat } from 'node:fs/promises';
import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { setTimeout as wait } from 'node:timers/promises';
import { renameDurably, writeDurably } from './durable-file.js';
import { DataError, fileError, systemErrorCode } from './errors.js';

export interface DownloadProgress {
  /** Bytes on the disk, those of an earlier attempt included. */
  readonly bytes: number;
  readonly total: number;
  /** Bytes per second since this call began. */
  readonly rate: number;
}

export interface DownloadOptions {
  readonly url: string;
  /** Where the finished file goes. While it grows it is `<to>.partial`, described by `<to>.partial.json`. */
  readonly to: string;
  /** Exact size of the file. Every download is pinned by size and hash. */
  readonly bytes: number;
  /** SHA-256 in hex. */
  readonly sha256: string;
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Give up on a connection that brings nothing for this long. Default 30,000 ms. */
  readonly stallTimeoutMs?: number | undefined;
  /** New connections after one was cut, each going on where the last one ended. Default 4. */
  readonly retries?: number | undefined;
  /** Pause before the first retry, doubled each time. Default 1,000 ms. */
  readonly retryDelayMs?: number | undefined;
}

/**
 * Downloads one file over http or https: resumes a partial file where the server can (Range with If-Range), checks
 * size and SHA-256, and only then gives the file its name. Throws DataError with one line; the partial file is
 * kept only when a later call can go on from it.
 */
export async function downloadFile(options: DownloadOptions): Promise<void> {
  const download = new Download(options);
  const retries = options.retries ?? 4;
  for (let attempt = 0; ; attempt++) {
    try {
      await download.fetchRest();
      break;
    } catch (error) {
      if (error instanceof StalePartial) await download.discard();
      const again = error instanceof ConnectionLost && attempt < retries;
      if (!again) throw await download.failure(error);
      await wait((options.retryDelayMs ?? 1000) * 2 ** attempt, undefined, { signal: options.signal }).catch(
        async (reason) => {
          throw await download.failure(reason);
        },
      );
    }
  }
  await download.finish();
}

/** The connection broke or went silent: the next attempt may well succeed. */
class ConnectionLost extends Error {}

/** The server no longer has the file that the partial one was cut from. */
class StalePartial extends ConnectionLost {}

/** What must be the same for a partial file to be continued. The validator goes into If-Range. */
interface PartialRecord {
  readonly url: string;
  readonly validator: string;
}

class Download {
  readonly #options: DownloadOptions;
  readonly #partial: string;
  readonly #record: string;
  readonly #started = performance.now();
  #receivedNow = 0;
  #lastReport = Number.NEGATIVE_INFINITY;

  constructor(options: DownloadOptions) {
    this.#options = options;
    this.#partial = `${options.to}.partial`;
    this.#record = `${options.to}.partial.json`;
  }

  /** One connection: asks for what is missing and appends it. Throws ConnectionLost when cut. */
  async fetchRest(): Promise<void> {
    const { bytes, url } = this.#options;
    const known = await this.#resumable();
    if (known?.have === bytes) return;
    const range = known && { Range: `bytes=${known.have}-`, 'If-Range': known.record.validator };
    const response = await openUrl(url, range ?? {}, this.#options);
    try {
      const start = this.#checkHead(response, known?.have ?? 0);
      if (start === 0) await this.#rememberValidator(response);
      await this.#append(response, start);
    } finally {
      response.destroy();
    }
  }

  /** All bytes are here: check the hash, then give the file its name. */
  async finish(): Promise<void> {
    const { to, sha256, url } = this.#options;
    const found = await sha256OfFile(this.#partial, this.#options.signal);
    if (found !== sha256) {
      await this.discard();
      throw new DataError(`${url}: wrong SHA-256 ${found}, expected ${sha256}; the download is removed`);
    }
    const file = await open(this.#partial, 'r+');
    await file.sync().finally(() => file.close());
    await renameDurably(this.#partial, to);
    await rm(this.#record, { force: true });
  }

  /** The error to show; removes the partial file unless it can be continued. */
  async failure(error: unknown): Promise<Error> {
    const kept = (await this.#resumable().catch(() => undefined))?.have ?? 0;
    if (kept === 0) await this.discard();
    if (!(error instanceof ConnectionLost)) return fileError('download to', this.#options.to, error);
    const after = kept > 0 ? `; ${kept} of ${this.#options.bytes} bytes are kept, run it again to go on` : '';
    return new DataError(`${this.#options.url}: ${error.message}${after}`, { cause: error });
  }

  async #resumable(): Promise<{ have: number; record: PartialRecord } | undefined> {
    const record = await readRecord(this.#record);
    const size = await stat(this.#partial).then(
      (stats) => (stats.isFile() ? stats.size : 0),
      () => 0,
    );
    const usable = record?.url === this.#options.url && size > 0 && size <= this.#options.bytes;
    return usable ? { have: size, record } : undefined;
  }

  /** Checks status and sizes; returns the byte at which the body begins. */
  #checkHead(response: IncomingMessage, have: number): number {
    const { url, bytes } = this.#options;
    const status = response.statusCode ?? 0;
    // 416: the file at the server is no longer than what is here, so it is another file: begin anew.
    if (status === 416) throw new StalePartial(`the server cannot go on from byte ${have}`);
    if (status !== 200 && status !== 206) {
      throw new DataError(`${url}: the server answered ${status} ${response.statusMessage ?? ''}`.trim());
    }
    const start = status === 206 ? rangeStart(response) : 0;
    if (start !== 0 && start !== have) {
      throw new DataError(`${url}: asked for bytes from ${have}, the server sent them from ${start}`);
    }
    const declared = Number(response.headers['content-length'] ?? bytes - start);
    if (start + declared !== bytes) {
      throw new DataError(`${url}: wrong size ${start + declared}, expected ${bytes} bytes`);
    }
    return start;
  }

  /** A body from byte 0 begins a new partial file, so what an earlier one was is forgotten first. */
  async #rememberValidator(response: IncomingMessage): Promise<void> {
    await this.discard();
    const etag = response.headers.etag;
    // A weak tag promises the same meaning, not the same bytes, so HTTP forbids it here.
    const validator = etag !== undefined && !etag.startsWith('W/') ? etag : response.headers['last-modified'];
    if (validator === undefined || response.headers['accept-ranges'] === 'none') return;
    const record: PartialRecord = { url: this.#options.url, validator };
    await writeDurably(this.#record, [Buffer.from(JSON.stringify(record))]);
  }

  async #append(response: IncomingMessage, start: number): Promise<void> {
    const file = await open(this.#partial, start === 0 ? 'w' : 'r+');
    try {
      await this.#writeBody(response, file, start);
    } finally {
      await file.close();
    }
  }

  async #writeBody(response: IncomingMessage, file: FileHandle, start: number): Promise<void> {
    const { url, bytes } = this.#options;
    let position = start;
    for await (const chunk of bodyChunks(response, this.#options.signal)) {
      if (position + chunk.length > bytes) {
        await this.discard();
        throw new DataError(`${url}: sent more than the expected ${bytes} bytes`);
      }
      await writeAt(file, chunk, position);
      position += chunk.length;
      this.#receivedNow += chunk.length;
      this.#report(position);
    }
    if (position < bytes) {
      throw new ConnectionLost(`the connection ended after ${position} of ${bytes} bytes`);
    }
  }

  /** At most ten reports a second, and always the last. */
  #report(position: number): void {
    const now = performance.now();
    const { bytes, onProgress } = this.#options;
    if (onProgress === undefined || (now - this.#lastReport < 100 && position < bytes)) return;
    this.#lastReport = now;
    const seconds = Math.max(now - this.#started, 1) / 1000;
    onProgress({ bytes: position, total: bytes, rate: this.#receivedNow / seconds });
  }

  async discard(): Promise<void> {
    await rm(this.#record, { force: true });
    await rm(this.#partial, { force: true });
  }
}

async function readRecord(path: string): Promise<PartialRecord | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(path, 'utf8'));
    if (typeof value !== 'object' || value === null) return undefined;
    if (!('url' in value) || typeof value.url !== 'string') return undefined;
    if (!('validator' in value) || typeof value.validator !== 'string') return undefined;
    return { url: value.url, validator: value.validator };
  } catch {
    // No record, or a damaged one: the download starts from the beginning.
    return undefined;
  }
}

/** SHA-256 of a whole file, in hex. */
export async function sha256OfFile(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20, signal })) hash.update(chunk);
  } catch (error) {
    throw fileError('read', path, error);
  }
  return hash.digest('hex');
}

function rangeStart(response: IncomingMessage): number {
  const range = response.headers['content-range'] ?? '';
  const match = /^bytes (\d+)-\d+\/(?:\d+|\*)$/.exec(range);
  if (match === null)
    throw new DataError(`the server sent a part with the strange range '${range.slice(0, 80)}'`);
  return Number(match[1]);
}

async function writeAt(file: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < chunk.length) {
    done += (await file.write(chunk, done, chunk.length - done, position + done)).bytesWritten;
  }
}

async function* bodyChunks(
  response: IncomingMessage,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of response) {
      if (chunk instanceof Uint8Array) yield chunk;
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw connectionError(error);
  }
}

const redirectStatuses = new Set([301, 302, 303, 307, 308]);
const mostRedirects = 5;

type RequestOptions = Pick<DownloadOptions, 'signal' | 'stallTimeoutMs'>;

/** Opens the address and follows redirects; resolves with the first response that is not one. */
async function openUrl(
  address: string,
  headers: Record<string, string>,
  options: RequestOptions,
): Promise<IncomingMessage> {
  let url = parseUrl(address);
  for (let redirects = 0; redirects <= mostRedirects; redirects++) {
    const response = await requestOnce(url, headers, options);
    const location = response.headers.location;
    if (!redirectStatuses.has(response.statusCode ?? 0) || location === undefined) return response;
    response.destroy();
    const next = parseUrl(location, url);
    if (url.protocol === 'https:' && next.protocol === 'http:') {
      throw new DataError(`${address}: redirects from https to http (${next.host}), which is refused`);
    }
    url = next;
  }
  throw new DataError(`${address}: more than ${mostRedirects} redirects`);
}

function parseUrl(address: string, base?: URL): URL {
  const url = URL.canParse(address, base?.href) ? new URL(address, base) : undefined;
  if (url?.protocol === 'https:' || url?.protocol === 'http:') return url;
  throw new DataError(`'${address}' is not an http or https address`);
}

function requestOnce(
  url: URL,
  headers: Record<string, string>,
  options: RequestOptions,
): Promise<IncomingMessage> {
  const send = url.protocol === 'https:' ? requestHttps : requestHttp;
  const timeout = options.stallTimeoutMs ?? 30_000;
  return new Promise((resolve, reject) => {
    // `identity`: a server that compresses on the way would make sizes and ranges mean something else.
    const request = send(url, {
      headers: { ...headers, 'Accept-Encoding': 'identity', 'User-Agent': 'transformer-ls' },
      timeout,
      agent: false,
      ...(options.signal && { signal: options.signal }),
    });
    let response: IncomingMessage | undefined;
    request.on('timeout', () => {
      const silent = new ConnectionLost(`the connection brought nothing for ${timeout / 1000} s`);
      response?.destroy(silent);
      request.destroy(silent);
    });
    request.on('response', (received) => {
      response = received;
      resolve(received);
    });
    request.on('error', (error) => reject(error.name === 'AbortError' ? error : connectionError(error, url)));
    request.end();
  });
}

function connectionError(error: unknown, url?: URL): Error {
  if (error instanceof ConnectionLost || error instanceof DataError) return error;
  const code = systemErrorCode(error);
  const host = url?.host ?? 'the server';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return new DataError(`cannot reach ${host}: no network, or no host of that name`, { cause: error });
  }
  if (code === 'ECONNREFUSED')
    return new DataError(`cannot reach ${host}: connection refused`, { cause: error });
  const reason = error instanceof Error && error.message !== '' ? error.message : String(code ?? error);
  return new ConnectionLost(`the connection was lost (${reason})`, { cause: error });
}
