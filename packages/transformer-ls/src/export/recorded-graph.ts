/**
 * One graph out of several recorded runs: the same operators in the same order, whose numbers are constants or depend on the sizes of
 * the inputs (sizes.ts).
 */
import {
  dispose,
  getRngState,
  isTracedTensor,
  noGrad,
  scope,
  type Tensor,
  type TracedCall,
  type TracedConstant,
  type TracedTensor,
  type TracedValue,
  traceCalls,
} from '@transformer-ls/torch';
import { ExportError } from './error.js';
import { type FreeSizes, type Sample, type Size, sizeFrom } from './sizes.js';

export interface GraphTensor {
  readonly id: number;
  readonly shape: readonly Size[];
  readonly dtype: string;
}

export type GraphValue =
  | GraphTensor
  | Size
  | readonly GraphValue[]
  | string
  | bigint
  | boolean
  | null
  | undefined;

export interface GraphCall {
  readonly name: string;
  readonly inputs: readonly GraphValue[];
  readonly outputs: readonly GraphTensor[];
}

export interface RecordedGraph {
  readonly inputs: ReadonlyMap<string, GraphTensor>;
  readonly calls: readonly GraphCall[];
  readonly outputs: ReadonlyMap<string, GraphTensor>;
  /** Tensors that no run made of its inputs: weights, and what TypeScript made of numbers. The caller frees them. */
  readonly constants: ReadonlyMap<number, TracedConstant>;
}

/** What is recorded: inputs of some sizes, and what is made of them. */
export interface Recordable {
  inputs(sample: Sample): Record<string, Tensor>;
  run(inputs: Record<string, Tensor>): Record<string, Tensor>;
}

export function isGraphTensor(value: GraphValue): value is GraphTensor {
  return value !== null && typeof value === 'object' && 'id' in value;
}

/** One recorded run. */
interface Run {
  readonly inputs: ReadonlyMap<string, TracedTensor>;
  readonly calls: readonly TracedCall[];
  readonly outputs: ReadonlyMap<string, TracedTensor>;
  readonly constants: ReadonlyMap<number, TracedConstant>;
}

/**
 * Records a run for each sample of sizes.
 *
 * @throws ExportError where runs differ in more than sizes
 */
export function recordGraph(what: Recordable, sizes: FreeSizes): RecordedGraph {
  const runs: Run[] = [];
  let graph: RecordedGraph | undefined;
  try {
    for (const sample of sizes.samples) runs.push(recordRun(what, sample));
    const unified = unify(runs, sizes);
    for (const run of runs.slice(1)) checkSameConstants(runs[0]!, run);
    graph = unified;
    return graph;
  } finally {
    // The graph has those of the first run.
    for (const run of runs.slice(graph === undefined ? 0 : 1)) freeConstants(run);
  }
}

function recordRun(what: Recordable, sample: Sample): Run {
  return noGrad(() =>
    scope(() => {
      const inputs = what.inputs(sample);
      const trace = traceCalls(Object.values(inputs), () => withoutChance(() => what.run(inputs)));
      const names = Object.keys(inputs);
      try {
        const outputs = Object.entries(trace.result).map(
          ([name, tensor]) => [name, trace.find(tensor)] as const,
        );
        return {
          inputs: new Map(names.map((name, i) => [name, trace.inputs[i]!])),
          calls: trace.calls,
          outputs: new Map(outputs),
          constants: trace.constants,
        };
      } catch (error) {
        freeConstants(trace);
        throw error;
      }
    }),
  );
}

/** What was drawn while it is recorded would be the same for ever. @throws ExportError where random numbers are drawn */
function withoutChance<T>(run: () => T): T {
  const before = getRngState();
  const result = run();
  if (Buffer.compare(before, getRngState()) !== 0)
    throw new ExportError('random numbers are drawn, which a graph cannot say');
  return result;
}

/** Frees the graph's hold on its constants. */
export function freeConstants({ constants }: Pick<RecordedGraph, 'constants'>): void {
  for (const { value } of constants.values()) dispose(value);
}

function checkSameConstants(a: Run, b: Run): void {
  for (const [id, one] of a.constants) {
    const other = b.constants.get(id)!;
    if (one.source === other.source || sameElements(one.value, other.value)) continue;
    throw new ExportError(
      `a tensor of shape [${one.value.shape}] that is made of numbers in TypeScript depends on the sizes of the input`,
    );
  }
}

function sameElements(a: Tensor, b: Tensor): boolean {
  return String(a.shape) === String(b.shape) && scope(() => a.equal(b));
}

function unify(runs: readonly Run[], sizes: FreeSizes): RecordedGraph {
  const [first] = runs as [Run];
  for (const run of runs)
    if (run.calls.length !== first.calls.length)
      throw new ExportError(
        `expected as many operators at every size, received ${first.calls.length} and ${run.calls.length}`,
      );
  const named = (of: (run: Run) => ReadonlyMap<string, TracedTensor>) =>
    new Map(
      [...of(first)].map(([name]) => [
        name,
        unifyTensor(
          runs.map((run) => of(run).get(name)!),
          name,
          sizes,
        ),
      ]),
    );
  return {
    inputs: named((run) => run.inputs),
    calls: first.calls.map((_, i) =>
      unifyCall(
        runs.map((run) => run.calls[i]!),
        sizes,
      ),
    ),
    outputs: named((run) => run.outputs),
    constants: first.constants,
  };
}

function unifyCall(calls: readonly TracedCall[], sizes: FreeSizes): GraphCall {
  const [{ name, inputs, outputs }] = calls as [TracedCall];
  const other = calls.find((call) => call.name !== name);
  if (other !== undefined)
    throw new ExportError(`expected the same operators at every size, received ${name} and ${other.name}`);
  for (const count of [(call: TracedCall) => call.inputs.length, (call: TracedCall) => call.outputs.length])
    if (calls.some((call) => count(call) !== count(calls[0]!))) throw differ(name, calls.map(count));
  const across = (pick: (call: TracedCall) => TracedValue) => unifyValue(calls.map(pick), name, sizes);
  return {
    name,
    inputs: inputs.map((_, i) => across((call) => call.inputs[i])),
    outputs: outputs.map((_, i) => across((call) => call.outputs[i]) as GraphTensor),
  };
}

function unifyValue(values: readonly TracedValue[], operator: string, sizes: FreeSizes): GraphValue {
  const [first] = values as [TracedValue];
  if (isTracedTensor(first)) return unifyTensor(values as readonly TracedTensor[], operator, sizes);
  if (Array.isArray(first)) {
    const lists = values as readonly (readonly TracedValue[])[];
    if (lists.some((list) => list.length !== first.length)) throw differ(operator, values);
    return first.map((_, i) =>
      unifyValue(
        lists.map((list) => list[i]),
        operator,
        sizes,
      ),
    );
  }
  if (values.every((value) => value === first)) return first as GraphValue;
  if (!values.every((value) => Number.isSafeInteger(value))) throw differ(operator, values);
  return unifySize(values as readonly number[], operator, sizes);
}

function unifyTensor(tensors: readonly TracedTensor[], operator: string, sizes: FreeSizes): GraphTensor {
  const [{ id, shape, dtype }] = tensors as [TracedTensor];
  if (tensors.some((one) => one.id !== id || one.dtype !== dtype || one.shape.length !== shape.length))
    throw differ(
      operator,
      tensors.map((one) => `${one.dtype} tensor ${one.id}`),
    );
  return {
    id,
    dtype,
    shape: shape.map((_, i) =>
      unifySize(
        tensors.map((one) => one.shape[i]!),
        operator,
        sizes,
      ),
    ),
  };
}

function unifySize(values: readonly number[], operator: string, sizes: FreeSizes): Size {
  const size = sizeFrom(values, sizes);
  if (size === null) throw differ(operator, values);
  return size;
}

function differ(operator: string, values: readonly unknown[]): ExportError {
  return new ExportError(
    `${operator}: no rule says how this depends on the sizes of the input: ${values.map(String).join(', ')}`,
  );
}
