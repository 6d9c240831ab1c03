/** Values of flags: each parser returns the value or a usage error that says what was expected. */
import { InvalidArgumentError } from 'commander';

export interface NumberRange {
  readonly min?: number;
  /** Smallest number that is too small. */
  readonly above?: number;
  readonly max?: number;
}

/** A parser for whole numbers, written plainly or with thousands in k, M or G (`32k` is 32,000). */
export function wholeNumber(range: NumberRange = {}): (text: string) => number {
  return (text) => {
    const [, digits, unit] = /^(\d+(?:\.\d+)?)([kMG]?)$/.exec(text.trim()) ?? [];
    const value = digits === undefined ? Number.NaN : Math.round(Number(digits) * factorOf(unit) * 1e6) / 1e6;
    if (!Number.isSafeInteger(value) || !isWithin(value, range))
      throw new InvalidArgumentError(`Expected a whole number${rangeText(range)}, received '${text}'.`);
    return value;
  };
}

/** A parser for numbers with a fraction. */
export function decimalNumber(range: NumberRange = {}): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (!Number.isFinite(value) || !isWithin(value, range))
      throw new InvalidArgumentError(`Expected a number${rangeText(range)}, received '${text}'.`);
    return value;
  };
}

/** Pixels of a square, or rows and columns of them: `384`, `256x320`. */
export function imageSize(text: string): { height: number; width: number } {
  const [, height, width] = /^(\d{1,5})(?:x(\d{1,5}))?$/.exec(text.trim()) ?? [];
  const size = { height: Number(height), width: Number(width ?? height) };
  if (!(size.height > 0 && size.width > 0))
    throw new InvalidArgumentError(
      `Expected pixels of a side such as 384, or height and width such as 256x320, received '${text}'.`,
    );
  return size;
}

/** Collects the values of a flag that may be given several times. */
export function repeated(value: string, earlier: readonly string[]): readonly string[] {
  return [...earlier, value];
}

/** A parser for values between commas, each read by `parse`; a value that comes twice counts once. */
export function listOf<T>(parse: (text: string) => T): (text: string) => readonly T[] {
  return (text) => [...new Set(text.split(',').map((part) => parse(part.trim())))];
}

/** A parser for one of the names. */
export function oneOfNames<T extends string>(names: readonly T[]): (text: string) => T {
  return (text) => {
    const found = names.find((name) => name === text);
    if (found === undefined)
      throw new InvalidArgumentError(`Expected one of ${names.join(', ')}, received '${text}'.`);
    return found;
  };
}

function factorOf(unit: string | undefined): number {
  return { k: 1e3, M: 1e6, G: 1e9 }[unit ?? ''] ?? 1;
}

function isWithin(value: number, { min, above, max }: NumberRange): boolean {
  return value >= (min ?? value) && value <= (max ?? value) && (above === undefined || value > above);
}

function rangeText({ min, above, max }: NumberRange): string {
  const bounds = [
    min === undefined ? undefined : `at least ${min}`,
    above === undefined ? undefined : `above ${above}`,
    max === undefined ? undefined : `at most ${max}`,
  ].filter((bound) => bound !== undefined);
  return bounds.length === 0 ? '' : ` ${bounds.join(' and ')}`;
}
