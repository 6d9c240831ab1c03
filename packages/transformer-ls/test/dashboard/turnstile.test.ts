import { expect, it } from 'vitest';
import { Turnstile } from '../../src/dashboard/turnstile.js';

it('lets so many in at once, and the others in their order when one is over, or gives up', () => {
  const turnstile = new Turnstile(2);
  const inside: number[] = [];
  const leave = [0, 1, 2, 3, 4].map((i) => turnstile.enter(() => inside.push(i)));
  expect(inside).toEqual([0, 1]);
  leave[2]!();
  leave[0]!();
  leave[0]!();
  expect(inside).toEqual([0, 1, 3]);
  leave[1]!();
  expect(inside).toEqual([0, 1, 3, 4]);
  for (const over of leave) over();
  turnstile.enter(() => inside.push(5));
  expect(inside.at(-1)).toBe(5);
});
