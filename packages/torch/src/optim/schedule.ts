/** Learning-rate schedules: pure functions of the step, which counts from 0. Give what they return to `Optimizer.set`. */
import { ArgumentError } from '../errors.js';
import { describeValue } from '../operator.js';

export interface ScheduledSettings {
  learningRate: number;
  /** Only where the schedule cycles it. */
  beta1?: number;
}

export type Schedule = (step: number) => ScheduledSettings;

export interface ConstantOptions {
  learningRate: number;
  /** The first steps, in which the rate rises linearly. */
  warmupSteps: number;
}

/** Step s of the warm-up gets (s + 1) / warmupSteps of the rate, all later ones the whole: fairseq's `fixed` (spec 3.8). */
export function constantWithWarmup({ learningRate, warmupSteps }: ConstantOptions): Schedule {
  requireSteps('constantWithWarmup', 'warmupSteps', warmupSteps, 0);
  return (step) => ({ learningRate: learningRate * warmupFactor(step, warmupSteps) });
}

export interface CosineOptions extends ConstantOptions {
  /** The step at which the minimum is reached. */
  totalSteps: number;
  /** Default 0. */
  minimumLearningRate?: number;
}

/** The same warm-up, then half a cosine down to the minimum, which stays. */
export function cosineWithWarmup(options: CosineOptions): Schedule {
  const { learningRate, warmupSteps, totalSteps, minimumLearningRate = 0 } = options;
  requireSteps('cosineWithWarmup', 'warmupSteps', warmupSteps, 0);
  requireSteps('cosineWithWarmup', 'totalSteps', totalSteps, warmupSteps + 1);
  return (step) => {
    if (step < warmupSteps) return { learningRate: learningRate * warmupFactor(step, warmupSteps) };
    const progress = Math.min(1, (step - warmupSteps) / (totalSteps - warmupSteps));
    return { learningRate: cosine(learningRate, minimumLearningRate, progress) };
  };
}

export interface OneCycleOptions {
  maxLearningRate: number;
  totalSteps: number;
  /** Part of the steps in which the rate rises. Default 0.3. */
  warmupFraction?: number;
  anneal?: 'cosine' | 'linear';
  /** The first rate is maxLearningRate over this. Default 25. */
  initialDivisor?: number;
  /** The last rate is the first over this. Default 10,000. */
  finalDivisor?: number;
  /** beta1 where the rate is highest. Default 0.85. */
  minBeta1?: number;
  /** beta1 at both ends. Default 0.95. */
  maxBeta1?: number;
}

/** PyTorch's OneCycleLR in two phases with its cycle of momentum, which falls while the rate rises (spec 2.7, quirk 14). */
export function oneCycle(options: OneCycleOptions): Schedule {
  const { maxLearningRate, totalSteps, warmupFraction = 0.3, anneal = 'cosine' } = options;
  const { initialDivisor = 25, finalDivisor = 1e4, minBeta1 = 0.85, maxBeta1 = 0.95 } = options;
  requireSteps('oneCycle', 'totalSteps', totalSteps, 2);
  if (!(warmupFraction >= 0 && warmupFraction <= 1))
    throw new ArgumentError(
      `oneCycle: expected warmupFraction between 0 and 1, received ${describeValue(warmupFraction)}`,
    );
  if (anneal !== 'cosine' && anneal !== 'linear')
    throw new ArgumentError(`oneCycle: expected anneal cosine or linear, received ${describeValue(anneal)}`);
  const between = anneal === 'cosine' ? cosine : linear;
  const first = maxLearningRate / initialDivisor;
  // One step earlier than the fraction says, and not a whole number in general: PyTorch's arithmetic.
  const top = warmupFraction * totalSteps - 1;
  return (step) => {
    if (step >= totalSteps)
      throw new ArgumentError(`oneCycle: step ${step} of a schedule of ${totalSteps} steps`);
    if (step <= top) {
      const rise = top === 0 ? 1 : step / top;
      return {
        learningRate: between(first, maxLearningRate, rise),
        beta1: between(maxBeta1, minBeta1, rise),
      };
    }
    const fall = (step - top) / (totalSteps - 1 - top);
    return {
      learningRate: between(maxLearningRate, first / finalDivisor, fall),
      beta1: between(minBeta1, maxBeta1, fall),
    };
  };
}

function warmupFactor(step: number, warmupSteps: number): number {
  return step < warmupSteps ? (step + 1) / warmupSteps : 1;
}

function linear(from: number, to: number, progress: number): number {
  return from + (to - from) * progress;
}

function cosine(from: number, to: number, progress: number): number {
  return to + ((from - to) / 2) * (1 + Math.cos(Math.PI * progress));
}

function requireSteps(schedule: string, name: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  throw new ArgumentError(
    `${schedule}: expected ${name} to be a whole number of at least ${least}, received ${describeValue(value)}`,
  );
}
