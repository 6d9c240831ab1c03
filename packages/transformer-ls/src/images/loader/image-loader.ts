/**
 * Batches of pictures, read, augmented and normalised ahead of the training by threads of their own.
 *
 * Training calls for a batch in the middle of a step and cannot await it: `next` blocks. So all that the threads share lies in memory
 * that both sides see (batch-ring.ts), batches are asked for by messages, which arrive without the help of the sender's event loop,
 * and what threads report is fetched, not waited for. A slot is made again only after the caller has come back for the batch after
 * it: threads that are ahead have nothing to do, and no more than `prefetch` batches are ever ahead.
 *
 * The order, the augmentation of each picture and the mixing of each batch depend on the seed and the epoch only: the bytes are
 * the same for any number of threads.
 *
 * Shape letters: B pictures, S pixels a side, C classes.
 */
import { DataError } from '../../data/errors.js';
import { rangeOf, type Share, WHOLE } from '../../data/share.js';
import type { ImageSet } from '../image-set.js';
import type { ImageSource } from '../sources.js';
import { type BatchJob, BatchMaker, type BatchPlan, batchOrder, hasTargets } from './batch-maker.js';
import type { BatchOrder } from './batch-order.js';
import { BatchRing, type RingMemory, ringMemory, slotBytes } from './batch-ring.js';
import { type CacheMemory, cacheMemory, DecodedCache } from './decoded-cache.js';
import type { LoaderThreadData } from './loader-thread.js';
import { type ImageProblem, PictureReader } from './picture-reader.js';
import type { PictureView } from './picture-view.js';
import { ThreadCrew } from './thread-crew.js';

/** Valid until the next one is asked for: its memory is used again then. */
export interface ImageBatch {
  /** (B, 3, S, S), normalised. */
  readonly pixels: Float32Array;
  /** (B) */
  readonly labels: Int32Array;
  /** (B, C), what is to be answered where labels alone do not say it: pictures are mixed or labels smoothed; else null. */
  readonly targets: Float32Array | null;
  /** Index of each picture in the set. (B) */
  readonly indices: Int32Array;
}

export interface ImageLoaderOptions {
  /** Opened by the caller, who closes it after the loader. */
  readonly set: ImageSet;
  /** Where threads open the set for themselves; only without threads it may be left out. */
  readonly source?: ImageSource;
  /** Pictures that are used, by their index. Default: all. */
  readonly pictures?: Uint32Array;
  /** Pixels a side. */
  readonly size: number;
  readonly batchSize: number;
  readonly seed: number;
  /**
   * training: shuffled every epoch, endless, full batches only, unreadable pictures replaced by others. evaluation: in their order,
   * the last batch of a pass holds what is left, unreadable pictures are left out.
   */
  readonly view: PictureView;
  /** Which rows of every training batch are made; of mixed pictures whole pairs. Default: all. */
  readonly share?: Share;
  /** 0: the calling thread does the work, and only `nextAsync` works. */
  readonly threads: number;
  /** Batches that are made ahead. Default: 2. */
  readonly prefetch?: number;
  /** Bytes for decoded pictures, kept if the whole set fits. Default: 512 MiB. */
  readonly cacheBytes?: number;
}

/** Where a loader stands; plain JSON. */
export interface ImageLoaderState {
  readonly epoch: number;
  readonly batch: number;
}

const DEFAULT_PREFETCH = 2;
const DEFAULT_CACHE_BYTES = 2 ** 29;
/** Of all batches in memory together. */
const MOST_RING_BYTES = 2 ** 33;
const MOST_THREADS = 64;
/** A set is unusable where more than this share of it cannot be read, and more than a handful. */
export const MOST_UNREADABLE_SHARE = 0.1;
export const UNREADABLE_ALLOWED = 8;

export class ImageLoader {
  /** Of a pass over an evaluation set, too. */
  readonly batchesPerEpoch: number;
  private readonly plan: BatchPlan;
  private readonly order: BatchOrder;
  private readonly ring: BatchRing;
  private readonly crew: ThreadCrew | null = null;
  /** Makes the batches where there are no threads. */
  private readonly maker: BatchMaker | null = null;
  /** Batches in the making or ready, in the order in which they will be given out. */
  private readonly ahead: BatchJob[] = [];
  private readonly freeSlots: number[];
  /** Slot of the batch that the caller has. */
  private givenOut: number | null = null;
  /** The next batch to be given out, and to be asked for. */
  private position: ImageLoaderState = { epoch: 0, batch: 0 };
  private asked: ImageLoaderState = { epoch: 0, batch: 0 };
  private readonly unreadable = new Map<number, string>();
  private failure: Error | null = null;
  private isClosed = false;

  /** @throws DataError, RangeError in one line where the options do not fit the set, one another or this machine */
  constructor(private readonly options: ImageLoaderOptions) {
    const { set, size, batchSize, seed, view, threads, share = WHOLE } = options;
    const pictures = options.pictures ?? Uint32Array.from({ length: set.labels.length }, (_, i) => i);
    checkOptions(options, pictures);
    this.plan = { pictures, batchSize, size, seed, view, share };
    this.order = batchOrder(this.plan);
    this.batchesPerEpoch = this.order.batchesPerEpoch;
    if (this.batchesPerEpoch < 1)
      throw new DataError(
        `${set.name}: ${pictures.length} pictures fill no batch of ${batchSize}; lower batchSize`,
      );
    const slots = (options.prefetch ?? DEFAULT_PREFETCH) + 1;
    const targetClasses = hasTargets(this.plan) ? set.classes.length : 0;
    const rows = rangeOf(Math.min(batchSize, pictures.length), share).count;
    const shape = { slots, batchSize: rows, size, targetClasses };
    if (slots * slotBytes(shape) > MOST_RING_BYTES)
      throw new RangeError(
        `${slots} batches of ${batchSize} pictures of ${size} x ${size} take ${gib(slots * slotBytes(shape))}, expected at most ${gib(MOST_RING_BYTES)}; lower batchSize or prefetch`,
      );
    const memory = ringMemory(shape);
    this.ring = new BatchRing(memory);
    this.freeSlots = Array.from({ length: slots }, (_, slot) => slot);
    const cacheBytes = options.cacheBytes ?? DEFAULT_CACHE_BYTES;
    const cache = cacheBytes === 0 ? null : cacheMemory(set.labels.length, cacheBytes);
    if (threads === 0) this.maker = this.ownMaker(cache);
    else this.crew = this.startThreads(memory, cache);
  }

  /** The next batch; blocks until it is ready. @throws DataError in one line where there can be none */
  next(): ImageBatch {
    if (this.crew === null) throw new Error('a loader without threads cannot be waited for; use nextAsync');
    const job = this.prepare();
    for (;;) {
      const moment = this.ring.signal.moment();
      const batch = this.readyBatch(job);
      if (batch !== undefined) return batch;
      this.ring.signal.wait(moment);
    }
  }

  /** The next batch, without blocking. One at a time: the batch before is no longer valid. @throws DataError as `next` does */
  async nextAsync(): Promise<ImageBatch> {
    const job = this.prepare();
    for (;;) {
      const moment = this.ring.signal.moment();
      const batch = this.readyBatch(job);
      if (batch !== undefined) return batch;
      const woken = this.ring.signal.waitAsync(moment);
      await (this.crew === null ? woken : this.crew.whileAwaited(woken));
    }
  }

  /** Pictures that could not be used so far, each once, in the order in which they were met. */
  get problems(): readonly ImageProblem[] {
    this.hear();
    return Array.from(this.unreadable, ([index, message]) => ({ index, message }));
  }

  /** Where the next batch lies. */
  state(): ImageLoaderState {
    return this.position;
  }

  /** Goes on from a place. @throws DataError for one that the set does not have */
  restore({ epoch, batch }: ImageLoaderState): void {
    const valid = Number.isSafeInteger(epoch) && epoch >= 0 && Number.isSafeInteger(batch) && batch >= 0;
    if (!valid || batch > this.batchesPerEpoch)
      throw new DataError(
        `expected a data position up to batch ${this.batchesPerEpoch}, received ${epoch}, ${batch}`,
      );
    if (this.ahead.length > 0)
      throw new Error('a loader can be put elsewhere only before its first batch is asked for');
    this.position = this.asked = { epoch, batch };
  }

  /** Ends all threads. The last batch is no longer valid. */
  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    this.maker?.stop();
    // Who still waits for a batch is told that none will come.
    this.ring.signal.raise();
    await this.crew?.close();
  }

  private ownMaker(memory: CacheMemory | null): BatchMaker {
    const { set } = this.options;
    const cache = memory === null ? null : new DecodedCache(memory);
    return new BatchMaker({
      set,
      plan: this.plan,
      ring: this.ring,
      reader: new PictureReader(set, cache, ({ index, message }) => this.unreadable.set(index, message)),
      part: 0,
      parts: 1,
      onFailure: (error) => {
        this.failure = error instanceof Error ? error : new Error(String(error));
        this.ring.signal.raise();
      },
    });
  }

  private startThreads(ring: RingMemory, cache: CacheMemory | null): ThreadCrew {
    const { set, source, threads } = this.options;
    if (source === undefined) throw new Error('threads need the source of the pictures, expected one');
    const { fingerprint } = set;
    const members = Array.from({ length: threads }, (_, part): LoaderThreadData => {
      return { source, fingerprint, plan: this.plan, ring, cache, part, parts: threads };
    });
    return new ThreadCrew(new URL('./loader-thread.js', import.meta.url), members, ring.signal);
  }

  /** Takes back the last batch and asks for as many as there is room for. */
  private prepare(): BatchJob {
    if (this.isClosed) throw new Error('the loader is closed');
    if (this.givenOut !== null) this.freeSlots.push(this.givenOut);
    this.givenOut = null;
    for (let slot = this.freeSlots.shift(); slot !== undefined; slot = this.freeSlots.shift()) {
      this.asked = this.wrapped(this.asked);
      const job = { slot, ...this.asked };
      this.ring.begin(slot, this.order.rows(job.batch));
      this.crew?.tell(job);
      this.maker?.accept(job);
      this.ahead.push(job);
      this.asked = { epoch: job.epoch, batch: job.batch + 1 };
    }
    return this.ahead[0]!;
  }

  /** The same place, as the first batch of an epoch where it is behind the last of the one before. */
  private wrapped({ epoch, batch }: ImageLoaderState): ImageLoaderState {
    return batch === this.batchesPerEpoch ? { epoch: epoch + 1, batch: 0 } : { epoch, batch };
  }

  /** The batch, if it is ready. @throws DataError where no more will come */
  private readyBatch({ slot, epoch, batch }: BatchJob): ImageBatch | undefined {
    if (this.isClosed) throw new Error('the loader is closed');
    this.hear();
    if (this.failure !== null) throw this.failure;
    const rows = this.ring.readyRows(slot);
    if (rows === undefined) return undefined;
    this.ahead.shift();
    this.givenOut = slot;
    this.position = { epoch, batch: batch + 1 };
    const { pixels, labels, indices, targets } = this.ring.slots[slot]!;
    return {
      pixels: pixels.subarray(0, 3 * this.plan.size ** 2 * rows),
      labels: labels.subarray(0, rows),
      targets: targets.length === 0 ? null : targets,
      indices: indices.subarray(0, rows),
    };
  }

  /** What threads have reported in the meantime. */
  private hear(): void {
    for (const problem of this.crew?.received() ?? []) {
      const { index, message } = problem as ImageProblem;
      this.unreadable.set(index, message);
    }
    if (this.failure === null && this.ring.signal.isAlarmed()) {
      const [reason] = this.crew?.failures() ?? [];
      this.failure = new DataError(`a thread that loads pictures has failed: ${reason}`);
    }
    this.failure ??= this.tooManyUnreadable();
  }

  private tooManyUnreadable(): DataError | null {
    const { pictures } = this.plan;
    const { size: count } = this.unreadable;
    if (count <= UNREADABLE_ALLOWED || count <= MOST_UNREADABLE_SHARE * pictures.length) return null;
    const [first] = this.unreadable.values();
    return new DataError(
      `${this.options.set.name}: ${count} of ${pictures.length} pictures are unreadable so far, expected at most ${100 * MOST_UNREADABLE_SHARE} %; the first: ${first}`,
    );
  }
}

function checkOptions(
  { set, size, batchSize, threads, prefetch, cacheBytes }: ImageLoaderOptions,
  pictures: Uint32Array,
): void {
  checkWhole('size', size, 1, 2 ** 14);
  checkWhole('batchSize', batchSize, 1, 2 ** 20);
  checkWhole('threads', threads, 0, MOST_THREADS);
  checkWhole('prefetch', prefetch ?? DEFAULT_PREFETCH, 1, 2 ** 10);
  checkWhole('cacheBytes', cacheBytes ?? DEFAULT_CACHE_BYTES, 0, 2 ** 36);
  const unknown = pictures.find((index) => index >= set.labels.length);
  if (unknown !== undefined)
    throw new RangeError(`${set.name}: expected pictures below ${set.labels.length}, received ${unknown}`);
}

function checkWhole(name: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max)
    throw new RangeError(`${name}: expected a whole number from ${min} to ${max}, received ${value}`);
}

function gib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
