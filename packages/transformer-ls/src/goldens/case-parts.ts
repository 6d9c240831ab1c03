/** What the cases of all families do alike: the golden loss, and comparing parameters. */
import { asTypedArray } from '@transformer-ls/formats';
import { dispose, type Module, type Tensor } from '@transformer-ls/torch';
import type { Comparison } from './comparison.js';
import type { GoldenFile } from './golden-file.js';
import { digest } from './hash-rule.js';

export function compareParameterDigests(
  comparison: Comparison,
  file: GoldenFile,
  model: Module,
  streams: ReadonlyMap<string, number>,
): void {
  for (const [key, parameter] of model.namedParameters()) {
    compareDigest(comparison, file, `digest.param.${key}`, parameter, streams.get(key)!);
    compareDigest(comparison, file, `digest.grad.param.${key}`, parameter.grad, streams.get(key)!);
  }
}

/** The README's rule for digests: [1] to 1e-5 relative, [0] to 1e-5 of [1], [2] to 2e-5, [3] to 1e-4 of sqrt([2]). */
function compareDigest(
  comparison: Comparison,
  file: GoldenFile,
  key: string,
  actual: Tensor | null,
  k: number,
): void {
  const stored = file.tensors.get(key);
  if (stored === undefined) {
    comparison.expect(false, `${key}: the golden file has no such tensor`);
    return;
  }
  const [sum, absolute, squares, weighted] = [...(asTypedArray(stored) as Float64Array)];
  if (absolute! < 1e-3) return; // zero in exact arithmetic
  if (actual === null) {
    comparison.expect(false, `${key}: expected a gradient, there is none`);
    return;
  }
  const found = digest(actual.to('float64').toTypedArray() as Float64Array, k);
  const errors = [
    Math.abs(found[0] - sum!) / (1e-5 * absolute!),
    Math.abs(found[1] - absolute!) / (1e-5 * absolute!),
    Math.abs(found[2] - squares!) / (2e-5 * squares!),
    Math.abs(found[3] - weighted!) / (1e-4 * Math.sqrt(squares!)),
  ];
  comparison.scaled(key.startsWith('digest.grad') ? 'gradient' : 'output', key, Math.max(...errors));
}

export function leaf(value: Tensor): Tensor {
  value.requiresGrad = true;
  return value;
}

/** The golden loss: sum(y * cotangent). */
export function backpropagate(y: Tensor, cotangent: Tensor): void {
  y.mul(cotangent).sum().backward();
}

export function compareParameterGradients(comparison: Comparison, file: GoldenFile, model: Module): void {
  for (const [key, parameter] of model.namedParameters()) {
    const gradient = parameter.grad;
    if (file.noGradParameters.includes(key))
      comparison.expect(gradient === null, `${key}: expected no gradient, there is one`);
    else comparison.gradient(`grad.param.${key}`, gradient);
    dispose(gradient);
  }
}

/** A rank of 0, or no global tokens, leave tensors of 0 rows in the published state, which have nothing to load. */
export function withoutEmpty(state: Map<string, Tensor>): Map<string, Tensor> {
  return new Map([...state].filter(([, value]) => value.numel > 0));
}
