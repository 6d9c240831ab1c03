/**
 * Retrieval: does one paper cite the other? Read from
 * - the tables of Long Range Arena, `new_aan_pairs.{train,eval,test}.tsv` (label, id, id, text, text),
 * - or pairs of ids beside a file of documents, `aan.pairs.{train,val,test}.tsv` and `aan.documents.jsonl.gz`.
 */
import { DataError, messageOf, oneLine } from '../data/errors.js';
import { fieldsOf, linesOf } from '../data/lines.js';

export interface PaperPair {
  readonly texts: readonly [Uint8Array, Uint8Array];
  /** 1 = the first cites the second */
  readonly label: number;
}

/** Pairs of a Long Range Arena table, whose texts are Python byte strings or plain. */
export async function* pairsOfTable(path: string): AsyncGenerator<PaperPair> {
  let number = 0;
  for await (const line of linesOf(path)) {
    number += 1;
    const [label, , , first, second] = fieldsOf(line, 4);
    if (first === undefined || second === undefined)
      throw new DataError(`${path}: line ${number}: expected label, two ids and two texts between tabs`);
    yield { texts: [first, second], label: labelOf(label!, path, number) };
  }
}

/** Documents by id, from lines `{"id", "text"}`. */
export async function readDocuments(path: string): Promise<Map<string, Uint8Array>> {
  const documents = new Map<string, Uint8Array>();
  const encoder = new TextEncoder();
  let number = 0;
  for await (const line of linesOf(path)) {
    number += 1;
    const { id, text } = parsed(line, path, number);
    if (typeof id !== 'string' || typeof text !== 'string')
      throw new DataError(`${path}: line ${number}: expected {"id": "…", "text": "…"}`);
    documents.set(id, encoder.encode(text));
  }
  return documents;
}

/** Pairs by id: label, id, id. */
export async function* pairsOfIds(
  path: string,
  documents: ReadonlyMap<string, Uint8Array>,
): AsyncGenerator<PaperPair> {
  let number = 0;
  const decoder = new TextDecoder();
  for await (const line of linesOf(path)) {
    number += 1;
    const [label, ...ids] = fieldsOf(line, 2);
    const [first, second] = ids.map((id) => documents.get(decoder.decode(id)));
    if (first === undefined || second === undefined)
      throw new DataError(
        `${path}: line ${number}: expected label and two ids of known documents between tabs`,
      );
    yield { texts: [first, second], label: labelOf(label!, path, number) };
  }
}

/** `0`, `1`, or the `0.0` and `1.0` of the published tables. */
function labelOf(field: Uint8Array, path: string, number: number): number {
  const [, label] = /^([01])(?:\.0*)?$/.exec(new TextDecoder().decode(field)) ?? [];
  if (label !== undefined) return Number(label);
  throw new DataError(`${path}: line ${number}: expected a label 0 or 1`);
}

function parsed(line: Uint8Array, path: string, number: number): { id?: unknown; text?: unknown } {
  try {
    return JSON.parse(new TextDecoder().decode(line)) ?? {};
  } catch (error) {
    throw new DataError(`${path}: line ${number}: ${oneLine(messageOf(error))}`);
  }
}
