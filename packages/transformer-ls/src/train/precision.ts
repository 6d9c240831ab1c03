/** Smaller number types for the forward pass, and the loss scale that keeps float16 gradients from vanishing. */
import type { TrainingConfig } from '@transformer-ls/formats';
import { autocast, type Tensor } from '@transformer-ls/torch';

const FIRST_SCALE = 2 ** 16;
const GROWTH = 2;
const BACKOFF = 0.5;
const GOOD_STEPS_TO_GROW = 2000;

/** Plain JSON. */
export interface LossScaleState {
  readonly scale: number;
  readonly goodSteps: number;
}

/**
 * The factor on the loss: halved when gradients overflow, doubled after 2000 good steps. Always 1 where the number type has
 * float32's range and needs none.
 */
export class LossScale {
  private goodSteps = 0;
  private current: number;

  constructor(private readonly active: boolean) {
    this.current = active ? FIRST_SCALE : 1;
  }

  get scale(): number {
    return this.current;
  }

  /** To be called once per update. */
  update(finite: boolean): void {
    if (!this.active) return;
    this.goodSteps = finite ? this.goodSteps + 1 : 0;
    if (!finite) this.current *= BACKOFF;
    if (this.goodSteps < GOOD_STEPS_TO_GROW) return;
    this.current *= GROWTH;
    this.goodSteps = 0;
  }

  state(): LossScaleState {
    return { scale: this.current, goodSteps: this.goodSteps };
  }

  restore({ scale, goodSteps }: LossScaleState): void {
    if (!this.active) return;
    this.current = scale;
    this.goodSteps = goodSteps;
  }
}

/** What losses are computed in. */
export function atLeastFloat32(values: Tensor): Tensor {
  return values.dtype === 'float64' ? values : values.to('float32');
}

export class Precision {
  readonly lossScale: LossScale;
  private readonly deviceType: 'cpu' | 'cuda';

  constructor(
    private readonly name: TrainingConfig['precision'],
    device: TrainingConfig['device'],
  ) {
    this.deviceType = device === 'cpu' ? 'cpu' : 'cuda';
    this.lossScale = new LossScale(name === 'float16');
  }

  /** Runs a forward pass. Weights stay float32; matrix products and the like take the smaller type. */
  run<T>(forward: () => T): T {
    return this.name === 'float32' ? forward() : autocast(this.deviceType, this.name, forward);
  }
}
