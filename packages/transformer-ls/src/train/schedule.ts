/** How far a run is, and the learning rate that belongs to it. */
import type { TrainingConfig } from '@transformer-ls/formats';
import { oneCycle, type ScheduledSettings } from '@transformer-ls/torch';

/** What has been used of the budgets. */
export interface Used {
  readonly steps: number;
  readonly tokens: number;
  readonly seconds: number;
}

export type Budgets = Pick<TrainingConfig, 'maxSteps' | 'maxTokens' | 'maxSeconds'>;

/** The largest used part of the budgets given: 0 at the start, 1 or more at the end. */
export function progressOf(used: Used, { maxSteps, maxTokens, maxSeconds }: Budgets): number {
  const part = (done: number, limit: number | null) => (limit === null ? 0 : done / limit);
  return Math.max(part(used.steps, maxSteps), part(used.tokens, maxTokens), part(used.seconds, maxSeconds));
}

/**
 * Settings of the next update. The rate rises over `warmupSteps` and falls with the progress, whatever the run is limited by,
 * so that it reaches its end in time. Runs limited by steps or tokens can be repeated bit for bit; where seconds limit a run
 * the falling part depends on the speed of the machine.
 *
 * `one-cycle` is PyTorch's, counted in steps (spec 2.7): it needs `maxSteps`. `vision-cosine` is that of the published vision models
 * (spec 4.6): its cosine counts from the first step, so that it has fallen a little where the warm-up ends, and begins there.
 */
export function scheduledSettings(
  config: Pick<TrainingConfig, 'optimizer' | 'schedule'> & Budgets,
  used: Used,
): ScheduledSettings {
  const { optimizer, schedule } = config;
  const { name, warmupSteps, finalLearningRateFraction: last } = schedule;
  const rise = used.steps < warmupSteps ? (used.steps + 1) / warmupSteps : 1;
  const peak = optimizer.learningRate;
  if (name === 'constant') return { learningRate: peak * rise };
  if (name === 'one-cycle') return oneCycleSettings(config, used.steps);
  const progress = Math.min(1, progressOf(used, config));
  const fallen = last + ((1 - last) / 2) * (1 + Math.cos(Math.PI * progress));
  if (name === 'cosine') return { learningRate: peak * rise * fallen };
  const { warmupFraction, initialLearningRateFraction: first } = schedule;
  const warmth = progress < warmupFraction ? progress / warmupFraction : 1;
  return { learningRate: peak * (warmth < 1 ? first + (1 - first) * warmth : fallen) };
}

const ONE_CYCLE_START = 25;

function oneCycleSettings(
  { optimizer, schedule, maxSteps }: Pick<TrainingConfig, 'optimizer' | 'schedule' | 'maxSteps'>,
  step: number,
): ScheduledSettings {
  if (maxSteps === null) throw new RangeError('the schedule one-cycle needs maxSteps');
  const totalSteps = maxSteps;
  return oneCycle({
    maxLearningRate: optimizer.learningRate,
    totalSteps,
    warmupFraction: schedule.warmupSteps / totalSteps,
    anneal: 'linear',
    initialDivisor: ONE_CYCLE_START,
    finalDivisor: 1 / (ONE_CYCLE_START * schedule.finalLearningRateFraction),
  })(Math.min(step, totalSteps - 1));
}
