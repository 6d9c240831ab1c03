/** Sums over plain lists of numbers, for the slow forms. */

export function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}

export function softmax(scores: readonly number[]): number[] {
  const most = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - most));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / total);
}

/** Sum of rows, each times its share. */
export function mix(shares: readonly number[], rows: readonly (readonly number[])[]): number[] {
  return rows[0]!.map((_, i) => shares.reduce((sum, share, j) => sum + share * rows[j]![i]!, 0));
}
