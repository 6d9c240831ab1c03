/** The memory a causal model carries from segment to segment: tensors per layer, whatever the model's mode. */
import { ArgumentError, dispose, keep, scope, type Tensor } from '@transformer-ls/torch';

/** Named tensors of one layer. */
export type LayerMemory = { readonly [name: string]: Tensor };

export interface Memory<Layer = LayerMemory> {
  readonly layers: readonly Layer[];
}

function mapMemory(memory: Memory, change: (value: Tensor) => Tensor): Memory {
  const changed = (layer: LayerMemory) =>
    Object.fromEntries(Object.entries(layer).map(([name, value]) => [name, change(value)]));
  return { layers: memory.layers.map(changed) };
}

/**
 * The memory for the next segment: without gradient, owned by no scope, and holding no more storage than its own elements (a view
 * would keep the whole segment alive). Free it with `dispose`.
 */
export function carryMemory(memory: Memory): Memory {
  return scope(() => keep(mapMemory(memory, (value) => value.detach().clone().contiguous())));
}

/** Frees a memory made by `carryMemory`. */
export function disposeMemory(memory: Memory): void {
  dispose(memory);
}

/** Every tensor under a stable name (`layers.0.windowKeys`), for checkpoints. */
export function memoryTensors(memory: Memory): Map<string, Tensor> {
  const entries = memory.layers.flatMap((layer, index) =>
    Object.entries(layer).map(([name, value]): [string, Tensor] => [`layers.${index}.${name}`, value]),
  );
  return new Map(entries);
}

/** The inverse of `memoryTensors`. @throws ArgumentError for a name of another form or a missing layer. */
export function memoryFromTensors(tensors: ReadonlyMap<string, Tensor>): Memory {
  const layers: Record<string, Tensor>[] = [];
  for (const [name, value] of tensors) {
    const match = /^layers\.(\d{1,4})\.(\w+)$/.exec(name);
    if (match === null)
      throw new ArgumentError(`memory: expected a name such as layers.0.windowKeys, received ${name}`);
    const index = Number(match[1]);
    layers[index] = { ...layers[index], [match[2]!]: value };
  }
  for (let index = 0; index < layers.length; index++)
    if (layers[index] === undefined)
      throw new ArgumentError(`memory: layer ${index} of ${layers.length} is missing`);
  return { layers };
}
