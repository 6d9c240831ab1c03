/** CvT's convolutional projections token by token in plain numbers: what the fast form answers to. */
import type { Grid } from '../../src/attention/grid-windows.js';
import { dot } from './plain-numbers.js';

type Rows = number[][];

export interface SlowProjectionCase {
  readonly letter: 'q' | 'k' | 'v';
  /** (C + T, D), global tokens first. */
  readonly x: Rows;
  readonly globalTokens: number;
  readonly grid: Grid;
  readonly kernel: number;
  readonly stride: number;
  /** Statistics of this very grid (training), else the running ones. */
  readonly training: boolean;
  /** Nested lists by the name of the parameter. */
  readonly weights: (name: string) => unknown;
}

/** (C + M, D): the global tokens past the convolution, then the places of the kernel row by row. */
export function slowProjection(one: SlowProjectionCase): Rows {
  const { letter, x, globalTokens: C, grid, kernel, stride, training, weights } = one;
  const vector = (name: string) => weights(name) as number[];
  const kernels = weights(`conv_proj_${letter}.conv.weight`) as number[][][][];
  const bn = (name: string) => vector(`conv_proj_${letter}.bn.${name}`);
  const D = x[0]!.length;
  const reach = (kernel - 1) / 2;
  const convolved: Rows = [];
  for (let i = 0; i < grid.rows; i += stride)
    for (let j = 0; j < grid.columns; j += stride)
      convolved.push(Array.from({ length: D }, (_, d) => around(i, j, d)));
  const columns = Array.from({ length: D }, (_, d) => convolved.map((row) => row[d]!));
  const means = training ? columns.map(mean) : bn('running_mean');
  const variances = training
    ? columns.map((column, d) => mean(column.map((value) => (value - means[d]!) ** 2)))
    : bn('running_var');
  const normalised = convolved.map((row) =>
    row.map((value, d) => {
      const unit = (value - means[d]!) / Math.sqrt(variances[d]! + 1e-5);
      return unit * bn('weight')[d]! + bn('bias')[d]!;
    }),
  );
  const rows = weights(`proj_${letter}.weight`) as Rows;
  return [...x.slice(0, C), ...normalised].map((row) =>
    rows.map((weight, o) => dot(weight, row) + vector(`proj_${letter}.bias`)[o]!),
  );

  function around(i: number, j: number, d: number): number {
    let sum = 0;
    for (let a = 0; a < kernel; a++)
      for (let b = 0; b < kernel; b++) {
        const [row, column] = [i - reach + a, j - reach + b];
        if (row < 0 || row >= grid.rows || column < 0 || column >= grid.columns) continue;
        sum += kernels[d]![0]![a]![b]! * x[C + row * grid.columns + column]![d]!;
      }
    return sum;
  }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
