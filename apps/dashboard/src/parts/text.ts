/** Numbers and errors in words. */

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** 1.4 MiB */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let [value, unit] = [bytes, 0];
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${units[unit]}`;
}

/** 12,345 */
export function formatInteger(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** 1.2M */
export function formatCount(value: number): string {
  for (const [size, letter] of [
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const)
    if (Math.abs(value) >= size) return `${Number((value / size).toPrecision(3))}${letter}`;
  return String(Number(value.toPrecision(4)));
}

/** 2 h 5 min */
export function formatDuration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(0)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** 43.2 % */
export function formatShare(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
