/**
 * Memory in which threads make batches and hand them over: a few slots of one batch each, seen by all threads at once, so that
 * nothing is ever copied. Words beside them say how far each slot is.
 *
 * Shape letters: B pictures of a batch, S pixels a side, C classes.
 */

import { SharedSignal, type SignalMemory, signalMemory } from './shared-signal.js';

export interface RingShape {
  readonly slots: number;
  /** B */
  readonly batchSize: number;
  /** S */
  readonly size: number;
  /** C, or 0 where there are no targets. */
  readonly targetClasses: number;
}

/** What is shared; plain data that can be posted to a thread. */
export interface RingMemory {
  readonly shape: RingShape;
  /** Raised when a batch is ready. */
  readonly signal: SignalMemory;
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly slots: readonly SharedArrayBuffer[];
}

/** One batch in the making. */
export interface BatchSlot {
  /** (B, 3, S, S) */
  readonly pixels: Float32Array;
  /** (B) */
  readonly labels: Int32Array;
  /** Index of each picture in the set. (B) */
  readonly indices: Int32Array;
  /** (B, C); none where C is 0. */
  readonly targets: Float32Array;
}

/** Words of each slot: rows that are still being made, and rows of the batch once it is ready (before: NOT_READY). */
const LEFT = 0;
const READY = 1;
const PER_SLOT = 2;
const NOT_READY = -1;

const WORD = 4;

export function slotBytes({ batchSize, size, targetClasses }: RingShape): number {
  return WORD * batchSize * (3 * size * size + 2 + targetClasses);
}

export function ringMemory(shape: RingShape): RingMemory {
  const words = new Int32Array(new SharedArrayBuffer(WORD * PER_SLOT * shape.slots));
  const slots = Array.from({ length: shape.slots }, () => new SharedArrayBuffer(slotBytes(shape)));
  return { shape, signal: signalMemory(), words, slots };
}

export class BatchRing {
  readonly slots: readonly BatchSlot[];
  readonly signal: SharedSignal;

  constructor(private readonly memory: RingMemory) {
    this.signal = new SharedSignal(memory.signal);
    const { batchSize, size, targetClasses } = memory.shape;
    this.slots = memory.slots.map((buffer) => {
      let at = 0;
      const next = (length: number) => {
        at += WORD * length;
        return [buffer, at - WORD * length, length] as const;
      };
      return {
        pixels: new Float32Array(...next(batchSize * 3 * size * size)),
        labels: new Int32Array(...next(batchSize)),
        indices: new Int32Array(...next(batchSize)),
        targets: new Float32Array(...next(batchSize * targetClasses)),
      };
    });
  }

  /** Takes a slot for a batch of so many rows. */
  begin(slot: number, rows: number): void {
    this.store(slot, READY, NOT_READY);
    this.store(slot, LEFT, rows);
  }

  /** A row is made; true where it was the last. */
  endRow(slot: number): boolean {
    return Atomics.sub(this.memory.words, wordOf(slot, LEFT), 1) === 1;
  }

  /** The batch is complete, with so many rows. */
  publish(slot: number, rows: number): void {
    this.store(slot, READY, rows);
    this.signal.raise();
  }

  /** Rows of a complete batch; undefined as long as it is in the making. */
  readyRows(slot: number): number | undefined {
    const rows = Atomics.load(this.memory.words, wordOf(slot, READY));
    return rows === NOT_READY ? undefined : rows;
  }

  private store(slot: number, word: number, value: number): void {
    Atomics.store(this.memory.words, wordOf(slot, word), value);
  }
}

function wordOf(slot: number, word: number): number {
  return PER_SLOT * slot + word;
}
