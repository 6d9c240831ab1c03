/** Processes that compute together, and what they do together. Every process must call the same operations in the same order. */
import { noGrad } from '../autograd.js';
import { zerosLike } from '../creation.js';
import type { Tensor } from '../tensor.js';
import { distributed } from './binding.js';
import { guarded, guardedExchange } from './errors.js';
import { milliseconds, type Store } from './store.js';

export type Backend = 'gloo' | 'nccl';

export interface ProcessGroupOptions {
  readonly backend: Backend;
  readonly store: Store;
  /** Number of this process, from 0. */
  readonly rank: number;
  /** How many there are. */
  readonly world: number;
  /** After how long an operation that waits for another process fails. */
  readonly timeoutSeconds: number;
  /** Address on which Gloo listens; default: that of the machine's own name. */
  readonly address?: string | undefined;
  /** Network interfaces that Gloo uses instead. */
  readonly interfaces?: readonly string[] | undefined;
}

/** An operation that is under way. */
export class Work {
  private isOver = false;

  /** @internal */
  constructor(
    private readonly doing: string,
    private readonly number: number,
    private readonly seconds: number,
  ) {}

  /** Whether `wait` would not wait. */
  isDone(): boolean {
    return this.isOver || distributed().isDone(this.number);
  }

  /**
   * Blocks until the operation is done; on a GPU, until what is computed next may use its result. Twice is once.
   *
   * @param seconds how long at most; default: the timeout of the group
   * @throws DistributedError where another process has ended or does not answer
   */
  wait(seconds = this.seconds): void {
    if (this.isOver) return;
    this.isOver = true;
    guarded(this.doing, seconds, () => distributed().waitFor(this.number, milliseconds(seconds)));
  }
}

export class ProcessGroup {
  readonly rank: number;
  readonly world: number;
  readonly backend: Backend;
  readonly timeoutSeconds: number;
  private number: number;

  /** Waits until all processes have come. @throws DistributedError in one line where they do not in time */
  constructor(options: ProcessGroupOptions) {
    const { backend, store, rank, world, timeoutSeconds, address = '', interfaces = [] } = options;
    this.rank = rank;
    this.world = world;
    this.backend = backend;
    this.timeoutSeconds = timeoutSeconds;
    this.number = guarded(`joining ${world} processes as rank ${rank}`, timeoutSeconds, () =>
      distributed().openGroup(
        backend,
        store.handle,
        rank,
        world,
        milliseconds(timeoutSeconds),
        address,
        interfaces,
      ),
    );
  }

  /** Gives every process the root's elements, in place. */
  broadcast(tensor: Tensor, root = 0): Work {
    return this.begin('broadcast', (group) => distributed().broadcast(group, tensor.live('broadcast'), root));
  }

  /** Gives every process the sum over all processes, in place; the same bits to each. */
  allReduce(tensor: Tensor): Work {
    return this.begin('all-reduce', (group) => distributed().allReduce(group, tensor.live('all-reduce')));
  }

  /** Gives every process the tensors of all, by rank; they are alike in shape and dtype. Valid once the work is done. */
  allGather(tensor: Tensor): { readonly tensors: readonly Tensor[]; readonly work: Work } {
    const tensors = noGrad(() => Array.from({ length: this.world }, () => zerosLike(tensor)));
    const handles = tensors.map((one) => one.live('all-gather'));
    const work = this.begin('all-gather', (group) =>
      distributed().allGather(group, handles, tensor.live('all-gather')),
    );
    return { tensors, work };
  }

  /** Sends to one process, which must receive into a tensor of the same shape and dtype. */
  send(tensor: Tensor, to: number, tag = 0): Work {
    return this.begin(`send to rank ${to}`, (group) =>
      distributed().send(group, tensor.live('send'), to, tag),
    );
  }

  receive(tensor: Tensor, from: number, tag = 0): Work {
    return this.begin(`receive from rank ${from}`, (group) =>
      distributed().receive(group, tensor.live('receive'), from, tag),
    );
  }

  /** Done when all processes have come to it. */
  barrier(): Work {
    return this.begin('barrier', (group) => distributed().barrier(group));
  }

  /**
   * Runs something that talks to the others beside its own work, such as operators on a sharded sequence.
   *
   * @throws DistributedError where another process has ended or does not answer; other errors as they are
   */
  exchanging<T>(doing: string, run: () => T): T {
    const { rank, world, timeoutSeconds } = this;
    return guardedExchange(`rank ${rank} of ${world}, ${doing}`, timeoutSeconds, run);
  }

  /**
   * Leaves the group; nothing may be under way. After a DistributedError it is not to be called: closing would wait for what never
   * comes.
   */
  close(): void {
    if (this.number < 0) return;
    distributed().closeGroup(this.number);
    this.number = -1;
  }

  /** @internal */
  get handle(): number {
    return this.number;
  }

  private begin(name: string, start: (group: number) => number): Work {
    const { rank, world, timeoutSeconds } = this;
    const doing = `rank ${rank} of ${world}, ${name}`;
    return new Work(
      doing,
      guarded(doing, timeoutSeconds, () => start(this.number)),
      timeoutSeconds,
    );
  }
}
