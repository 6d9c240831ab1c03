/** Running a model along streams, segment after segment, without gradients: what evaluation and generation stand on. */
import { dispose, keep, noGrad, scope, type Tensor, tensor } from '@transformer-ls/torch';
import type { PositionKeys } from '../../attention/causal.js';
import type { CausalLanguageModel } from './create.js';
import type { Memory } from './memory.js';
import { LanguageModel } from './model.js';

/**
 * `batch` streams side by side, and the memory of what they have seen. Free it with `dispose`. The weights must not change
 * while it is in use.
 */
export class ModelStream {
  private memory: Memory;
  /** Positions as keys depend on the weights alone: made once for the whole stream. */
  private readonly positions: readonly PositionKeys[] | undefined;

  /** @param memory what the streams have seen before, which is this object's from now on; default: nothing */
  constructor(
    private readonly model: CausalLanguageModel,
    private readonly batch = 1,
    memory?: Memory,
  ) {
    this.memory = memory === undefined ? this.freshMemory() : keep(memory);
    this.positions = noGrad(() =>
      model instanceof LanguageModel ? keep(scope(() => model.positionKeys())) : undefined,
    );
  }

  /**
   * Feeds the next tokens and hands their logits to `read`; tensors made by `read` are freed.
   *
   * @param ids batch rows of T tokens each, row by row
   * @param read gets logits (batch, T, V)
   * @param commit false: the memory stays as it was, as if these tokens had not been fed
   */
  feed<T>(ids: Int32Array, read: (logits: Tensor) => T, { commit = true } = {}): T {
    return noGrad(() =>
      scope(() => {
        const { logits, memory } = this.forward(this.idTensor(ids));
        if (commit) this.replaceMemory(memory);
        return read(logits);
      }),
    );
  }

  /** Forgets everything fed so far. */
  reset(): void {
    this.replaceMemory(this.freshMemory());
  }

  /** Bytes of the memory's elements. */
  memoryBytes(): number {
    return [...tensorsOf(this.memory)].reduce((total, value) => total + value.byteLength, 0);
  }

  dispose(): void {
    dispose(this.memory);
    dispose(this.positions);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  private forward(ids: Tensor): { logits: Tensor; memory: Memory } {
    const { model, memory, positions } = this;
    if (!(model instanceof LanguageModel)) return model.forward(ids, memory);
    return model.forward(ids, memory as Parameters<LanguageModel['forward']>[1], { positions });
  }

  private idTensor(ids: Int32Array): Tensor {
    const { device } = this.model.parameters()[0]!;
    return tensor(ids, { shape: [this.batch, ids.length / this.batch], device });
  }

  private freshMemory(): Memory {
    return noGrad(() => keep(this.model.emptyMemory(this.batch)));
  }

  /**
   * Tensors that did not change are the same objects in both memories (most steps complete no chunk): they are kept, not
   * copied, so that a token costs no copy of the whole memory.
   */
  private replaceMemory(next: Memory): void {
    keep(next);
    const kept = new Set(tensorsOf(next));
    for (const value of tensorsOf(this.memory)) if (!kept.has(value)) value.dispose();
    this.memory = next;
  }
}

function* tensorsOf(memory: Memory): Generator<Tensor> {
  for (const layer of memory.layers) yield* Object.values(layer);
}
