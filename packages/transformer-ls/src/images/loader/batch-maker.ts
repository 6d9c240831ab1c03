/**
 * Makes batches, or the share of one thread in them: row r of every batch is made by thread r modulo their number. What a batch
 * holds depends on the plan and on its epoch and number only, so that it is the same however many threads there are.
 */
import { Random } from '../../data/random.js';
import type { Share } from '../../data/share.js';
import { drawMixing, mixPictures, writeTargets } from '../augment/mixing.js';
import type { ImageSet } from '../image-set.js';
import { BatchOrder } from './batch-order.js';
import type { BatchRing, BatchSlot } from './batch-ring.js';
import type { PictureReader } from './picture-reader.js';
import { type PictureView, type PictureWriter, pictureWriter } from './picture-view.js';

/** What all threads must know; plain data. */
export interface BatchPlan {
  /** Pictures that are used, by their index in the set. */
  readonly pictures: Uint32Array;
  readonly batchSize: number;
  /** Pixels a side. */
  readonly size: number;
  readonly seed: number;
  readonly view: PictureView;
  /** Which rows of the batches are made at all, where other processes make the others. */
  readonly share?: Share | undefined;
}

/** A batch to be made. */
export interface BatchJob {
  readonly slot: number;
  readonly epoch: number;
  readonly batch: number;
}

export interface BatchMakerOptions {
  readonly set: ImageSet;
  readonly plan: BatchPlan;
  readonly ring: BatchRing;
  readonly reader: PictureReader;
  /** Of `parts` threads this is number `part`. */
  readonly part: number;
  readonly parts: number;
  /** Called where no batch can be made any more. */
  readonly onFailure: (error: unknown) => void;
}

/** One row of a batch. */
interface Row extends BatchJob {
  readonly row: number;
  /** Picture of the set that belongs there. */
  readonly index: number;
}

/** Rows that a thread works on at once: while one is decoded, on a thread of its own, another is augmented. */
const ROWS_AT_ONCE = 3;

/** Instead of the index of a picture that cannot be read. */
const LEFT_OUT = -1;

/** What random numbers are for, so that none serves twice. */
const purposes = { augmentation: 1, replacement: 2, mixing: 3 } as const;

/** What the augmentation of a picture draws from. */
export function augmentationRandom(seed: number, epoch: number, index: number): Random {
  return new Random(seed, epoch, index, purposes.augmentation);
}

export function batchOrder({ pictures, batchSize, seed, view, share }: BatchPlan): BatchOrder {
  return new BatchOrder({ pictures, batchSize, shuffleSeed: view.kind === 'training' ? seed : null, share });
}

/** Whether batches have targets: where labels alone do not say what is to be learned. */
export function hasTargets({ view }: BatchPlan): boolean {
  if (view.kind === 'evaluation') return false;
  const { mixup, cutmix, smoothing } = view.augmentation;
  return mixup > 0 || cutmix > 0 || smoothing > 0;
}

export class BatchMaker {
  private readonly order: BatchOrder;
  private readonly write: PictureWriter;
  private readonly waiting: Row[] = [];
  private running = 0;
  private isStopped = false;

  constructor(private readonly options: BatchMakerOptions) {
    const { view, size } = options.plan;
    this.order = batchOrder(options.plan);
    this.write = pictureWriter(view, size);
  }

  /** Begins with the rows of this thread as soon as those before are done. */
  accept(job: BatchJob): void {
    if (this.isStopped) return;
    const { part, parts } = this.options;
    const pictures = this.order.batch(job.epoch, job.batch);
    for (let row = part; row < pictures.length; row += parts)
      this.waiting.push({ ...job, row, index: pictures[row]! });
    while (this.running < ROWS_AT_ONCE && this.waiting.length > 0) void this.work();
  }

  /** Begins no more rows. */
  stop(): void {
    this.isStopped = true;
    this.waiting.length = 0;
  }

  /** Makes rows until none is waiting. */
  private async work(): Promise<void> {
    this.running += 1;
    try {
      for (let row = this.waiting.shift(); row !== undefined; row = this.waiting.shift()) {
        await this.makeRow(row);
        if (this.options.ring.endRow(row.slot)) this.finish(row);
      }
    } catch (error) {
      this.options.onFailure(error);
    }
    this.running -= 1;
  }

  private async makeRow(row: Row): Promise<void> {
    const { plan, ring, set, reader } = this.options;
    const slot = ring.slots[row.slot]!;
    const { epoch, index } = row;
    const chance = new Random(plan.seed, epoch, index, purposes.replacement);
    const found =
      plan.view.kind === 'training'
        ? await reader.readOrReplace(index, plan.pictures, chance)
        : await reader.read(index);
    slot.indices[row.row] = found?.index ?? LEFT_OUT;
    if (found === undefined) return;
    slot.labels[row.row] = set.labels[found.index]!;
    const random = augmentationRandom(plan.seed, epoch, index);
    this.write(found.image, random, rowOf(slot.pixels, row.row, plan));
  }

  /** What concerns the batch as a whole. */
  private finish({ slot: number, epoch, batch }: Row): void {
    const { plan, ring } = this.options;
    const slot = ring.slots[number]!;
    const rows = closeGaps(slot, this.order.rows(batch), plan);
    const { view, size, seed } = plan;
    if (view.kind === 'training' && hasTargets(plan)) {
      const mixing = drawMixing(view.augmentation, size, new Random(seed, epoch, batch, purposes.mixing));
      mixPictures(slot.pixels, mixing, size);
      const share = mixing.kind === 'none' ? 1 : mixing.share;
      writeTargets(slot.targets, slot.labels, { share, smoothing: view.augmentation.smoothing });
    }
    ring.publish(number, rows);
  }
}

function rowOf(pixels: Float32Array, row: number, { size }: BatchPlan): Float32Array {
  const values = 3 * size * size;
  return pixels.subarray(row * values, (row + 1) * values);
}

/** Moves rows up to where pictures were left out; returns how many there are. */
function closeGaps({ pixels, labels, indices }: BatchSlot, asked: number, plan: BatchPlan): number {
  let rows = 0;
  for (let from = 0; from < asked; from++) {
    if (indices[from] === LEFT_OUT) continue;
    if (from > rows) {
      rowOf(pixels, rows, plan).set(rowOf(pixels, from, plan));
      labels[rows] = labels[from]!;
      indices[rows] = indices[from]!;
    }
    rows += 1;
  }
  return rows;
}
