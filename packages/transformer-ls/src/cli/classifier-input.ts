/** What a classifier is asked about: documents from files, a flag or standard input, and the tokens it reads of them. */
import { createReadStream } from 'node:fs';
import { ListOpsError, parseListOps, withoutBrackets } from '@transformer-ls/formats';
import { DataError, fileError } from '../data/errors.js';
import { sequenceBatch } from '../evaluate/classifier.js';
import { padded } from '../lra/example-batches.js';
import type { SequenceBatch } from '../models/sequence-classifier/model.js';
import type { LoadedClassifier } from '../models/sequence-classifier/weights.js';
import { formatBytes } from '../text/numbers.js';
import { UsageError } from './errors.js';

/** A document and what to call it in a message. */
export interface NamedBytes {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** @throws UsageError where the model compares two documents and not exactly two files are given, or a file and `--text` */
export function checkFiles(
  files: readonly string[],
  { text }: { readonly text?: string },
  { config }: LoadedClassifier,
): void {
  if (config.inputs === 'two' && (files.length !== 2 || text !== undefined))
    throw new UsageError(
      `this model compares two texts: expected two files, received ${text === undefined ? files.length : '--text'}`,
    );
  if (text !== undefined && files.length > 0)
    throw new UsageError('expected a file or --text, received both');
}

/** The documents: of the files, of `--text`, or else of standard input. @throws UsageError or DataError in one line */
export async function documentsOf(
  files: readonly string[],
  { text }: { readonly text?: string },
): Promise<NamedBytes[]> {
  if (text !== undefined) return [{ name: '--text', bytes: new TextEncoder().encode(text) }];
  if (files.length > 0) return Promise.all(files.map(readFile));
  if (process.stdin.isTTY) throw new UsageError('expected a file, --text, or text on standard input');
  const name = 'standard input';
  return [{ name, bytes: await readAll(process.stdin, name) }];
}

async function readFile(name: string): Promise<NamedBytes> {
  try {
    return { name, bytes: await readAll(createReadStream(name), name) };
  } catch (error) {
    throw error instanceof DataError ? error : new UsageError(fileError('read', name, error).message);
  }
}

/** More is no text that a classifier reads. */
const LARGEST_TEXT = 64 * 2 ** 20;

async function readAll(stream: AsyncIterable<Uint8Array>, name: string): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of stream) {
    pieces.push(piece);
    size += piece.length;
    if (size > LARGEST_TEXT)
      throw new DataError(`${name}: expected at most ${formatBytes(LARGEST_TEXT)}, received more`);
  }
  return Buffer.concat(pieces);
}

/** The tokens that a set makes of a document: its bytes, or the words of a ListOps tree. @throws DataError where there are none */
export function tokensOf({ name, bytes }: NamedBytes, set: string | undefined): Uint8Array {
  const isTree = set === 'listops' || set === 'listops-brackets';
  const tokens = isTree ? treeTokens(name, new TextDecoder().decode(bytes), set) : bytes;
  if (tokens.length === 0)
    throw new DataError(`${name}: expected a text of at least one token, received none`);
  return tokens;
}

function treeTokens(name: string, text: string, set: 'listops' | 'listops-brackets'): Uint8Array {
  if (text.trim() === '') return new Uint8Array();
  try {
    const { tokens } = parseListOps(text);
    return set === 'listops' ? withoutBrackets(tokens) : tokens;
  } catch (error) {
    throw error instanceof ListOpsError ? new DataError(`${name}: ${error.message}`) : error;
  }
}

/** As many tokens as the model reads. */
export function readPart(tokens: Uint8Array, { training, config }: LoadedClassifier): Uint8Array {
  return tokens.subarray(0, training?.documentLength ?? config.maxLength);
}

/** Documents as the model takes them, one example. */
export function batchesOf(
  documents: readonly Uint8Array[],
  { model, config }: LoadedClassifier,
): SequenceBatch[] {
  const paddedLength = config.mode === 'reference' ? config.maxLength : null;
  return documents.map((tokens) => sequenceBatch(padded([tokens], paddedLength), 1, model));
}
