/** What a classifier is asked about: documents from files, a flag or standard input, and the tokens it reads of them. */
import { createReadStream } from 'node:fs';
import { buffer as readAll } from 'node:stream/consumers';
import { sequenceBatch } from '../evaluate/classifier.js';
import { padded } from '../lra/example-batches.js';
import { parseListOps, withoutBrackets } from '../lra/listops.js';
import type { SequenceBatch } from '../models/sequence-classifier/model.js';
import type { LoadedClassifier } from '../models/sequence-classifier/weights.js';
import { UsageError } from './errors.js';

/** The bytes of as many documents as the model takes. */
export async function documentsOf(
  files: readonly string[],
  { text }: { readonly text?: string },
  wanted: number,
): Promise<Uint8Array[]> {
  if (text !== undefined && files.length > 0)
    throw new UsageError('expected a file or --text, received both');
  const documents: Uint8Array[] =
    text === undefined ? await Promise.all(files.map(readFile)) : [new TextEncoder().encode(text)];
  if (documents.length === 0 && wanted === 1) documents.push(await standardInput());
  if (documents.length !== wanted)
    throw new UsageError(`expected ${wanted} text(s) for this model, received ${documents.length}`);
  return documents;
}

async function readFile(path: string): Promise<Uint8Array> {
  try {
    return await readAll(createReadStream(path));
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function standardInput(): Promise<Uint8Array> {
  if (process.stdin.isTTY) throw new UsageError('expected a file, --text, or text on standard input');
  return readAll(process.stdin);
}

/** The tokens that a set makes of a document: its bytes, or the words of a ListOps tree. */
export function tokensOf(document: Uint8Array, set: string | undefined): Uint8Array {
  if (set !== 'listops' && set !== 'listops-brackets') return document;
  const { tokens } = parseListOps(new TextDecoder().decode(document).replace(/\s+/g, ' ').trim());
  return set === 'listops' ? withoutBrackets(tokens) : tokens;
}

/** As many tokens as the model reads. @throws UsageError where there are none */
export function readPart(tokens: Uint8Array, { training, config }: LoadedClassifier): Uint8Array {
  if (tokens.length === 0) throw new UsageError('expected a text of at least one token, received none');
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
