import type { ByteSource } from '../byte-source.js';
import { type PickleHandlers, readPickle } from '../pickle.js';
import { PickleError } from '../pickle-error.js';
import type { PickleValue } from '../pickle-values.js';
import { PthError } from './pth-error.js';
import { sourceBytes } from './source-bytes.js';

/** Bytes of one pickle in a file, weights not counted. */
export const LARGEST_PTH_PICKLE = 2 ** 28;
/** Bytes read at first of a pickle whose length is not known, and how many times more with every further try. */
const FIRST_BYTES = 2 ** 14;
const GROWTH = 4;

/** Reads the pickle at the start of `bytes`; what is wrong with it arrives as PthError that says `where`. */
export function readTorchPickle(
  bytes: Uint8Array,
  handlers: PickleHandlers,
  where: string,
): { value: PickleValue; bytesRead: number } {
  try {
    return readPickle(bytes, handlers);
  } catch (error) {
    if (error instanceof PickleError) throw new PthError('pickle', `${where}: ${error.message}`);
    throw error;
  }
}

/**
 * Reads a pickle of unknown length at `offset`: more and more bytes, until it ends inside them.
 *
 * @param makeHandlers called for every try; the last ones saw the whole pickle
 * @returns the value, those handlers, and where the pickle ends
 */
export async function readPickleAt<T extends PickleHandlers>(
  source: ByteSource,
  offset: number,
  where: string,
  makeHandlers: () => T,
): Promise<{ value: PickleValue; handlers: T; end: number }> {
  const most = Math.min(source.size - offset, LARGEST_PTH_PICKLE);
  for (let length = FIRST_BYTES; ; length *= GROWTH) {
    const bytes = await sourceBytes(source, offset, Math.min(length, most));
    const handlers = makeHandlers();
    try {
      const { value, bytesRead } = readPickle(bytes, handlers);
      return { value, handlers, end: offset + bytesRead };
    } catch (error) {
      if (!(error instanceof PickleError)) throw error;
      const mayGoOn = error.code === 'truncated' && bytes.length < most;
      if (!mayGoOn) throw new PthError('pickle', `${where}: ${error.message}`);
    }
  }
}
