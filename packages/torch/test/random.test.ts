import { expect, test } from 'vitest';
import {
  ArgumentError,
  getRngState,
  manualSeed,
  rand,
  randn,
  scope,
  setRngState,
  TorchError,
  tensor,
} from '../src/index.js';

const draw = () =>
  scope(() => [
    ...randn([5]).toTypedArray(),
    ...rand([20]).toTypedArray(),
    ...tensor([1, 2, 3]).multinomial(2).toTypedArray(),
  ]);

test('the same seed gives the same numbers, another seed others', () => {
  manualSeed(42);
  const first = draw();
  manualSeed(42);
  expect(draw()).toEqual(first);
  manualSeed(43);
  expect(draw()).not.toEqual(first);
});

test('a saved state continues the stream', () => {
  manualSeed(7);
  scope(() => randn([3])); // leaves half a pair of normals in the generator
  const state = getRngState();
  const first = [draw(), draw()];
  setRngState(state);
  expect([draw(), draw()]).toEqual(first);
});

test('seeds: 64 bits, negative ones too', () => {
  for (const seed of [0, -1, 2 ** 53 - 1, 2n ** 63n - 1n, -(2n ** 63n)]) {
    manualSeed(seed);
    const first = draw();
    manualSeed(seed);
    expect(draw()).toEqual(first);
  }
  manualSeed(2n ** 64n - 1n); // as -1, whose bits it shares
  const first = draw();
  manualSeed(-1);
  expect(draw()).toEqual(first);
});

test('bad seeds and states', () => {
  expect(() => manualSeed(1.5)).toThrow('manualSeed: expected an integer, received 1.5');
  expect(() => manualSeed(2n ** 64n)).toThrow(ArgumentError);
  const state = getRngState();
  expect(() => setRngState(state.slice(1))).toThrow(TorchError);
  expect(() => setRngState(new Uint8Array(state.length))).toThrow(TorchError);
  expect(() => setRngState(new Float32Array(4) as unknown as Uint8Array)).toThrow(TorchError);
  expect(() => getRngState('nonsense')).toThrow(TorchError);
  expect(() => getRngState('meta')).toThrow(TorchError);
  expect(getRngState()).toEqual(state);
});
