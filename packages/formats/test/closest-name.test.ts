import fc from 'fast-check';
import { expect, it } from 'vitest';
import { closestName } from '../src/index.js';

const NAMES = ['windowSize', 'chunkSize', 'heads', 'layers', 'projectionRank', 'memoryLength'];

it.each([
  ['windwSize', 'windowSize'],
  ['window_size', 'windowSize'],
  ['WINDOW-SIZE', 'windowSize'],
  ['haeds', 'heads'],
  ['head', 'heads'],
  ['memoryLenght', 'memoryLength'],
  ['learningRate', undefined],
  ['', undefined],
])('%s: %s', (name, expected) => {
  expect(closestName(name, NAMES)).toBe(expected);
});

it('prefers the nearer name and the name itself', () => {
  expect(closestName('beta', ['beta1', 'beta'])).toBe('beta');
  expect(closestName('chunksize', ['trunkSize', 'chunkSize'])).toBe('chunkSize');
});

it('finds every name after one typing slip: a letter left out, doubled or swapped with the next', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...NAMES),
      fc.nat(),
      fc.constantFrom('drop', 'double', 'swap'),
      (name, position, slip) => {
        const at = position % (name.length - 1);
        const pair = name.slice(at, at + 2);
        const typed = {
          drop: pair.slice(1),
          double: pair.charAt(0) + pair,
          swap: pair.charAt(1) + pair.charAt(0),
        }[slip];
        return closestName(name.slice(0, at) + typed + name.slice(at + 2), NAMES) === name;
      },
    ),
  );
});
