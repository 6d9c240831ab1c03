// A function of torch operators beside the graph that is recorded of it.
import { encodeOnnx, type OnnxModel } from '@transformer-ls/formats/onnx';
import { noGrad, scope, type Tensor } from '@transformer-ls/torch';
import { InferenceSession, Tensor as OnnxTensor } from 'onnxruntime-node';
import { expect } from 'vitest';
import { onnxModel } from '../../src/export/onnx-graph.js';
import { freeConstants, type Recordable, recordGraph } from '../../src/export/recorded-graph.js';
import type { FreeSizes, Sample } from '../../src/export/sizes.js';

export function graphOf(what: Recordable, sizes: FreeSizes): OnnxModel {
  const recorded = recordGraph(what, sizes);
  try {
    return onnxModel(recorded, { parameters: new Map(), sizes: {}, graph: 'test', producerVersion: '0' });
  } finally {
    freeConstants(recorded);
  }
}

interface Values {
  readonly dims: readonly number[];
  readonly type: string;
  readonly numbers: readonly number[];
}

function valuesOf(type: string, dims: readonly number[], data: unknown): Values {
  return { type, dims: [...dims], numbers: Array.from(data as ArrayLike<number | bigint>, Number) };
}

/** All results of the graph at these sizes are those of libtorch: equal but for rounding, and of the same shape and dtype. */
export async function expectAlike(
  model: OnnxModel,
  what: Recordable,
  samples: readonly Sample[],
): Promise<void> {
  const session = await InferenceSession.create(encodeOnnx(model));
  for (const sample of samples) {
    const { feeds, expected } = scope(() =>
      noGrad(() => {
        const inputs = what.inputs(sample);
        const results = what.run(inputs);
        const fed = Object.entries(inputs).filter(([name]) => session.inputNames.includes(name));
        return {
          feeds: Object.fromEntries(fed.map(([name, tensor]) => [name, onnxTensor(tensor)])),
          expected: Object.entries(results).map(([name, tensor]) => ({
            name,
            ...valuesOf(tensor.dtype, tensor.shape, tensor.contiguous().toTypedArray()),
          })),
        };
      }),
    );
    const results = await session.run(feeds);
    for (const { name, ...values } of expected) {
      const { type, dims, data } = results[name]!;
      expectClose(valuesOf(type, dims, data), values, `${name} at ${JSON.stringify(sample)}`);
    }
  }
  await session.release();
}

function expectClose(received: Values, expected: Values, what: string): void {
  expect({ type: received.type, dims: received.dims }, what).toEqual({
    type: expected.type,
    dims: expected.dims,
  });
  const largest = expected.numbers
    .filter(Number.isFinite)
    .reduce((all, one) => Math.max(all, Math.abs(one)), 0);
  expected.numbers.forEach((number, i) => {
    const other = received.numbers[i]!;
    const near = Object.is(number, other) || Math.abs(number - other) <= 2e-6 * largest;
    if (!near) expect.fail(`${what}: element ${i}: expected ${number}, received ${other}`);
  });
}

export function onnxTensor(tensor: Tensor): OnnxTensor {
  const data = tensor.contiguous().toTypedArray();
  return new OnnxTensor(tensor.dtype as 'float32', data as Float32Array, tensor.shape);
}
