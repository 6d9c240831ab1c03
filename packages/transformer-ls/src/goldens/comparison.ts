/** Comparing a case's tensors with the golden ones, under the tolerances of the golden files' README. */
import { asTypedArray, type TensorEntry } from '@transformer-ls/formats';
import type { Tensor } from '@transformer-ls/torch';
import type { GoldenFile } from './golden-file.js';

/** What one case came to: errors are relative, and pass when they do not exceed the tolerance. */
export interface CaseResult {
  readonly name: string;
  readonly status: 'pass' | 'fail';
  readonly outputError: number;
  readonly gradientError: number;
  readonly tolerance: number;
  /** What is wrong, one line each. */
  readonly problems: readonly string[];
}

/** Gathers the comparisons of one case. */
export class Comparison {
  private readonly problems: string[] = [];
  private outputError = 0;
  private gradientError = 0;
  private readonly tolerance: number;
  private readonly largestGradient: number;

  constructor(private readonly file: GoldenFile) {
    this.tolerance = file.dtype === 'float32' ? 1e-5 : 1e-10;
    const gradients = [...file.tensors].filter(([key]) => key.startsWith('grad.'));
    this.largestGradient = Math.max(0, ...gradients.map(([, entry]) => largest(floats(entry))));
  }

  output(key: string, actual: Tensor): void {
    this.outputError = worst(this.outputError, this.compare(key, actual, 0));
  }

  gradient(key: string, actual: Tensor | null): void {
    if (actual === null) this.problems.push(`${key}: expected a gradient, there is none`);
    else this.gradientError = worst(this.gradientError, this.compare(key, actual, this.largestGradient));
  }

  /** A condition that is not a number. */
  expect(condition: boolean, problem: string): void {
    if (!condition) this.problems.push(problem);
  }

  /** An error that was computed elsewhere (digests), already in units of the digests' own tolerance. */
  scaled(kind: 'output' | 'gradient', key: string, error: number): void {
    const relative = error * 1e-5; // digests are held to 1e-5 whatever the dtype
    if (!(error <= 1)) this.problems.push(`${key}: ${error.toPrecision(3)} times the tolerance`);
    if (kind === 'output') this.outputError = worst(this.outputError, relative);
    else this.gradientError = worst(this.gradientError, relative);
  }

  result(): CaseResult {
    const status = this.problems.length === 0 ? 'pass' : 'fail';
    const { outputError, gradientError, tolerance, problems } = this;
    return { name: this.file.name, status, outputError, gradientError, tolerance, problems };
  }

  /**
   * max|T - R| over the scale in which the tolerance is relative: max|R| plus a share of the largest gradient, because
   * gradients that are zero in exact arithmetic hold rounding noise only.
   */
  private compare(key: string, actual: Tensor, gradientScale: number): number {
    const entry = this.file.tensors.get(key);
    if (entry === undefined) {
      this.problems.push(`${key}: the golden file has no such tensor`);
      return Number.NaN;
    }
    if (String(actual.shape) !== String(entry.shape)) {
      this.problems.push(`${key}: expected shape [${entry.shape}], received [${actual.shape}]`);
      return Number.NaN;
    }
    const reference = floats(entry);
    const single = this.file.dtype === 'float32';
    const scale = largest(reference) + gradientScale * (single ? 0.1 : 0.01) + (single ? 0.01 : 0);
    const difference = largestDifference(actual.to('float64').toTypedArray() as Float64Array, reference);
    const error = difference === 0 ? 0 : difference / scale;
    if (!(error <= this.tolerance))
      this.problems.push(
        `${key}: relative error ${error.toExponential(2)} exceeds ${this.tolerance.toExponential()}`,
      );
    return error;
  }
}

function worst(a: number, b: number): number {
  return Number.isNaN(a) || Number.isNaN(b) ? Number.NaN : Math.max(a, b);
}

type Floats = Float32Array | Float64Array;

function floats(entry: TensorEntry): Floats {
  const values = asTypedArray(entry);
  if (values instanceof Float64Array || values instanceof Float32Array) return values;
  throw new Error(`expected F32 or F64 to compare with, received ${entry.dtype}`);
}

function largest(values: Floats): number {
  let most = 0;
  for (const value of values) most = worst(most, Math.abs(value));
  return most;
}

function largestDifference(actual: Float64Array, reference: Floats): number {
  let most = 0;
  for (const [i, value] of reference.entries()) most = worst(most, Math.abs(actual[i]! - value));
  return most;
}
