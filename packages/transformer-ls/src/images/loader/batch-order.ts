/** Which pictures make which batch: a matter of seed and epoch alone. */
import { Random, shuffledIndices } from '../../data/random.js';

export interface BatchOrderOptions {
  /** Pictures that are used, by their index in the set. */
  readonly pictures: Uint32Array;
  readonly batchSize: number;
  /** Null: in the order given, and the last batch holds what is left; else shuffled every epoch, without the rest that fills no batch. */
  readonly shuffleSeed: number | null;
}

export class BatchOrder {
  readonly batchesPerEpoch: number;
  private epoch = -1;
  private order: Uint32Array;

  constructor(private readonly options: BatchOrderOptions) {
    const { pictures, batchSize, shuffleSeed } = options;
    const batches = pictures.length / batchSize;
    this.batchesPerEpoch = shuffleSeed === null ? Math.ceil(batches) : Math.floor(batches);
    this.order = pictures;
  }

  /** Pictures of a batch. */
  batch(epoch: number, batch: number): Uint32Array {
    const { batchSize } = this.options;
    return this.orderOf(epoch).subarray(batch * batchSize, (batch + 1) * batchSize);
  }

  /** How many they are. */
  rows(batch: number): number {
    const { pictures, batchSize } = this.options;
    return Math.min(batchSize, pictures.length - batch * batchSize);
  }

  private orderOf(epoch: number): Uint32Array {
    const { pictures, shuffleSeed } = this.options;
    if (shuffleSeed === null || epoch === this.epoch) return this.order;
    this.epoch = epoch;
    this.order = shuffledIndices(pictures.length, new Random(shuffleSeed, epoch)).map(
      (place) => pictures[place]!,
    );
    return this.order;
  }
}
