/** Which pictures make which batch: a matter of seed and epoch alone. */
import { Random, shuffledIndices } from '../../data/random.js';
import { rowsOf, type Share } from '../../data/share.js';

export interface BatchOrderOptions {
  /** Pictures that are used, by their index in the set. */
  readonly pictures: Uint32Array;
  readonly batchSize: number;
  /** Null: in the order given, and the last batch holds what is left; else shuffled every epoch, without the rest that fills no batch. */
  readonly shuffleSeed: number | null;
  /** Which rows of every batch are made here; needs full batches, so a seed. Default: all. */
  readonly share?: Share | undefined;
}

export class BatchOrder {
  readonly batchesPerEpoch: number;
  private epoch = -1;
  private order: Uint32Array;
  /** Of every batch, where not all are made here. */
  private readonly share: Uint32Array | null;

  constructor(private readonly options: BatchOrderOptions) {
    const { pictures, batchSize, shuffleSeed, share } = options;
    this.share = share === undefined || share.world === 1 ? null : rowsOf(batchSize, share);
    const batches = pictures.length / batchSize;
    this.batchesPerEpoch = shuffleSeed === null ? Math.ceil(batches) : Math.floor(batches);
    this.order = pictures;
  }

  /** Pictures of a batch, as far as they are made here. */
  batch(epoch: number, batch: number): Uint32Array {
    const { batchSize } = this.options;
    const whole = this.orderOf(epoch).subarray(batch * batchSize, (batch + 1) * batchSize);
    return this.share?.map((row) => whole[row]!) ?? whole;
  }

  /** How many they are. */
  rows(batch: number): number {
    const { pictures, batchSize } = this.options;
    if (this.share !== null) return this.share.length;
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
