/** Numbers of other distributions, made of uniform ones. */
import type { Random } from '../../data/random.js';

/** Of the normal distribution with mean 0 and deviation 1 (Box and Muller 1958, one of the two). */
export function normal(random: Random): number {
  // The logarithm of 0 is none: 1 - unit lies in (0, 1].
  const radius = Math.sqrt(-2 * Math.log(1 - random.unit()));
  return radius * Math.cos(2 * Math.PI * random.unit());
}

/** Fills with numbers of the normal distribution: twice as fast as one by one, since each pair of uniform ones gives two. */
export function fillNormal(values: Float32Array, random: Random): void {
  for (let i = 0; i < values.length; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(1 - random.unit()));
    const angle = 2 * Math.PI * random.unit();
    values[i] = radius * Math.cos(angle);
    if (i + 1 < values.length) values[i + 1] = radius * Math.sin(angle);
  }
}

/** Of the beta distribution, 0 to 1: the share of one gamma variable in the sum of two. @param a, b above 0 */
export function beta(a: number, b: number, random: Random): number {
  const logOfA = logGamma(a, random);
  const logOfB = logGamma(b, random);
  // In logarithms: for small a and b both variables may be too small for a number.
  return 1 / (1 + Math.exp(logOfB - logOfA));
}

/** Logarithm of a variable of the gamma distribution with scale 1 (Marsaglia and Tsang 2000). */
function logGamma(shape: number, random: Random): number {
  // Their method needs a shape of 1 or more; the variable of shape + 1 times a power of a uniform one has the smaller shape.
  if (shape < 1) return logGamma(shape + 1, random) + Math.log(1 - random.unit()) / shape;
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = normal(random);
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - random.unit()) < 0.5 * x * x + d - d * v + d * Math.log(v))
      return Math.log(d * v);
  }
}
