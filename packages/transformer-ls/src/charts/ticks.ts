import { formatInteger } from '../text/numbers.js';

/** One mark of an axis. */
export interface Tick {
  readonly value: number;
  readonly label: string;
}

const TIME_STEPS = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400,
];

/** Marks at multiples of 1, 2 or 5 times a power of ten, at most `most` of them, within [low, high]. */
export function linearTicks(low: number, high: number, most: number): Tick[] {
  const step = roundStep((high - low) / Math.max(1, most));
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return multiples(low, high, step).map((value) => ({ value, label: numberLabel(value, decimals) }));
}

/** Marks at whole seconds, minutes, hours or days, labelled `30s`, `5m`, `1h 30m`, `2d`. */
export function timeTicks(low: number, high: number, most: number): Tick[] {
  const least = (high - low) / Math.max(1, most);
  if (least < 1) return linearTicks(low, high, most).map((tick) => ({ ...tick, label: `${tick.label}s` }));
  const step = TIME_STEPS.find((candidate) => candidate >= least) ?? roundStep(least / 86_400) * 86_400;
  return multiples(low, high, step).map((value) => ({ value, label: timeLabel(value) }));
}

/** Marks at powers of `base`, leaving powers out evenly where there would be more than `most`. */
export function logTicks(low: number, high: number, base: number, most: number): Tick[] {
  const first = Math.ceil(Math.log(low) / Math.log(base) - 1e-9);
  const last = Math.floor(Math.log(high) / Math.log(base) + 1e-9);
  const every = Math.max(1, Math.ceil((last - first + 1) / Math.max(1, most)));
  const ticks: Tick[] = [];
  for (let power = first; power <= last; power += every) {
    const value = base ** power;
    ticks.push({ value, label: numberLabel(value, Math.max(0, -power)) });
  }
  return ticks;
}

/** The smallest of 1, 2, 5 times a power of ten that is at least `step`. */
function roundStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step));
  const scaled = step / power;
  if (scaled <= 1 + 1e-9) return power;
  if (scaled <= 2 + 1e-9) return 2 * power;
  return scaled <= 5 + 1e-9 ? 5 * power : 10 * power;
}

function multiples(low: number, high: number, step: number): number[] {
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => (first + index) * step);
}

function numberLabel(value: number, decimals: number): string {
  const size = Math.abs(value);
  if (size >= 1e6) return `${trimZeros((value / 1e6).toFixed(3))}M`;
  if (decimals === 0) return formatInteger(value).replace(/^-0$/, '0');
  return decimals > 6 ? value.toExponential(1) : value.toFixed(decimals).replace(/^-(0\.0+)$/, '$1');
}

function trimZeros(decimal: string): string {
  return decimal.replace(/\.?0+$/, '');
}

function timeLabel(seconds: number): string {
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [Math.round(seconds) % 60, 's'],
  ] as const;
  const named = parts.filter(([count]) => count > 0).map(([count, unit]) => `${count}${unit}`);
  return named.length === 0 ? '0' : named.join(' ');
}
