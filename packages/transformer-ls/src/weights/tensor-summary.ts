/** What the tensors of a weight file hold, one after the other: no more than one is in memory. */
import { type TensorEntry, toFloat32 } from '@transformer-ls/formats';

export interface TensorSummary {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly mean: number;
  /** Of the whole tensor, not an estimate from a sample. */
  readonly std: number;
  /** Elements that are NaN or infinite; mean and std are of the others. */
  readonly nonFinite: number;
}

/** @param read gives a tensor by its name */
export async function summariseTensors(
  names: Iterable<string>,
  read: (name: string) => Promise<TensorEntry>,
): Promise<TensorSummary[]> {
  const summaries: TensorSummary[] = [];
  for (const name of names) {
    const entry = await read(name);
    summaries.push({ name, dtype: entry.dtype, shape: entry.shape, ...moments(toFloat32(entry)) });
  }
  return summaries;
}

function moments(values: ArrayLike<number>): Pick<TensorSummary, 'mean' | 'std' | 'nonFinite'> {
  let [count, mean, squares] = [0, 0, 0];
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (!Number.isFinite(value)) continue;
    // Welford's update: the plain sum of squares loses everything where the mean is large.
    count += 1;
    const difference = value - mean;
    mean += difference / count;
    squares += difference * (value - mean);
  }
  return { mean, std: Math.sqrt(squares / Math.max(1, count)), nonFinite: values.length - count };
}
