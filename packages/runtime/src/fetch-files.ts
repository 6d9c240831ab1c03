/** Files of a server. */
import type { FileReader } from './engine.js';
import { RuntimeError } from './errors.js';

export function isHttp(place: string | URL): boolean {
  return /^https?:/.test(String(place));
}

/** The files in the folder of a URL, whether or not it ends in a slash. */
export function fetchFiles(folder: string | URL, signal: AbortSignal | undefined): FileReader {
  const base = new URL(String(folder), globalThis.location?.href);
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  return {
    place: base.href,
    async read(name, most, onBytes) {
      const url = new URL(name, base);
      const response = await get(url, signal);
      const pieces: Uint8Array[] = [];
      let size = 0;
      for await (const piece of chunksOf(response, url, signal)) {
        size += piece.length;
        if (size > most)
          throw new RuntimeError('damaged', `${url.href}: expected at most ${most} bytes, received more`);
        pieces.push(piece);
        onBytes(piece.length);
      }
      return joined(pieces, size);
    },
  };
}

async function get(url: URL, signal: AbortSignal | undefined): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, signal === undefined ? {} : { signal });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw notFetched(url, 'cannot be fetched', error);
  }
  if (response.ok) return response;
  throw new RuntimeError('not-found', `${url.href}: the server answered ${response.status}`);
}

/** What comes of a file, piece by piece; a reader that has seen enough ends the transfer. */
async function* chunksOf(
  response: Response,
  url: URL,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  if (response.body === null) return;
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } catch (error) {
    if (signal?.aborted) throw error;
    throw notFetched(url, 'broke off', error);
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function notFetched(url: URL, what: string, error: unknown): RuntimeError {
  const reason = error instanceof Error ? error.message : String(error);
  return new RuntimeError('not-found', `${url.href}: ${what} (${reason})`, { cause: error });
}

function joined(pieces: readonly Uint8Array[], size: number): Uint8Array {
  const whole = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
