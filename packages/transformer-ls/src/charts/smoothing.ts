const QUICK_START = 10;

/**
 * Exponential average of a noisy measurement. The first values weigh more, so that the average follows the steep start
 * of a training instead of trailing behind it. Values that are not finite are passed over.
 */
export class ExponentialAverage {
  private average: number | undefined;
  private count = 0;

  /** @param decay share of the old average that stays at each value in the long run, 0 to below 1 */
  constructor(private readonly decay: number) {
    if (!(decay >= 0 && decay < 1)) throw new RangeError(`decay must be from 0 to below 1, got ${decay}`);
  }

  /** Takes one value in and returns the average, or undefined where nothing finite has come yet. */
  add(value: number): number | undefined {
    if (!Number.isFinite(value)) return this.average;
    const weight = Math.max(1 - this.decay, QUICK_START / (QUICK_START + this.count));
    const before = this.average ?? value;
    this.average = before + weight * (value - before);
    this.count++;
    return this.average;
  }
}
