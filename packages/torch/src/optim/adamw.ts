import {
  type AdamWNumbers,
  type AdamWUpdate,
  foreachStep,
  fusedStep,
  isFusable,
  shrink,
} from './adamw-step.js';
import { type Group, Optimizer, type ParameterGroup, type Parameters, type Update } from './optimizer.js';

export type AdamSetting = 'learningRate' | 'beta1' | 'beta2' | 'epsilon' | 'weightDecay';

export interface AdamOptions {
  learningRate: number;
  /** Decay of the first moment. Default 0.9. */
  beta1?: number;
  /** Decay of the second moment. Default 0.999. */
  beta2?: number;
  /** Added to the denominator. Default 1e-8. */
  epsilon?: number;
  /** Decoupled: the parameter shrinks by learningRate * weightDecay of itself at each step. */
  weightDecay?: number;
  /** Use the native operator where device, dtype and layout allow. Default true. */
  fused?: boolean;
}

const SLOTS = ['firstMoment', 'secondMoment'];

/** What the three share; they differ in where epsilon is added, and in when the parameter shrinks. */
abstract class AdamFamily extends Optimizer<AdamSetting> {
  private readonly fused: boolean;

  protected constructor(
    kind: string,
    parameters: Parameters | readonly ParameterGroup<AdamSetting>[],
    options: AdamOptions,
    defaultDecay: number,
  ) {
    const { fused = true, ...settings } = options;
    super(kind, SLOTS, parameters, {
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      weightDecay: defaultDecay,
      ...settings,
    });
    this.fused = fused;
  }

  /** Epsilon as added to the corrected root of the second moment. */
  protected abstract correctedEpsilon(group: Group<AdamSetting>, step: number): number;

  /** Whether the parameter shrinks after it has moved, and so the move too; else before. */
  protected readonly decaysAfter: boolean = false;

  protected override settingProblem(name: AdamSetting, value: number): string | null {
    const isBeta = name === 'beta1' || name === 'beta2';
    if (isBeta) return value >= 0 && value < 1 ? null : 'at least 0 and less than 1';
    return value >= 0 ? null : 'at least 0';
  }

  protected override update(
    group: Group<AdamSetting>,
    updates: readonly Update[],
    step: number,
    gradientScale: number,
  ): void {
    const { learningRate, beta1, beta2 } = group;
    const epsilon = this.correctedEpsilon(group, step);
    const weightDecay = this.decaysAfter ? 0 : group.weightDecay;
    const numbers: AdamWNumbers = { learningRate, beta1, beta2, epsilon, weightDecay, step, gradientScale };
    const native: AdamWUpdate[] = [];
    const composed: AdamWUpdate[] = [];
    for (const { parameter, gradient, slots } of updates) {
      const one = { parameter, gradient, firstMoment: slots[0]!, secondMoment: slots[1]! };
      (this.fused && isFusable(one) ? native : composed).push(one);
    }
    fusedStep(native, numbers);
    foreachStep(composed, numbers);
    if (this.decaysAfter) shrink([...native, ...composed], group);
  }
}

/** PyTorch's AdamW: weight decay 0.01 by default, epsilon added to the bias-corrected root of the second moment. */
export class AdamW extends AdamFamily {
  constructor(parameters: Parameters | readonly ParameterGroup<AdamSetting>[], options: AdamOptions) {
    super('AdamW', parameters, options, 0.01);
  }

  protected override correctedEpsilon(group: Group<AdamSetting>): number {
    return group.epsilon;
  }
}

/**
 * fairseq's Adam, with decoupled decay (0 by default): epsilon is added to the root of the second moment before its bias is
 * corrected, so in the first steps it weighs up to 1/sqrt(1 - beta2) times more than AdamW's. Spec 3.8.
 */
export class Adam extends AdamFamily {
  constructor(parameters: Parameters | readonly ParameterGroup<AdamSetting>[], options: AdamOptions) {
    super('Adam', parameters, options, 0);
  }

  protected override correctedEpsilon(group: Group<AdamSetting>, step: number): number {
    return uncorrected(group, step);
  }
}

/**
 * The AdamW of the published vision models: epsilon as in fairseq's Adam, and the decay (0 by default) after the step, of the
 * parameter that has moved already. Spec 4.6.
 */
export class AdamWDecayAfter extends AdamFamily {
  protected override readonly decaysAfter = true;

  constructor(parameters: Parameters | readonly ParameterGroup<AdamSetting>[], options: AdamOptions) {
    super('AdamWDecayAfter', parameters, options, 0);
  }

  protected override correctedEpsilon(group: Group<AdamSetting>, step: number): number {
    return uncorrected(group, step);
  }
}

/** What weighs on the corrected root as much as the group's epsilon on the root before the correction. */
function uncorrected({ epsilon, beta2 }: Group<AdamSetting>, step: number): number {
  return epsilon / Math.sqrt(1 - beta2 ** step);
}
