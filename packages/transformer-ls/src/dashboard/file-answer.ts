/** Files as answers: a piece at a time, as fast as the client takes them. */
import { basename, extname } from 'node:path';
import { UnreadableError } from './errors.js';
import { openRealFile, type RealFile } from './real-file.js';

const PIECE_BYTES = 256 * 1024;

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.wasm': 'application/wasm',
  '.txt': 'text/plain; charset=utf-8',
};

export interface ServedFile {
  readonly path: string;
  /** What it must hold: other content has no place in an answer whose length is told first. */
  readonly bytes: number;
  /** Changes with the content. */
  readonly tag: string;
  readonly cacheControl: string;
}

/**
 * @param cut ends the connection: what was sent of a file that can be read no further must not be taken for all of it
 * @throws UnreadableError where there is none any more, Error where it holds something else
 */
export async function fileAnswer(
  request: Request,
  file: ServedFile,
  cut: (error: Error) => void,
): Promise<Response> {
  const headers = { etag: `"${file.tag}"`, 'cache-control': file.cacheControl };
  if (request.headers.get('if-none-match') === headers.etag)
    return new Response(null, { status: 304, headers });
  const size = await sizeNow(file.path);
  if (size !== file.bytes)
    throw new Error(`expected ${file.bytes} bytes, found ${size}: the file was changed`);
  const type = TYPES[extname(file.path)] ?? 'application/octet-stream';
  const whole = { ...headers, 'content-type': type, 'content-length': String(file.bytes) };
  return new Response(fileStream(file, cut), { headers: whole });
}

/** Opens it, as sending will: what cannot be sent is known before the answer begins. */
async function sizeNow(path: string): Promise<number> {
  const { handle, size } = await openRealFile(path);
  await handle.close();
  return size;
}

/** The file is opened when the first piece is asked for: an answer that nobody reads leaves nothing open. */
function fileStream({ path, bytes }: ServedFile, cut: (error: Error) => void): ReadableStream<Uint8Array> {
  let sent = 0;
  let file: RealFile | undefined;
  /** The client left, maybe while a piece was read: that is no problem. */
  let isLeft = false;
  const next = async (): Promise<Uint8Array> => {
    file ??= await openRealFile(path);
    const piece = new Uint8Array(Math.min(PIECE_BYTES, bytes - sent));
    const { bytesRead } = await file.handle.read(piece, 0, piece.length, sent);
    sent += bytesRead;
    if (bytesRead === 0 && sent < bytes)
      throw new UnreadableError(`${basename(path)}: became shorter while it was sent`);
    return piece.subarray(0, bytesRead);
  };
  const close = async () => file?.handle.close();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const piece = await next();
          if (piece.length > 0) controller.enqueue(piece);
          if (sent < bytes) return;
          await close();
          controller.close();
        } catch (error) {
          await close();
          if (isLeft) return;
          cut(error as Error);
          controller.close();
        }
      },
      cancel() {
        isLeft = true;
        return close();
      },
    },
    { highWaterMark: 0 },
  );
}
