/**
 * Batches of examples with their padding: in an order that a seed determines, epoch after epoch, resumable anywhere.
 *
 * Shape letters: B examples, L tokens of the longest.
 */
import { DataError } from '../data/errors.js';
import { Random, shuffledIndices } from '../data/random.js';
import { rowsOf, type Share, WHOLE } from '../data/share.js';
import { type ExampleReader, type ExampleSet, type Split, splits } from './example-set.js';

/** Sequences side by side: ids (B, L) row by row, 0 behind the end of each. */
export interface PaddedSequences {
  readonly ids: Int32Array;
  readonly length: number;
  /** Tokens that are not padding. */
  readonly tokens: number;
}

export interface ExampleBatch {
  /** One, or two where examples are pairs. */
  readonly documents: readonly PaddedSequences[];
  readonly labels: Int32Array;
}

/** How documents become rows. */
export interface Padding {
  /** Tokens of a document that are read. */
  readonly documentLength: number;
  /** Length that every row is padded to; null: that of the longest in the batch. */
  readonly paddedLength: number | null;
}

/** An example by its place. */
export interface ExamplePlace {
  readonly split: Split;
  readonly index: number;
}

/** Reads some examples. */
export function readBatch(
  set: ExampleReader,
  places: readonly ExamplePlace[],
  padding: Padding,
): ExampleBatch {
  const examples = places.map(({ split, index }) => set.example(split, index, padding.documentLength));
  const inputs = examples[0]?.documents.length ?? 0;
  const documents = Array.from({ length: inputs }, (_, which) =>
    padded(
      examples.map(({ documents }) => documents[which]!),
      padding.paddedLength,
    ),
  );
  return { documents, labels: Int32Array.from(examples, ({ label }) => label) };
}

/** Token ids are bytes + 1; an empty document gets one padding row, so that every batch has a length. */
export function padded(documents: readonly Uint8Array[], paddedLength: number | null): PaddedSequences {
  const longest = documents.reduce((most, { length }) => Math.max(most, length), 1);
  const length = paddedLength ?? longest;
  const ids = new Int32Array(documents.length * length);
  let tokens = 0;
  for (const [row, document] of documents.entries()) {
    document.forEach((byte, place) => {
      ids[row * length + place] = byte + 1;
    });
    tokens += document.length;
  }
  return { ids, length, tokens };
}

export interface ExampleBatchesOptions {
  readonly set: ExampleSet;
  /** Parts of the set that are drawn from. */
  readonly splits: readonly Split[];
  readonly batchSize: number;
  readonly seed: number;
  readonly padding: Padding;
  /** Which rows of every batch are read. Default: all. */
  readonly share?: Share;
}

/** Where a stream of batches stands; plain JSON. */
export interface ExampleBatchesState {
  readonly epoch: number;
  readonly batch: number;
}

/** Batches whose examples are sorted by length together: so many that chance still mixes them. */
const BATCHES_OF_A_POOL = 64;

/**
 * Every epoch all examples in a new order, without the rest that fills no batch. Where rows are padded to the longest of their batch,
 * examples of like length come together: pools of 64 batches are sorted, cut, and their batches shuffled.
 */
export class ExampleBatches {
  readonly batchesPerEpoch: number;
  private readonly places: readonly ExamplePlace[];
  /** Tokens of each place, as read. */
  private readonly lengths: readonly number[];
  private epoch = 0;
  private batch = 0;
  private order: Uint32Array;
  /** Of every batch. */
  private readonly rows: Uint32Array;

  constructor(private readonly options: ExampleBatchesOptions) {
    const { set, splits, batchSize, share = WHOLE } = options;
    this.rows = rowsOf(batchSize, share);
    this.places = placesOf(set, splits);
    this.lengths = this.places.map((place) => this.lengthOf(place));
    this.batchesPerEpoch = Math.floor(this.places.length / batchSize);
    if (this.batchesPerEpoch < 1)
      throw new DataError(
        `${set.record.task}: ${this.places.length} training examples fill no batch of ${batchSize}; lower batchSize`,
      );
    this.order = this.orderOf(0);
  }

  next(): ExampleBatch {
    if (this.batch === this.batchesPerEpoch) {
      this.epoch += 1;
      this.batch = 0;
      this.order = this.orderOf(this.epoch);
    }
    const { set, batchSize, padding } = this.options;
    const start = this.batch * batchSize;
    this.batch += 1;
    const places = Array.from(this.rows, (row) => this.places[this.order[start + row]!]!);
    return readBatch(set, places, padding);
  }

  state(): ExampleBatchesState {
    return { epoch: this.epoch, batch: this.batch };
  }

  /** Throws DataError for a place that the data do not have. */
  restore({ epoch, batch }: ExampleBatchesState): void {
    const valid = Number.isSafeInteger(epoch) && epoch >= 0 && Number.isSafeInteger(batch) && batch >= 0;
    if (!valid || batch > this.batchesPerEpoch)
      throw new DataError(
        `expected a data position up to batch ${this.batchesPerEpoch}, received ${epoch}, ${batch}`,
      );
    [this.epoch, this.batch] = [epoch, batch];
    this.order = this.orderOf(epoch);
  }

  private orderOf(epoch: number): Uint32Array {
    const { seed, batchSize, padding } = this.options;
    const random = new Random(seed, epoch);
    const order = shuffledIndices(this.places.length, random);
    if (padding.paddedLength !== null) return order;
    const used = this.batchesPerEpoch * batchSize;
    const pool = BATCHES_OF_A_POOL * batchSize;
    for (let start = 0; start < used; start += pool)
      this.groupByLength(order.subarray(start, Math.min(used, start + pool)), random);
    return order;
  }

  private groupByLength(pool: Uint32Array, random: Random): void {
    const { batchSize } = this.options;
    // Sorting keeps the order of chance among equal lengths: that of the set may go by label, and most long documents are cut alike.
    const sorted = pool.slice().sort((a, b) => this.lengths[a]! - this.lengths[b]!);
    const batches = shuffledIndices(pool.length / batchSize, random);
    for (const [place, batch] of batches.entries())
      pool.set(sorted.subarray(batch * batchSize, (batch + 1) * batchSize), place * batchSize);
  }

  private lengthOf({ split, index }: ExamplePlace): number {
    const { documentLength } = this.options.padding;
    const lengths = this.options.set.lengths(split, index);
    return lengths.reduce((sum, length) => sum + Math.min(documentLength, length), 0);
  }
}

export function placesOf(set: ExampleSet, parts: readonly Split[]): ExamplePlace[] {
  return parts.flatMap((split) => Array.from({ length: set.count(split) }, (_, index) => ({ split, index })));
}

/** Some examples of a part, or all where it has no more: chosen by the seed, since the first ones may all have one label. */
export function chosenPlaces(
  set: ExampleSet,
  split: Split,
  { count, seed }: { readonly count: number | undefined; readonly seed: number },
): ExamplePlace[] {
  const order = shuffledIndices(set.count(split), new Random(seed, splits.indexOf(split)));
  return Array.from(order.subarray(0, count).sort(), (index) => ({ split, index }));
}
