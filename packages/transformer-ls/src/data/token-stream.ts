import type { ByteCorpus } from './byte-corpus.js';
import { DataError } from './errors.js';
import type { Range } from './share.js';
import { SplitTokens } from './split-tokens.js';
import type { Vocabulary } from './vocabulary.js';

/** One training step: inputs and targets are (batchSize, segmentLength), row by row; batchSize counts the lanes that are read. */
export interface TokenBatch {
  readonly inputs: Int32Array;
  /** The target of a position is the next token of the same lane. */
  readonly targets: Int32Array;
  readonly batchSize: number;
  readonly segmentLength: number;
  /** Passes over the split finished before this batch. */
  readonly epoch: number;
  /** The lanes begin anew: memory of earlier segments does not belong to what comes now. */
  readonly startsNewEpoch: boolean;
}

/** Where a stream stands; plain JSON. */
export interface TokenStreamState {
  readonly epoch: number;
  readonly segment: number;
}

/**
 * Contiguous streams for truncated back-propagation. The split is cut into batchSize equal lanes, and segment k of
 * all lanes makes batch k of an epoch, so memory carried from one batch to the next is always what came just before.
 * Left out of every epoch: the remainder of cutting the split into lanes, and the last tokens of each lane that do
 * not fill a segment. Nothing is shuffled.
 */
export class TokenStream {
  /** Lanes that the split is cut into. */
  readonly batchSize: number;
  /** Those of them that are read. */
  readonly lanes: Range;
  readonly segmentLength: number;
  /** Tokens per lane. */
  readonly laneLength: number;
  readonly segmentsPerEpoch: number;
  readonly #tokens: SplitTokens;
  readonly #window: Int32Array;
  #epoch = 0;
  #segment = 0;

  /** Throws DataError when a lane cannot hold one segment and its last target. */
  constructor(options: {
    corpus: ByteCorpus;
    vocabulary: Vocabulary;
    batchSize: number;
    segmentLength: number;
    /** Lanes that are read, where other processes read the others. Default: all. */
    lanes?: Range;
  }) {
    this.batchSize = positiveInteger('batchSize', options.batchSize);
    this.lanes = options.lanes ?? { first: 0, count: this.batchSize };
    this.segmentLength = positiveInteger('segmentLength', options.segmentLength);
    this.#tokens = new SplitTokens(options.corpus, options.vocabulary);
    this.laneLength = Math.floor(this.#tokens.length / this.batchSize);
    // The last token of a lane is only ever a target: the token after it belongs to another lane.
    this.segmentsPerEpoch = Math.floor((this.laneLength - 1) / this.segmentLength);
    this.#window = new Int32Array(this.segmentLength + 1);
    if (this.segmentsPerEpoch < 1) {
      const { name, split } = options.corpus;
      throw new DataError(
        `${name} ${split} is too short: ${this.#tokens.length} tokens in ${this.batchSize} lanes give ${this.laneLength} ` +
          `each, and segmentLength ${this.segmentLength} needs ${this.segmentLength + 1}; lower batchSize or segmentLength`,
      );
    }
  }

  /** The next batch; after the last of an epoch comes the first of the next. */
  next(): TokenBatch {
    const { segmentLength } = this;
    const { first, count: batchSize } = this.lanes;
    const inputs = new Int32Array(batchSize * segmentLength);
    const targets = new Int32Array(batchSize * segmentLength);
    for (let lane = 0; lane < batchSize; lane++) {
      this.#tokens.read((first + lane) * this.laneLength + this.#segment * segmentLength, this.#window);
      inputs.set(this.#window.subarray(0, segmentLength), lane * segmentLength);
      targets.set(this.#window.subarray(1), lane * segmentLength);
    }
    const { epoch, segment } = this.state();
    this.#advance();
    return { inputs, targets, batchSize, segmentLength, epoch, startsNewEpoch: segment === 0 };
  }

  /** Which batch `next` gives. */
  state(): TokenStreamState {
    return { epoch: this.#epoch, segment: this.#segment };
  }

  /** Goes to where `state` was taken, exactly. Throws DataError for a state that this stream cannot have. */
  restore(state: TokenStreamState): void {
    const { epoch, segment } = state;
    const possible =
      Number.isSafeInteger(epoch) && epoch >= 0 && Number.isSafeInteger(segment) && segment >= 0;
    if (!possible || segment >= this.segmentsPerEpoch) {
      throw new DataError(
        `cannot restore data position epoch ${epoch}, segment ${segment}: an epoch has ${this.segmentsPerEpoch} segments`,
      );
    }
    this.#epoch = epoch;
    this.#segment = segment;
  }

  #advance(): void {
    this.#segment += 1;
    if (this.#segment < this.segmentsPerEpoch) return;
    this.#segment = 0;
    this.#epoch += 1;
  }
}

export function positiveInteger(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new DataError(`${name} must be a positive whole number, found ${value}`);
}
