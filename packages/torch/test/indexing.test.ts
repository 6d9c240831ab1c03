import { expect, test } from 'vitest';
import { ArgumentError, arange, type Index, scope, TorchError, tensor } from '../src/index.js';

// x[i][j][k] = 100 i + 10 j + k, so that a value names its place.
const cube = () =>
  arange(0, 2)
    .mul(100)
    .reshape([2, 1, 1])
    .add(arange(0, 3).mul(10).reshape([3, 1]))
    .add(arange(0, 4));
const ids = (...values: number[]) => tensor(values, { dtype: 'int64' });

const shapes: [name: string, index: () => Index[], shape: number[], first: number][] = [
  ['x[1]', () => [1], [3, 4], 100],
  ['x[-1, -1]', () => [-1, -1], [4], 120],
  ['x[1, 2, 3]', () => [1, 2, 3], [], 123],
  ['x[..., 1:]', () => ['...', [1, null]], [2, 3, 3], 1],
  ['x[..., 0]', () => ['...', 0], [2, 3], 0],
  ['x[:, 1:3]', () => [[null], [1, 3]], [2, 2, 4], 10],
  ['x[:, :, ::2]', () => [[null], [null], [null, null, 2]], [2, 3, 2], 0],
  ['x[:, -1:]', () => [[null], [-1, null]], [2, 1, 4], 20],
  ['x[None]', () => [null], [1, 2, 3, 4], 0],
  ['x[1, None, ..., None]', () => [1, null, '...', null], [1, 3, 4, 1], 100],
  ['x[ids]', () => [ids(1, 0, 1)], [3, 3, 4], 100],
  ['x[:, ids]', () => [[null], ids(2, 0)], [2, 2, 4], 20],
  ['x[0, ids]', () => [0, ids(2, 0)], [2, 4], 20],
  ['x[..., ids]', () => ['...', ids(3)], [2, 3, 1], 3],
  ['x[ids, ids]', () => [ids(1, 0), ids(2, 1)], [2, 4], 120],
  ['x[mask]', () => [tensor([false, true])], [1, 3, 4], 100],
  [
    'x[mask of 2 dimensions]',
    () => [
      tensor([
        [false, false, false],
        [true, false, true],
      ]),
    ],
    [2, 4],
    100,
  ],
  [
    'x[..., mask of 2 dimensions]',
    () => [
      '...',
      tensor([
        [true, false, false, false],
        [false, false, false, false],
        [false, false, false, true],
      ]),
    ],
    [2, 2],
    0,
  ],
  ['x[mask, ids]', () => [tensor([false, true]), ids(2)], [1, 4], 120],
  ['x[...]', () => ['...'], [2, 3, 4], 0],
  ['x[2:1]', () => [[2, 1]], [0, 3, 4], Number.NaN],
];

test.each(shapes)('%s', (_, index, shape, first) => {
  scope(() => {
    const found = cube().get(...index());
    expect(found.shape).toEqual(shape);
    if (found.numel > 0) expect(found.flatten().select(0, 0).item()).toBe(first);
  });
});

test('integers and ranges give views, and every index gives a new tensor', () => {
  scope(() => {
    const x = cube();
    x.get(0, [1, 2]).fill_(-1);
    expect(x.get(0, 1).tolist()).toEqual([-1n, -1n, -1n, -1n]);
    const same = x.get('...');
    expect(same).not.toBe(x);
    same.dispose();
    expect(x.isDisposed).toBe(false);
  });
});

test('bad indices are refused with their numbers', () => {
  scope(() => {
    const x = cube();
    expect(() => x.get(0, 0, 0, 0)).toThrow('get: 4 indices for a tensor of 3 dimensions');
    expect(() => x.get(7)).toThrow(TorchError);
    expect(() => x.get(7)).toThrow(/int64\[2,3,4\]/);
    expect(() => x.get(0.5)).toThrow(ArgumentError);
    expect(() => x.get(ids(2))).toThrow(/index 2 is out of bounds/);
    expect(() => x.get('..' as '...')).toThrow("get: expected a number, a range, null, '...' or a Tensor");
    expect(() => x.get('...', '...')).toThrow("get: '...' may stand only once");
    expect(() => x.get([0, 2, 0])).toThrow(TorchError);
  });
});
