/** The memory a causal model carries from segment to segment: tensors per layer, whatever the model's mode. */
import {
  ArgumentError,
  cat,
  dispose,
  keep,
  noGrad,
  operator,
  type ProcessGroup,
  scope,
  type Tensor,
  tensor,
  zeros,
} from '@transformer-ls/torch';

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

const asBytes = operator('aten::view.dtype');

/**
 * The last process's memory in all of them, as `carryMemory` makes it: what a stream whose segment was spread over processes goes on with.
 * All have memories of the same layers and names; their shapes may differ.
 */
export function memoryOfLast(memory: Memory, group: ProcessGroup): Memory {
  const last = group.world - 1;
  return noGrad(() =>
    scope(() => {
      const own = [...memoryTensors(memory)];
      // Gloo wants tensors of the CPU.
      const device = group.backend === 'nccl' ? own[0]![1].device : 'cpu';
      const shapes = tensor(BigInt64Array.from(own.flatMap(([, { shape }]) => shape.map(BigInt))), {
        device,
      });
      group.broadcast(shapes, last).wait();
      const sizes = Array.from(shapes.toTypedArray(), Number);
      const told = own.map(([name, one]): [string, Tensor] => [
        name,
        zeros(sizes.splice(0, one.ndim), { dtype: one.dtype, device: one.device }),
      ]);
      const from = group.rank === last ? own : told;
      // As bytes, for there is no Gloo for bfloat16 everywhere.
      const flat = cat(from.map(([, one]) => asBytes(one.detach().reshape([-1]).contiguous(), 'uint8'))).to({
        device,
      });
      if (flat.numel > 0) group.broadcast(flat, last).wait();
      let start = 0;
      for (const [, one] of told) {
        const bytes = flat.narrow(0, start, one.byteLength);
        if (one.numel > 0) asBytes(one.reshape([-1]), 'uint8').copy_(bytes);
        start += one.byteLength;
      }
      return carryMemory(memoryFromTensors(new Map(told)));
    }),
  );
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
