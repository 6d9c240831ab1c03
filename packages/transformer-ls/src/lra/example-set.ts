/**
 * Prepared classification data on disk: what every task of Long Range Arena becomes, whatever its raw files were.
 *
 * A folder holds
 * - `documents.bin`: all sequences one after the other, one byte a token (token id = byte + 1; 0 is padding),
 * - `documents.offsets`: where each begins, and where the last ends, float64 little-endian,
 * - `<split>.examples`: three uint32 little-endian an example: first document, second document (the first again where there is
 *   one), label,
 * - `set.json`, written last: what the set is, with sizes and SHA-256 of the other files.
 *
 * Of `documents.bin` only the ranges asked for are read, so a set may be larger than memory.
 */
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, fstatSync, fsyncSync, mkdirSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Infer, parseConfigText, schema } from '@transformer-ls/formats';
import { sha256OfFile } from '../data/download.js';
import { removeAbandonedWrites, renameDurably, writeDurably } from '../data/durable-file.js';
import { DataError, fileError, messageOf } from '../data/errors.js';

export const splits = ['train', 'valid', 'test'] as const;
export type Split = (typeof splits)[number];

/** One example on its way into a set, or out of it. */
export interface Example {
  /** One document, or two; one byte a token. */
  readonly documents: readonly Uint8Array[];
  readonly label: number;
}

/** Where examples are read from: a prepared set, or one whose documents are changed on the way. */
export interface ExampleReader {
  /** Tokens of each document of an example. */
  lengths(split: Split, index: number): number[];
  /** @param most tokens of a document; what comes after is not part of it */
  example(split: Split, index: number, most?: number): Example;
}

const MANIFEST = 'set.json';
const DOCUMENTS = 'documents.bin';
const OFFSETS = 'documents.offsets';
const examplesOf = (split: Split) => `${split}.examples`;
const FIELDS = 3;

const { field, integer, nullable, object, oneOf, schemaOf, text } = schema;

const words = schemaOf(
  'a list of words',
  (value): value is string[] => Array.isArray(value) && value.every((word) => typeof word === 'string'),
);
const anyText = schemaOf('a text', (value): value is string => typeof value === 'string');
const fileSchema = object({
  bytes: field('Size.', integer({ min: 0 })),
  sha256: field('SHA-256 in hex.', text()),
});

const setSchema = object({
  format: field('Version of the format.', oneOf('1')),
  task: field('Name of the task.', text()),
  inputs: field('Documents of an example.', oneOf('one', 'two')),
  classes: field('Names of the labels 0, 1, ….', words),
  /** Of the bytes 0, 1, …; empty where tokens are bytes of text. */
  vocabulary: field('Names of the tokens.', words),
  validFrom: field(
    'own: the source has a validation part; train: it was cut from the training part, where published numbers used the test part.',
    oneOf('own', 'train'),
  ),
  reportAs: field('What results on it are called; null: the name of the task.', nullable(text()), null),
  caution: field('What results on it must not be reported as.', anyText),
  source: field('What it was made from.', text()),
  stamp: field('Changes when the source or the settings change.', text()),
  preparedAt: field('Date and time.', text()),
  documents: field(DOCUMENTS, fileSchema),
  offsets: field(OFFSETS, fileSchema),
  train: field(examplesOf('train'), fileSchema),
  valid: field(examplesOf('valid'), fileSchema),
  test: field(examplesOf('test'), fileSchema),
});

export type ExampleSetRecord = Infer<typeof setSchema>;

/** What a set is, apart from its files. */
export type ExampleSetDescription = Pick<
  ExampleSetRecord,
  'task' | 'inputs' | 'classes' | 'vocabulary' | 'validFrom' | 'caution' | 'source' | 'stamp'
> & { readonly reportAs?: string | null };

/** Writes a set document by document, documents to the disk at once; nothing looks finished before `finish`. */
export class ExampleSetWriter {
  readonly #offsets: number[] = [0];
  readonly #examples: Record<Split, number[]> = { train: [], valid: [], test: [] };
  readonly #seen = new Map<string, number>();
  readonly #hash = createHash('sha256');
  readonly #temporary: string;
  readonly #file: number;

  /** Begins in `folder`, which is made where it is missing. @throws DataError where the disk refuses */
  constructor(
    private readonly folder: string,
    private readonly description: ExampleSetDescription,
  ) {
    this.#temporary = join(folder, `${DOCUMENTS}.${randomBytes(6).toString('hex')}.unfinished`);
    try {
      mkdirSync(folder, { recursive: true });
      this.#file = openSync(this.#temporary, 'wx');
    } catch (error) {
      throw fileError('create', this.#temporary, error);
    }
  }

  /** The number of a document, which is kept once however often it is used. */
  addDocument(tokens: Uint8Array): number {
    const digest = createHash('sha256').update(tokens).digest('base64');
    const known = this.#seen.get(digest);
    if (known !== undefined) return known;
    const id = this.#offsets.length - 1;
    try {
      for (let done = 0; done < tokens.length; )
        done += writeSync(this.#file, tokens, done, tokens.length - done);
    } catch (error) {
      throw fileError('write', this.#temporary, error);
    }
    this.#hash.update(tokens);
    this.#offsets.push(this.#offsets[id]! + tokens.length);
    this.#seen.set(digest, id);
    return id;
  }

  /** @throws DataError where the number of documents or the label is not what the set was described to have */
  addExample(split: Split, documents: readonly number[], label: number): void {
    const { inputs, classes } = this.description;
    if (documents.length !== (inputs === 'two' ? 2 : 1))
      throw new DataError(`expected ${inputs} document(s) an example, received ${documents.length}`);
    if (!Number.isInteger(label) || label < 0 || label >= classes.length)
      throw new DataError(`expected a label from 0 to ${classes.length - 1}, received ${label}`);
    this.#examples[split].push(documents[0]!, documents.at(-1)!, label);
  }

  count(split: Split): number {
    return this.#examples[split].length / FIELDS;
  }

  /** Makes all durable, the record last, and opens the set. @throws DataError where a split is empty or the disk refuses */
  async finish(): Promise<ExampleSet> {
    const { folder } = this;
    for (const split of splits)
      if (this.count(split) === 0)
        throw new DataError(`${this.description.task}: the ${split} part is empty`);
    try {
      fsyncSync(this.#file);
      closeSync(this.#file);
      await rm(join(folder, MANIFEST), { force: true });
      await renameDurably(this.#temporary, join(folder, DOCUMENTS));
    } catch (error) {
      throw fileError('write', join(folder, DOCUMENTS), error);
    }
    const record: ExampleSetRecord = {
      format: '1',
      reportAs: null,
      ...this.description,
      preparedAt: new Date().toISOString(),
      documents: { bytes: this.#offsets.at(-1)!, sha256: this.#hash.digest('hex') },
      offsets: await writeHashed(join(folder, OFFSETS), bytesOf(Float64Array.from(this.#offsets))),
      train: await this.#writeSplit('train'),
      valid: await this.#writeSplit('valid'),
      test: await this.#writeSplit('test'),
    };
    const json = `${JSON.stringify(record, null, 2)}\n`;
    await writeDurably(join(folder, MANIFEST), [new TextEncoder().encode(json)]);
    return openExampleSet(folder);
  }

  /** Leaves nothing behind of a set that could not be finished. */
  abandon(): void {
    rmSync(this.#temporary, { force: true });
    try {
      closeSync(this.#file);
    } catch {
      // It was closed already.
    }
  }

  #writeSplit(split: Split) {
    return writeHashed(
      join(this.folder, examplesOf(split)),
      bytesOf(Uint32Array.from(this.#examples[split])),
    );
  }
}

/** A prepared set, opened for reading. */
export class ExampleSet implements ExampleReader {
  readonly #file: number;
  readonly #offsets: Float64Array;
  readonly #examples: Record<Split, Uint32Array>;

  constructor(
    readonly folder: string,
    readonly record: ExampleSetRecord,
    files: { offsets: Float64Array; examples: Record<Split, Uint32Array> },
  ) {
    this.#offsets = files.offsets;
    this.#examples = files.examples;
    this.#file = openSync(join(folder, DOCUMENTS), 'r');
  }

  /** Examples of a split. */
  count(split: Split): number {
    return this.#examples[split].length / FIELDS;
  }

  label(split: Split, index: number): number {
    return this.#examples[split][this.#place(split, index) + 2]!;
  }

  /** Tokens of each document of an example, without reading them. */
  lengths(split: Split, index: number): number[] {
    return this.#documentsOf(split, index).map((id) => this.#offsets[id + 1]! - this.#offsets[id]!);
  }

  /** @param most tokens of a document; what comes after is not read */
  example(split: Split, index: number, most = Number.POSITIVE_INFINITY): Example {
    const documents = this.#documentsOf(split, index).map((id) => this.#document(id, most));
    return { documents, label: this.label(split, index) };
  }

  close(): void {
    closeSync(this.#file);
  }

  #place(split: Split, index: number): number {
    const count = this.count(split);
    if (!Number.isInteger(index) || index < 0 || index >= count)
      throw new DataError(
        `${this.record.task} ${split}: expected an example from 0 to ${count - 1}, received ${index}`,
      );
    return index * FIELDS;
  }

  #documentsOf(split: Split, index: number): number[] {
    const place = this.#place(split, index);
    const [first, second] = this.#examples[split].subarray(place, place + 2);
    return this.record.inputs === 'two' ? [first!, second!] : [first!];
  }

  #document(id: number, most: number): Uint8Array {
    const start = this.#offsets[id]!;
    const tokens = new Uint8Array(Math.min(most, this.#offsets[id + 1]! - start));
    let done = 0;
    while (done < tokens.length) {
      const read = readSync(this.#file, tokens, done, tokens.length - done, start + done);
      if (read === 0) throw new DataError(`${join(this.folder, DOCUMENTS)}: ends too early`);
      done += read;
    }
    return tokens;
  }
}

/** The record of a finished set, or undefined where there is none. @throws DataError where it is damaged */
export async function readExampleSetRecord(folder: string): Promise<ExampleSetRecord | undefined> {
  const path = join(folder, MANIFEST);
  const json = await readFile(path, 'utf8').catch((error) => {
    if (error.code === 'ENOENT') return undefined;
    throw fileError('read', path, error);
  });
  if (json === undefined) return undefined;
  try {
    return parseConfigText(setSchema, json, MANIFEST);
  } catch (error) {
    throw new DataError(`${path}: ${messageOf(error)}`);
  }
}

/**
 * Opens a finished set and checks that its parts fit together.
 *
 * @param verify check the SHA-256 of every file too
 * @throws DataError in one line
 */
export async function openExampleSet(folder: string, verify = false): Promise<ExampleSet> {
  const record = await readExampleSetRecord(folder);
  if (record === undefined) throw new DataError(`${folder}: holds no prepared set (${MANIFEST} is missing)`);
  const load = async (name: string, file: { bytes: number; sha256: string }, each: number) => {
    const path = join(folder, name);
    const bytes = await readFile(path).catch((error) => {
      throw fileError('read', path, error);
    });
    if (bytes.length !== file.bytes || bytes.length % each !== 0 || (verify && hashOf(bytes) !== file.sha256))
      throw damaged(path);
    return Uint8Array.from(bytes).buffer;
  };
  const offsets = new Float64Array(await load(OFFSETS, record.offsets, Float64Array.BYTES_PER_ELEMENT));
  const table = async (split: Split) =>
    new Uint32Array(await load(examplesOf(split), record[split], Uint32Array.BYTES_PER_ELEMENT));
  const examples = {
    train: await table('train'),
    valid: await table('valid'),
    test: await table('test'),
  };
  checkTables(folder, record, offsets, examples);
  const documents = join(folder, DOCUMENTS);
  if (verify && (await sha256OfFile(documents)) !== record.documents.sha256) throw damaged(documents);
  return new ExampleSet(folder, record, { offsets, examples });
}

function checkTables(
  folder: string,
  record: ExampleSetRecord,
  offsets: Float64Array,
  examples: Record<Split, Uint32Array>,
): void {
  const documents = offsets.length - 1;
  const rising = offsets.every(
    (offset, i) => Number.isSafeInteger(offset) && (i === 0 || offset >= offsets[i - 1]!),
  );
  if (documents < 0 || offsets[0] !== 0 || !rising || offsets[documents] !== record.documents.bytes)
    throw damaged(join(folder, OFFSETS));
  for (const split of splits)
    if (!areExamples(examples[split], documents, record.classes.length))
      throw damaged(join(folder, examplesOf(split)));
  const path = join(folder, DOCUMENTS);
  const file = openSync(path, 'r');
  try {
    if (fstatSync(file).size !== record.documents.bytes) throw damaged(path);
  } finally {
    closeSync(file);
  }
}

function areExamples(table: Uint32Array, documents: number, classes: number): boolean {
  return (
    table.length % FIELDS === 0 && table.every((value, i) => value < (i % FIELDS === 2 ? classes : documents))
  );
}

function damaged(path: string): DataError {
  return new DataError(`${path}: is damaged; prepare the set again`);
}

async function writeHashed(path: string, bytes: Uint8Array): Promise<{ bytes: number; sha256: string }> {
  await removeAbandonedWrites(path);
  await writeDurably(path, [bytes]);
  return { bytes: bytes.length, sha256: hashOf(bytes) };
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function bytesOf(values: Float64Array | Uint32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
