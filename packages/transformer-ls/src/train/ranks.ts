/**
 * The processes that train one model together, as the trainer sees them; a process alone is the same with nothing to exchange. Every
 * process must come to the same calls in the same order.
 */

import { setTimeout as wait } from 'node:timers/promises';
import { ConfigError } from '@transformer-ls/formats';
import {
  cat,
  DistributedError,
  distributedBackends,
  emptyLike,
  GradientBuckets,
  keep,
  type Membership,
  meet,
  noGrad,
  ProcessGroup,
  type Store,
  scope,
  type Tensor,
  tensor,
  type Work,
  zeros,
} from '@transformer-ls/torch';
import { type Share, WHOLE } from '../data/share.js';
import { MANY, sumOfFew } from './sum-of-few.js';

export interface RanksOptions {
  /** After how long a process that waits for another one gives up. */
  readonly timeoutSeconds: number;
  /** Whether sums of gradients begin during the backward pass. Default true. */
  readonly overlap?: boolean;
  /** Ends the waiting for what the first process has not said yet. */
  readonly signal?: AbortSignal;
  /** How many neighbouring processes share every sequence, each with a stretch of it. Default 1. */
  readonly perSequence?: number;
  /** Whether a launcher has started the processes again: those it started before may be about to end. Default false. */
  readonly areRestarted?: boolean;
}

/** Sums gradients over the processes; see `GradientBuckets`. */
export interface GradientSum {
  begin(): void;
  finish(): void;
}

const ALONE_SUM: GradientSum = { begin: () => undefined, finish: () => undefined };

/** In place of a length: the first process is still finding out what the others wait for. */
const STILL_AT_IT = -1;

/**
 * Bytes of gradients that Gloo sums at once. Small ones begin early; but in a ring of many each process's share of a bucket must take longer
 * to send than a message takes anyway, which on 10 Gbit/s Ethernet are some 160 KiB.
 */
function bucketBytes(world: number): number {
  return Math.max(4 * 2 ** 20, world * 160 * 2 ** 10);
}

export class Ranks {
  /** A process that trains alone. */
  static readonly alone = new Ranks(WHOLE, 0, 1, null);

  private constructor(
    readonly share: Share,
    readonly localRank: number,
    /** Processes of this machine. */
    readonly localWorld: number,
    private readonly joined: {
      readonly options: RanksOptions;
      readonly store: Store;
      /** For tensors on the CPU. */
      readonly group: ProcessGroup;
      /** The same of those that share a sequence; null where each has its own. */
      readonly sequenceGroup: ProcessGroup | null;
    } | null,
  ) {}

  /** Meets the others and connects to them. @throws DistributedError in one line */
  static join(membership: Membership, options: RanksOptions): Ranks {
    const { rank, world, localRank, localWorld } = membership;
    if (!distributedBackends().gloo)
      throw new DistributedError('this libtorch has no Gloo: several processes need one with it', 'other');
    const { timeoutSeconds } = options;
    const place = meet(membership, timeoutSeconds);
    const group = new ProcessGroup({ backend: 'gloo', rank, world, timeoutSeconds, ...place });
    const { perSequence = 1 } = options;
    if (world % perSequence !== 0)
      throw new ConfigError([
        `--sequence-parallel: ${world} processes cannot be divided into groups of ${perSequence} for each sequence`,
      ]);
    const sequenceGroup =
      perSequence === 1
        ? null
        : new ProcessGroup({
            ...place,
            backend: 'gloo',
            store: place.store.under(`sequence/${Math.floor(rank / perSequence)}`),
            rank: rank % perSequence,
            world: perSequence,
            timeoutSeconds,
          });
    const joined = { options, store: place.store, group, sequenceGroup };
    return new Ranks({ rank, world }, localRank, localWorld, joined);
  }

  /** How many processes share every sequence. */
  get perSequence(): number {
    return this.joined?.sequenceGroup?.world ?? 1;
  }

  /** Which rows of every batch are trained here: those who share a sequence have the same. */
  get rowShare(): Share {
    const { rank, world } = this.share;
    return { rank: Math.floor(rank / this.perSequence), world: world / this.perSequence };
  }

  /** Those with whom this process shares its sequences; null where it has them alone. */
  sequenceGroup(device: string): ProcessGroup | null {
    if (this.joined === null || this.joined.sequenceGroup === null) return null;
    const { sequenceGroup, store, options } = this.joined;
    if (device === 'cpu' || !distributedBackends().nccl) return sequenceGroup;
    const { rank, world } = sequenceGroup;
    return new ProcessGroup({
      backend: 'nccl',
      store: store.under(`sequence-nccl/${this.rowShare.rank}`),
      rank,
      world,
      timeoutSeconds: options.timeoutSeconds,
    });
  }

  /** Runs a pass that may talk to those who share a sequence. @throws DistributedError where one has ended or does not answer */
  exchanging<T>(doing: string, run: () => T): T {
    const group = this.joined?.sequenceGroup ?? null;
    return group === null ? run() : group.exchanging(doing, run);
  }

  /** The one that writes. */
  get isFirst(): boolean {
    return this.share.rank === 0;
  }

  /** Seconds for which others that were started before may still hold what these need. */
  get patience(): number {
    const { areRestarted = false, timeoutSeconds = 0 } = this.joined?.options ?? {};
    return areRestarted ? timeoutSeconds : 0;
  }

  /** Sums of some numbers over all processes. */
  sum(values: readonly number[]): number[] {
    if (this.joined === null) return [...values];
    const { group } = this.joined;
    if (this.share.world >= MANY) return sumOfFew(group, values);
    return scope(() => {
      const sums = tensor(Float64Array.from(values));
      group.allReduce(sums).wait();
      return Array.from(sums.toTypedArray() as Float64Array);
    });
  }

  /** The numbers of all processes, one row each. */
  each(values: readonly number[]): number[][] {
    if (this.joined === null) return [[...values]];
    const { group } = this.joined;
    return scope(() => {
      const { tensors, work } = group.allGather(tensor(Float64Array.from(values)));
      work.wait();
      return tensors.map((one) => Array.from(one.toTypedArray() as Float64Array));
    });
  }

  /** Bytes of all processes, equally many of each, by rank; to the first one only, nothing to the others. */
  gatherBytes(bytes: Uint8Array): Uint8Array[] {
    if (this.joined === null) return [bytes];
    const { group } = this.joined;
    return scope(() => {
      const { tensors, work } = group.allGather(tensor(bytes));
      work.wait();
      return this.isFirst ? tensors.map((one) => one.toTypedArray() as Uint8Array) : [];
    });
  }

  /** Gives all processes the first one's values of these tensors, in place. */
  broadcast(tensors: Iterable<Tensor>): void {
    if (this.joined === null) return;
    const { group } = this.joined;
    noGrad(() => {
      for (const one of tensors)
        scope(() => {
          const onCpu = one.to({ device: 'cpu' }).contiguous();
          if (onCpu.numel === 0) return;
          group.broadcast(onCpu).wait();
          if (!this.isFirst) one.copy_(onCpu);
        });
    });
  }

  /** Replaces tensors of one dtype by their means over all processes. */
  average(tensors: readonly Tensor[]): void {
    if (this.joined === null || tensors.length === 0) return;
    const { group } = this.joined;
    noGrad(() =>
      scope(() => {
        const sums = cat(tensors.map((one) => one.to({ device: 'cpu' }).reshape([-1])));
        group.allReduce(sums).wait();
        sums.mul_(1 / this.share.world);
        let start = 0;
        for (const one of tensors) {
          one.copy_(sums.narrow(0, start, one.numel).reshape([...one.shape]));
          start += one.numel;
        }
      }),
    );
  }

  /**
   * Tensors whose first axis is divided among the processes, whole again on the CPU: to the first process, which owns them; nothing
   * to the others. All processes have tensors of the same names and shapes; those who share a sequence have the same ones.
   */
  joinFirstAxis(tensors: ReadonlyMap<string, Tensor>): ReadonlyMap<string, Tensor> {
    if (this.joined === null) return tensors;
    const { group } = this.joined;
    const { world } = this.rowShare;
    const { perSequence } = this;
    const isWanted = this.share.rank % perSequence === 0;
    const whole = new Map<string, Tensor>();
    for (const [name, one] of tensors)
      noGrad(() =>
        scope(() => {
          const own = one.to({ device: 'cpu' }).contiguous();
          if (!this.isFirst) {
            if (own.numel > 0 && isWanted) group.send(own, 0).wait();
            return;
          }
          const [rows, ...rest] = own.shape;
          const all = keep(zeros([world * rows!, ...rest], { dtype: own.dtype }));
          whole.set(name, all);
          all.narrow(0, 0, rows!).copy_(own);
          if (own.numel === 0) return;
          for (let rank = 1; rank < world; rank++)
            scope(() => {
              const part = emptyLike(own);
              group.receive(part, rank * perSequence).wait();
              all.narrow(0, rank * rows!, rows!).copy_(part);
            });
        }),
      );
    return whole;
  }

  /** This process's part of such tensors, in the running scope. Works for any number of processes that wrote them. */
  ownOfFirstAxis(tensors: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
    const { rank, world } = this.rowShare;
    const part = (one: Tensor) => {
      const rows = one.size(0) / world;
      return world === 1 ? one : one.narrow(0, rank * rows, rows);
    };
    return new Map([...tensors].map(([name, one]) => [name, part(one)]));
  }

  /** For the parameters of one model, on the device they are on. */
  gradientSum(parameters: readonly Tensor[]): GradientSum {
    if (this.joined === null) return ALONE_SUM;
    const { options, store, group } = this.joined;
    const onGpu = parameters.some(({ device }) => device !== 'cpu') && distributedBackends().nccl;
    const { rank, world } = this.share;
    const { timeoutSeconds } = options;
    const summing = onGpu
      ? new ProcessGroup({ backend: 'nccl', store: store.under('nccl'), rank, world, timeoutSeconds })
      : group;
    const overlap = options.overlap ?? true;
    return new GradientBuckets(
      summing,
      parameters,
      onGpu ? { overlap } : { overlap, bucketBytes: bucketBytes(world) },
    );
  }

  /**
   * What the first process finds out, told to all. The others wait as long as it takes, and hear signals meanwhile; it gives signs of
   * life, so that nobody waits for one that hangs.
   */
  async told<T>(find: () => T | Promise<T>): Promise<T> {
    if (this.joined === null) return find();
    if (!this.isFirst) return this.hear();
    const { timeoutSeconds } = this.joined.options;
    const signs: Work[] = [];
    const sayStillAtIt = () => {
      try {
        signs.push(this.sayNumber(STILL_AT_IT));
      } catch {
        // The group is broken: what is said next will tell.
      }
    };
    const timer = setInterval(sayStillAtIt, 200 * Math.min(50, timeoutSeconds));
    let found: T;
    try {
      found = await find();
    } finally {
      clearInterval(timer);
    }
    const text = Buffer.from(JSON.stringify(found));
    signs.push(this.sayNumber(text.length));
    signs.push(scope(() => this.joined!.group.broadcast(tensor(Uint8Array.from(text)))));
    for (const sign of signs) await this.over(sign);
    return found;
  }

  /** The first process does it alone, then the others do: what it makes on the disk they only read. */
  async firstAlone<T>(action: () => Promise<T>): Promise<T> {
    if (!this.isFirst) {
      await this.hear();
      return action();
    }
    let result: { readonly value: T } | undefined;
    await this.told(async () => {
      result = { value: await action() };
      return null;
    });
    return result!.value;
  }

  /** What the first process tells. */
  private async hear<T>(): Promise<T> {
    for (;;) {
      const length = (await this.heard(tensor([0], { dtype: 'float64' })))[0]!;
      if (length === STILL_AT_IT) continue;
      const bytes = await this.heard(zeros([length], { dtype: 'uint8' }));
      return JSON.parse(Buffer.from(bytes).toString()) as T;
    }
  }

  private async heard(into: Tensor): Promise<ArrayLike<number>> {
    try {
      await this.over(this.joined!.group.broadcast(into));
      return into.toTypedArray() as ArrayLike<number>;
    } finally {
      into.dispose();
    }
  }

  private sayNumber(number: number): Work {
    return scope(() => this.joined!.group.broadcast(tensor([number], { dtype: 'float64' })));
  }

  /** Waits for an operation without blocking. */
  private async over(work: Work): Promise<void> {
    for (let pause = 1; !work.isDone(); pause = Math.min(50, 2 * pause)) {
      await wait(pause);
      this.joined!.options.signal?.throwIfAborted();
    }
    work.wait();
  }

  /**
   * After an error: who has not noticed one either within some seconds, and so is dead, hangs, is slow or cut off. Asks the store, which may
   * not answer: without one, a call may block for minutes.
   */
  async missing(seconds: number): Promise<number[]> {
    if (this.joined === null) return [];
    const { rank, world } = this.share;
    const store = this.joined.store.under('failed');
    store.set(String(rank), 'noticed');
    const end = performance.now() + 1000 * seconds;
    for (;;) {
      const missing = Array.from({ length: world }, (_, one) => one).filter(
        (one) => one !== rank && store.get(String(one)) === null,
      );
      if (missing.length === 0 || performance.now() > end) return missing;
      await wait(200);
    }
  }

  /** Leaves when all have come to the end. Not after an error: who is gone is not waited for. */
  leave(): void {
    this.joined?.group.barrier().wait();
  }
}
