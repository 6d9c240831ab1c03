import { operator } from '../operator.js';
import { type Group, Optimizer, type ParameterGroup, type Parameters, type Update } from './optimizer.js';

const addLists = operator('aten::_foreach_add_.List');
const sumOfLists = operator('aten::_foreach_add.List');
const scale = operator('aten::_foreach_mul.Scalar');
const scaleInPlace = operator('aten::_foreach_mul_.Scalar');

export type SGDSetting = 'learningRate' | 'momentum' | 'weightDecay';

export interface SGDOptions {
  learningRate: number;
  /** Share of the last step's direction that is kept. Default 0. */
  momentum?: number;
  /** Adds this much of the parameter to its gradient. Default 0. */
  weightDecay?: number;
}

/** Stochastic gradient descent with momentum, as PyTorch's: v = momentum v + g; p = p - learningRate v. */
export class SGD extends Optimizer<SGDSetting> {
  constructor(parameters: Parameters | readonly ParameterGroup<SGDSetting>[], options: SGDOptions) {
    super('SGD', ['velocity'], parameters, { momentum: 0, weightDecay: 0, ...options });
  }

  protected override settingProblem(_name: SGDSetting, value: number): string | null {
    return value >= 0 ? null : 'at least 0';
  }

  protected override update(
    { learningRate, momentum, weightDecay }: Group<SGDSetting>,
    updates: readonly Update[],
    _step: number,
    gradientScale: number,
  ): void {
    const parameters = updates.map((update) => update.parameter);
    const velocities = updates.map((update) => update.slots[0]!);
    const unscaled = updates.map((update) => update.gradient);
    const scaled = gradientScale === 1 ? unscaled : scale(unscaled, gradientScale);
    const gradients = weightDecay === 0 ? scaled : sumOfLists(scaled, parameters, weightDecay);
    scaleInPlace(velocities, momentum);
    addLists(velocities, gradients, 1);
    addLists(parameters, velocities, -learningRate);
  }
}
