/**
 * Parameters, inputs and cotangents of the big cases, made by an integer hash that every language computes alike
 * (`hash-rule-1` of the golden files' README).
 */
import { type Module, noGrad, type Tensor, tensor } from '@transformer-ls/torch';

function mix(value: number): number {
  let x = value ^ (value >>> 16);
  x = Math.imul(x, 0x7feb352d);
  x ^= x >>> 15;
  x = Math.imul(x, 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

/** A number in [0, 1) for stream k, index i. */
export function unit(k: number, i: number): number {
  return mix(mix(i) ^ Math.imul(k, 0x9e3779b1)) / 4294967296;
}

/** A number in [-1, 1). */
export function signed(k: number, i: number): number {
  return 2 * unit(k, i) - 1;
}

function parameterValue(key: string, shape: readonly number[], k: number): (i: number) => number {
  if (key.endsWith('emb.weight') || key.endsWith('embeddings.weight')) return (i) => 0.05 * signed(k, i);
  if (key.endsWith('.weight') && shape.length === 1) return (i) => 1 + 0.2 * signed(k, i);
  const fanIn = shape.slice(1).reduce((product, size) => product * size, 1);
  if (key.endsWith('.weight')) return (i) => Math.sqrt(3 / fanIn) * signed(k, i);
  if (key.endsWith('.bias') && shape.length === 1) return (i) => 0.1 * signed(k, i);
  return (i) => 0.2 * signed(k, i);
}

/** Fills every parameter; the stream number of each is its place in the sorted list of names, from 1. */
export function fillParameters(model: Module): Map<string, number> {
  const named = model.namedParameters();
  const streams = new Map<string, number>();
  for (const [index, key] of [...named.keys()].sort().entries()) {
    const parameter = named.get(key) as Tensor;
    const value = parameterValue(key, parameter.shape, index + 1);
    streams.set(key, index + 1);
    const values = Float32Array.from({ length: parameter.numel }, (_, i) => value(i));
    noGrad(() => {
      using filled = tensor(values, { shape: parameter.shape });
      parameter.copy_(filled);
    });
  }
  return streams;
}

/** The cotangent of `count` outputs, rounded to float32. */
export function cotangentValues(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => signed(1000000, i));
}

/** Four numbers that stand for a large tensor: sum, sum of |.|, sum of squares, and a sum with hashed weights. */
export function digest(values: Float32Array | Float64Array, k: number): [number, number, number, number] {
  let [sum, absolute, squares, weighted] = [0, 0, 0, 0];
  values.forEach((value, i) => {
    sum += value;
    absolute += Math.abs(value);
    squares += value * value;
    weighted += value * signed(2000000 + k, i);
  });
  return [sum, absolute, squares, weighted];
}
