/**
 * Sums of a few numbers over many processes. What these cost is the number of messages that must follow one another: in c10d's ring over Gloo
 * 2 (p - 1), here log2 p, since pairs exchange what they have and double it.
 */
import { type ProcessGroup, scope, type Tensor, tensor, zeros } from '@transformer-ls/torch';

/** From how many processes on it is faster than the ring. */
export const MANY = 8;

/** Sends of other purposes must not be taken for these. */
const TAG = 7;

/** The same bits in every process: partners add the same two numbers. */
export function sumOfFew(group: ProcessGroup, values: readonly number[]): number[] {
  const { rank, world } = group;
  const paired = 2 ** Math.floor(Math.log2(world));
  const send = (numbers: readonly number[], to: number) => {
    scope(() => group.send(tensor(Float64Array.from(numbers)), to, TAG).wait());
  };
  const receive = (from: number) =>
    scope(() => received(group, zeros([values.length], { dtype: 'float64' }), from));
  // Those beyond a power of two have a partner who counts for both.
  if (rank >= paired) {
    send(values, rank - paired);
    return receive(rank - paired);
  }
  const stray = rank + paired;
  let sums = stray < world ? added(values, receive(stray)) : [...values];
  for (let distance = 1; distance < paired; distance *= 2) {
    const partner = rank ^ distance;
    const theirs = scope(() => {
      const sending = group.send(tensor(Float64Array.from(sums)), partner, TAG);
      const numbers = received(group, zeros([values.length], { dtype: 'float64' }), partner);
      sending.wait();
      return numbers;
    });
    sums = added(sums, theirs);
  }
  if (stray < world) send(sums, stray);
  return sums;
}

function received(group: ProcessGroup, into: Tensor, from: number): number[] {
  group.receive(into, from, TAG).wait();
  return Array.from(into.toTypedArray() as Float64Array);
}

function added(a: readonly number[], b: readonly number[]): number[] {
  return a.map((one, i) => one + b[i]!);
}
