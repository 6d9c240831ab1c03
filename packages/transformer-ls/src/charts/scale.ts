import { linearTicks, logTicks, type Tick, timeTicks } from './ticks.js';

/** How values are laid along an axis: `log2` for lengths that double, `time` for seconds. */
export type ScaleKind = 'linear' | 'time' | 'log2' | 'log10';

/** Maps values of one axis to pixels; `from` and `to` are the pixels of `low` and `high`. */
export interface Scale {
  readonly low: number;
  readonly high: number;
  readonly pixel: (value: number) => number;
  readonly ticks: readonly Tick[];
}

/** The range of an axis: low < high, and both above zero on a logarithmic axis. */
export interface Range {
  readonly low: number;
  readonly high: number;
}

export function makeScale(kind: ScaleKind, range: Range, from: number, to: number, most: number): Scale {
  const place = isLogarithmic(kind) ? Math.log : (value: number) => value;
  const start = place(range.low);
  const perUnit = (to - from) / (place(range.high) - start);
  return {
    ...range,
    ticks: ticksOf(kind, range, most),
    pixel: (value) => from + (place(value) - start) * perUnit,
  };
}

export function isLogarithmic(kind: ScaleKind): boolean {
  return kind === 'log2' || kind === 'log10';
}

function ticksOf(kind: ScaleKind, { low, high }: Range, most: number): Tick[] {
  if (kind === 'time') return timeTicks(low, high, most);
  if (kind === 'linear') return linearTicks(low, high, most);
  const ticks = logTicks(low, high, kind === 'log2' ? 2 : 10, most);
  // Less than one power of the base in sight: the marks of a straight axis say more than a single one.
  return ticks.length > 1 ? ticks : linearTicks(low, high, most);
}

/** Lowest and highest of `values`, widened by the fraction `padding`; a single value gets room around it. */
export function rangeOf(values: readonly number[], padding: number): Range {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return { low: 0, high: 1 };
  const span = high - low;
  const size = Math.max(Math.abs(low), Math.abs(high));
  // A span that is only rounding is none.
  const room = span > Math.max(size * 1e-9, 1e-12) ? span * padding : Math.max(size * 0.1, 0.1);
  return { low: low - room, high: high + room };
}
