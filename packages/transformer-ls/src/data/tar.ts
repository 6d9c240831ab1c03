/** Files inside a tar archive, compressed or not, one after the other. */
import { Readable } from 'node:stream';
import { createTarDecoder } from 'modern-tar';
import { DataError, messageOf, oneLine } from './errors.js';
import { unpackedBytes } from './unpack.js';

/** Larger files are in none of the archives that are read here. */
const LARGEST_FILE = 1 << 28;

/**
 * The regular files whose name `wanted` accepts, in the order of the archive. Nothing is written anywhere, so names cannot do
 * harm; links and devices are passed over. Throws DataError where the archive is damaged or a file is larger than 256 MiB.
 */
export async function* tarFiles(
  path: string,
  wanted: (name: string) => boolean,
): AsyncGenerator<{ name: string; bytes: Uint8Array }> {
  const chunks = unpackedBytes(path, { maxBytes: Number.MAX_SAFE_INTEGER });
  const raw = Readable.toWeb(Readable.from(chunks)) as ReadableStream<Uint8Array>;
  try {
    for await (const { header, body } of raw.pipeThrough(createTarDecoder({ strict: true }))) {
      if (header.type !== 'file' || !wanted(header.name)) {
        // Read to its end: modern-tar 0.8.6 may wait for ever after a body of some megabytes was cancelled.
        await body.pipeTo(new WritableStream());
        continue;
      }
      if (header.size > LARGEST_FILE)
        throw new DataError(
          `${path}: ${oneLine(header.name)} has ${header.size} bytes, expected at most ${LARGEST_FILE}`,
        );
      yield { name: header.name, bytes: await bytesOf(body, header.size) };
    }
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(`${path}: is not a sound tar archive: ${oneLine(messageOf(error))}`);
  }
}

/** A body as one array; going through a Response takes three times as long, which archives of small files feel. */
async function bytesOf(body: ReadableStream<Uint8Array>, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  let at = 0;
  for await (const chunk of body) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  if (at !== size) throw new Error(`a file ends after ${at} of ${size} bytes`);
  return bytes;
}
