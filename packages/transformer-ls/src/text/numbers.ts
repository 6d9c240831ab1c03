// Numbers for people: every figure the commands print passes through here, so that one quantity always looks alike.

const COUNT_UNITS = ['', 'k', 'M', 'G', 'T'];
const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
const UNKNOWN = '--';

/** A count in at most four digits and a decimal unit: `950`, `1.5k`, `44.3M`. Non-finite numbers give `--`. */
export function formatCount(count: number): string {
  return inUnits(count, 1000, COUNT_UNITS, '');
}

/** A size in binary units: `512 B`, `1.5 KiB`, `2.3 GiB`. Non-finite numbers give `--`. */
export function formatBytes(bytes: number): string {
  return inUnits(bytes, 1024, BYTE_UNITS, ' ');
}

/** Events per second: `0.42 tok/s`, `12.3k tok/s`. */
export function formatRate(perSecond: number, unit: string): string {
  return `${formatCount(perSecond)} ${unit}/s`;
}

/** Seconds as `4.2s` below ten, then `42s`, `3m 05s`, `1h 02m`, `2d 03h`. Non-finite or negative numbers give `--`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return UNKNOWN;
  if (seconds < 9.95) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${twoDigits(whole % 60)}s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)}h ${twoDigits(Math.floor((whole % 3600) / 60))}m`;
  return `${Math.floor(whole / 86_400)}d ${twoDigits(Math.floor((whole % 86_400) / 3600))}h`;
}

/** A measured value with `digits` decimals; `--` where there is none yet, `NaN` and `Infinity` as such. */
export function formatValue(value: number | undefined, digits: number): string {
  if (value === undefined) return UNKNOWN;
  return Number.isFinite(value) ? value.toFixed(digits) : String(value);
}

/** A share of 1 as `37.50 %`. */
export function formatPercent(share: number): string {
  return `${formatValue(100 * share, 2)} %`;
}

/** A small positive number such as a learning rate: `1.00e-3`, `2.50e-4`, `0`. */
export function formatScientific(value: number | undefined): string {
  if (value === undefined) return UNKNOWN;
  if (value === 0) return '0';
  return Number.isFinite(value) ? value.toExponential(2) : String(value);
}

/** Thousands separated by commas: `1,234,567`. Independent of the machine's language. */
export function formatInteger(value: number): string {
  if (!Number.isFinite(value)) return UNKNOWN;
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',');
}

function inUnits(value: number, base: number, units: readonly string[], gap: string): string {
  if (!Number.isFinite(value)) return UNKNOWN;
  let scaled = Math.abs(value);
  let unit = 0;
  // 999.5 would be printed as 1000: it belongs to the next unit.
  while (scaled >= base - 0.5 && unit < units.length - 1) {
    scaled /= base;
    unit++;
  }
  const sign = value < 0 ? '-' : '';
  return `${sign}${threeDigits(scaled)}${gap}${units[unit]}`;
}

function threeDigits(value: number): string {
  if (Number.isInteger(value) || value >= 99.95) return value.toFixed(0);
  return value >= 9.995 ? value.toFixed(1) : value.toFixed(2).replace(/0$/, '');
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}
