/** A moving average of a model's weights, which often classifies better than the weights themselves. */
import {
  isFloatingPoint,
  keep,
  type Module,
  noGrad,
  operator,
  scope,
  type Tensor,
} from '@transformer-ls/torch';

const subtract = operator('aten::_foreach_sub.List');
const addInPlace = operator('aten::_foreach_add_.List');

/**
 * Parameters and floating-point buffers (running statistics of a batch normalisation too, so that they belong to the averaged
 * weights), each average starting as a copy. Whole numbers, such as counters, are the model's own.
 */
export class WeightAverage {
  /** By what it is the average of. */
  private readonly averages = new Map<Tensor, Tensor>();

  constructor(
    private readonly model: Module,
    private readonly decay: number,
  ) {
    for (const value of model.stateDict().values())
      if (isFloatingPoint(value.dtype) && !this.averages.has(value))
        this.averages.set(value, keep(noGrad(() => value.detach().clone())));
  }

  /**
   * To be called after each update. An average keeps min(decay, (1 + n) / (10 + n)) of itself at the n-th, counted from 1: the random
   * weights of the beginning are soon forgotten.
   */
  update(updates: number): void {
    const kept = Math.min(this.decay, (1 + updates) / (10 + updates));
    noGrad(() =>
      scope(() => {
        const averages = [...this.averages.values()];
        // As a difference: what does not change stays as it is, bit for bit.
        addInPlace(averages, subtract([...this.averages.keys()], averages), 1 - kept);
      }),
    );
  }

  /** Runs something with the averages in the model. */
  async inModel<T>(action: () => Promise<T>): Promise<T> {
    this.exchange();
    try {
      return await action();
    } finally {
      this.exchange();
    }
  }

  /** The model's state under all its names, averaged. */
  stateDict(): Map<string, Tensor> {
    const own = [...this.model.stateDict()];
    return new Map(own.map(([name, value]) => [name, this.averages.get(value) ?? value]));
  }

  /** Continues from such a state. The model must have its own weights again, which bring the whole numbers. */
  loadStateDict(tensors: ReadonlyMap<string, Tensor>): void {
    noGrad(() => {
      for (const [name, value] of this.stateDict()) value.copy_(tensors.get(name)!);
    });
  }

  private exchange(): void {
    noGrad(() =>
      scope(() => {
        for (const [value, average] of this.averages) {
          const before = value.clone();
          value.copy_(average);
          average.copy_(before);
        }
      }),
    );
  }
}
