/** Dictionaries of corpora and files; what they are is in `formats`. */
import { readFileSync, statSync } from 'node:fs';
import { FairseqDictionary, type SymbolStyle, VocabularyError } from '@transformer-ls/formats';
import type { ByteCorpus } from './byte-corpus.js';
import { writeDurably } from './durable-file.js';
import { DataError, fileError } from './errors.js';

export {
  byteVocabulary,
  type DictionaryEntry,
  FairseqDictionary,
  type SymbolStyle,
  type Vocabulary,
} from '@transformer-ls/formats';

/** Bytes of a dictionary. */
export const LARGEST_DICTIONARY = 1 << 20;

/** Counts the bytes of a split, normally `train`, reading it once. */
export function dictionaryOfCorpus(corpus: ByteCorpus, style: SymbolStyle): FairseqDictionary {
  return FairseqDictionary.fromCounts(countBytes(corpus), style);
}

/** @throws DataError in one line */
export function readDictionary(path: string, style: SymbolStyle): FairseqDictionary {
  try {
    return FairseqDictionary.parse(readSmallText(path), style, path);
  } catch (error) {
    throw error instanceof VocabularyError ? new DataError(error.message) : error;
  }
}

export async function writeDictionary(path: string, dictionary: FairseqDictionary): Promise<void> {
  await writeDurably(path, [Buffer.from(dictionary.toText())]);
}

/** How often each byte value occurs in a split: 256 counts. */
export function countBytes(corpus: ByteCorpus): Float64Array {
  const counts = new Float64Array(256);
  const buffer = new Uint8Array(1 << 20);
  for (let offset = 0; offset < corpus.length; offset += buffer.length) {
    const chunk = corpus.read(offset, Math.min(buffer.length, corpus.length - offset), buffer);
    for (let i = 0; i < chunk.length; i++) counts[chunk[i]!]! += 1;
  }
  return counts;
}

function readSmallText(path: string): string {
  try {
    const stats = statSync(path);
    if (!stats.isFile()) throw new DataError(`${path}: expected a dictionary file, found something else`);
    if (stats.size > LARGEST_DICTIONARY) {
      throw new DataError(`${path}: ${stats.size} bytes, a dictionary has at most ${LARGEST_DICTIONARY}`);
    }
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw fileError('read', path, error);
  }
}
