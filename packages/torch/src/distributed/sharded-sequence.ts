/**
 * One sequence spread over the processes of a group: each holds a stretch of neighbouring tokens, rank 0 the first one. Operators with
 * their gradients for what a process needs of the others; see native/sequence_parallel.cc.
 *
 * Every process must come to the same operators in the same order, and to a backward pass of all that it has made. The loss of the whole
 * is the sum of the processes' losses: gradients of parameters are then to be summed over the processes, and nothing else.
 *
 * Shape letters: B batch, n tokens of this process, N heads, H head size, R slots.
 */
import { ArgumentError } from '../errors.js';
import { operator } from '../operator.js';
import type { Tensor } from '../tensor.js';
import type { ProcessGroup } from './process-group.js';

type Extend = (
  xs: readonly Tensor[],
  group: number,
  lengths: readonly number[],
  before: readonly number[],
  after: readonly number[],
) => readonly Tensor[];
type Reduce = (x: Tensor, group: number) => Tensor;
type Pool = (
  logits: Tensor,
  keys: Tensor,
  values: Tensor,
  visible: Tensor | null,
  group: number,
) => readonly [Tensor, Tensor];

export class ShardedSequence {
  /** Tokens before those of this process. */
  readonly start: number;
  /** Tokens of this process. */
  readonly own: number;
  /** Tokens of all processes. */
  readonly total: number;

  /** @param lengths tokens of each process, by rank: the same numbers in every process */
  constructor(
    readonly group: ProcessGroup,
    readonly lengths: readonly number[],
  ) {
    if (lengths.length !== group.world)
      throw new ArgumentError(
        `expected the lengths of ${group.world} processes, received ${lengths.length} numbers`,
      );
    const wrong = lengths.find((length) => !Number.isSafeInteger(length) || length < 0);
    if (wrong !== undefined)
      throw new ArgumentError(`expected lengths that are whole numbers of at least 0, received ${wrong}`);
    const sum = (numbers: readonly number[]) => numbers.reduce((total, length) => total + length, 0);
    this.start = sum(lengths.slice(0, group.rank));
    this.own = lengths[group.rank]!;
    this.total = sum(lengths);
  }

  /** Another sequence, of `rows` rows for every `tokens` tokens of this one. @throws ArgumentError where they do not come out even */
  per(tokens: number, rows: number): ShardedSequence {
    const uneven = this.lengths.find((length) => length % tokens !== 0);
    if (uneven !== undefined)
      throw new ArgumentError(
        `expected stretches of whole chunks of ${tokens} tokens, received one of ${uneven}`,
      );
    return new ShardedSequence(
      this.group,
      this.lengths.map((length) => (length / tokens) * rows),
    );
  }

  /**
   * The own rows between the last `before` ones ahead of them and the first `after` ones behind them; fewer at the ends of the
   * sequence. Rows may come from more than the next process. Sent: what the others want of the own rows, once to each.
   *
   * @param x (B, n, …)
   */
  extend(x: Tensor, before: number, after: number): Tensor {
    return extendTogether([{ sequence: this, x, before, after }])[0]!;
  }

  /** Sum over the processes, of tensors of one shape. */
  sum(x: Tensor): Tensor {
    return this.exchanging('sum over a sequence', () =>
      operator<Reduce>('tls::sum_over_processes')(x, this.group.handle),
    );
  }

  /** Largest of each element, without a gradient: it is for what a softmax subtracts. */
  largest(x: Tensor): Tensor {
    return this.exchanging('largest of a sequence', () =>
      operator<Reduce>('tls::largest_over_processes')(x, this.group.handle),
    );
  }

  /**
   * Means of the tokens of all processes by weights that are a softmax over all: each pools its own, and what they have is merged by the
   * logarithms of their sums.
   *
   * @param logits (B, n, N, R)
   * @param keys (B, n, N, H), as the values
   * @param visible (B, n) bool, null: all
   * @returns (B, R, N, H) each, the same in every process
   */
  poolTokens(
    logits: Tensor,
    keys: Tensor,
    values: Tensor,
    visible: Tensor | null,
  ): { readonly keys: Tensor; readonly values: Tensor } {
    const [pooledKeys, pooledValues] = this.exchanging('projection of a sequence', () =>
      operator<Pool>('tls::pool_tokens_over_processes')(logits, keys, values, visible, this.group.handle),
    );
    return { keys: pooledKeys, values: pooledValues };
  }

  /** Runs what talks to the others, such as a backward pass. @throws DistributedError where one has ended or does not answer */
  exchanging<T>(doing: string, run: () => T): T {
    return this.group.exchanging(doing, run);
  }
}

/** What of a tensor a process sees beside its own rows. */
export interface Extension {
  readonly sequence: ShardedSequence;
  readonly x: Tensor;
  readonly before: number;
  readonly after: number;
}

/**
 * `extend` of up to 4 tensors at once, which may be of different sequences over the same group. In the backward pass every process then
 * comes to the exchange if it has used any of them: what one process may have no use for must travel with what all use.
 */
export function extendTogether(extensions: readonly Extension[]): readonly Tensor[] {
  if (extensions.length === 0) throw new ArgumentError('expected 1 to 4 tensors, received none');
  const { group } = extensions[0]!.sequence;
  return group.exchanging('edges of a sequence', () =>
    operator<Extend>('tls::extend_over_processes')(
      extensions.map(({ x }) => x),
      group.handle,
      extensions.flatMap(({ sequence }) => sequence.lengths),
      extensions.map(({ before }) => before),
      extensions.map(({ after }) => after),
    ),
  );
}

/**
 * Lengths of stretches that are multiples of `unit`, as equal as can be; the last one takes what is left over.
 *
 * @throws ArgumentError where there is not a unit for each
 */
export function stretchesOf(total: number, world: number, unit: number): number[] {
  for (const [name, value] of Object.entries({ total, world, unit }))
    if (!Number.isSafeInteger(value) || value < 1)
      throw new ArgumentError(`${name}: expected a whole number of at least 1, received ${value}`);
  const units = Math.floor(total / unit);
  if (units < world)
    throw new ArgumentError(
      `a sequence of ${total} tokens cannot be spread over ${world} processes: each needs at least ${unit} of them`,
    );
  const lengths = Array.from(
    { length: world },
    (_, rank) => (Math.floor((units * (rank + 1)) / world) - Math.floor((units * rank) / world)) * unit,
  );
  lengths[world - 1]! += total - units * unit;
  return lengths;
}
