/** An exported graph beside libtorch, on fresh inputs of several sizes. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { noGrad, scope, type Tensor } from '@transformer-ls/torch';
import { ExportError } from './error.js';
import { WEIGHTS_FILE } from './export-folder.js';
import type { ExportableGraph } from './exportable.js';
import type { Sample } from './sizes.js';

export interface Comparison {
  /** Largest difference over the largest number of the same result. */
  readonly error: number;
  /** `classify.onnx, B 2, L 100: 3.1e-7`. */
  readonly text: string;
}

interface EngineTensor {
  readonly data: ArrayLike<number | bigint>;
}

interface Engine {
  readonly InferenceSession: {
    create(
      model: Uint8Array,
      options: object,
    ): Promise<{
      readonly inputNames: readonly string[];
      run(feeds: object): Promise<Record<string, EngineTensor>>;
      release(): Promise<void>;
    }>;
  };
  readonly Tensor: new (type: string, data: unknown, dims: readonly number[]) => EngineTensor;
}

/** @throws ExportError where onnxruntime-node is not installed, or cannot run the graph */
export async function compareGraph(graph: ExportableGraph, folder: string): Promise<Comparison[]> {
  const engine = await onnxRuntime();
  try {
    return await compared(engine, graph, folder);
  } catch (error) {
    const [reason] = (error instanceof Error ? error.message : String(error)).split('\n');
    throw new ExportError(`ONNX Runtime cannot run ${graph.name}.onnx: ${reason}`, { cause: error });
  }
}

async function compared(engine: Engine, graph: ExportableGraph, folder: string): Promise<Comparison[]> {
  const model = await readFile(join(folder, `${graph.name}.onnx`));
  const externalData = [{ path: WEIGHTS_FILE, data: await readFile(join(folder, WEIGHTS_FILE)) }];
  const session = await engine.InferenceSession.create(model, { externalData });
  try {
    const comparisons: Comparison[] = [];
    for (const sample of graph.compared) {
      const { feeds, expected } = libtorchRun(engine, graph, sample, session.inputNames);
      const results = await session.run(feeds);
      const error = Math.max(
        ...[...expected].map(([name, numbers]) => relativeError(numbers, results[name]?.data)),
      );
      const sizes = Object.entries(sample).map(([name, size]) => `${name} ${size}`);
      comparisons.push({ error, text: `${graph.name}.onnx, ${sizes.join(', ')}: ${error.toExponential(1)}` });
    }
    return comparisons;
  } finally {
    await session.release();
  }
}

/** @param read names of the inputs that the graph reads */
function libtorchRun(engine: Engine, graph: ExportableGraph, sample: Sample, read: readonly string[]) {
  return noGrad(() =>
    scope(() => {
      const inputs = graph.inputs(sample);
      const feeds = Object.fromEntries(read.map((name) => [name, engineTensor(engine, inputs[name]!)]));
      const expected = Object.entries(graph.run(inputs)).map(
        ([name, tensor]) => [name, numbersOf(tensor)] as const,
      );
      return { feeds, expected: new Map(expected) };
    }),
  );
}

function engineTensor({ Tensor: Make }: Engine, tensor: Tensor): EngineTensor {
  const data = tensor.contiguous().toTypedArray();
  return new Make(
    tensor.dtype,
    tensor.dtype === 'bool' ? Uint8Array.from(data as Uint8Array) : data,
    tensor.shape,
  );
}

function numbersOf(tensor: Tensor): Float64Array {
  return Float64Array.from(tensor.contiguous().toTypedArray() as ArrayLike<number | bigint>, Number);
}

function relativeError(expected: Float64Array, received: ArrayLike<number | bigint> | undefined): number {
  if (received === undefined || received.length !== expected.length) return Number.POSITIVE_INFINITY;
  let [difference, largest] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    difference = Math.max(difference, Math.abs(expected[i]! - Number(received[i])));
    largest = Math.max(largest, Math.abs(expected[i]!));
  }
  return difference === 0 ? 0 : difference / largest;
}

async function onnxRuntime(): Promise<Engine> {
  try {
    return (await import('onnxruntime-node')) as unknown as Engine;
  } catch (error) {
    throw new ExportError(
      'what is exported is compared with libtorch before it is done, for which onnxruntime-node is missing; run: npm install onnxruntime-node@1.30.0',
      { cause: error },
    );
  }
}
