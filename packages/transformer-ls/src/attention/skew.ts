/**
 * Moving relative scores to absolute columns with pad and reshape alone (no strided views, which do not export).
 *
 * Row i of the input holds scores by distance; in the output the same scores start `step * i` columns further right, and every
 * other column is `fill`. With -infinity as `fill` the shift is the mask at the same time.
 */
import type { Tensor } from '@transformer-ls/torch';

/** (…, rows, V) → (…, rows, V + step*(rows-1)): out[i][step*i + v] = x[i][v], elsewhere `fill`. */
export function skewRight(x: Tensor, step: number, fill: number): Tensor {
  const outer = x.shape.slice(0, -2);
  const [rows, values] = x.shape.slice(-2) as [number, number];
  const width = values + step * (rows - 1);
  // Padding each row by step*rows and cutting the flat result at rows*width makes row i begin i*step columns late.
  const flat = x.pad([0, step * rows], fill).reshape([...outer, rows * (values + step * rows)]);
  return flat.narrow(-1, 0, rows * width).reshape([...outer, rows, width]);
}
