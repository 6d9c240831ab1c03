import { expect, it } from 'vitest';
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatInteger,
  formatRate,
  formatScientific,
  formatValue,
} from '../../src/text/numbers.js';

it.each([
  [0, '0'],
  [950, '950'],
  [0.4213, '0.42'],
  [999.4, '999'],
  [999.6, '1.0k'],
  [1500, '1.5k'],
  [12_345, '12.3k'],
  [44_294_448, '44.3M'],
  [-1500, '-1.5k'],
  [Number.NaN, '--'],
])('formatCount(%s) is %s', (count, expected) => {
  expect(formatCount(count)).toBe(expected);
});

it.each([
  [512, '512 B'],
  [1536, '1.5 KiB'],
  [1023.7, '1.0 KiB'],
  [2.3 * 2 ** 30, '2.3 GiB'],
  [5000 * 2 ** 40, '5000 TiB'],
])('formatBytes(%s) is %s', (bytes, expected) => {
  expect(formatBytes(bytes)).toBe(expected);
});

it.each([
  [0, '0.0s'],
  [4.24, '4.2s'],
  [9.96, '10s'],
  [59.6, '1m 00s'],
  [185, '3m 05s'],
  [3599.7, '1h 00m'],
  [3720, '1h 02m'],
  [2 * 86_400 + 3 * 3600, '2d 03h'],
  [-1, '--'],
  [Number.POSITIVE_INFINITY, '--'],
])('formatDuration(%s) is %s', (seconds, expected) => {
  expect(formatDuration(seconds)).toBe(expected);
});

it('formats rates, values and learning rates', () => {
  expect(formatRate(12_345, 'tok')).toBe('12.3k tok/s');
  expect([formatValue(undefined, 2), formatValue(Number.NaN, 2), formatValue(2.345, 2)]).toEqual([
    '--',
    'NaN',
    '2.35',
  ]);
  expect([formatScientific(0.00025), formatScientific(0), formatScientific(undefined)]).toEqual([
    '2.50e-4',
    '0',
    '--',
  ]);
  expect([formatInteger(1_234_567), formatInteger(12), formatInteger(-1234)]).toEqual([
    '1,234,567',
    '12',
    '-1,234',
  ]);
});
