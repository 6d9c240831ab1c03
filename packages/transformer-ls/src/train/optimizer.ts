import type { TrainingConfig } from '@transformer-ls/formats';
import { Adam, AdamW, AdamWDecayAfter, type Tensor } from '@transformer-ls/torch';
import type { TrainingTask } from './task.js';

export type TrainingOptimizer = Adam | AdamW | AdamWDecayAfter;

const rules = { adam: Adam, adamw: AdamW, 'adamw-decay-after': AdamWDecayAfter } as const;

/** The optimiser of a run: parameters that take part in weight decay in one group, the others in a second. */
export function createOptimizer(
  config: TrainingConfig['optimizer'],
  task: Pick<TrainingTask, 'model' | 'decays'>,
): TrainingOptimizer {
  const { name, ...settings } = config;
  const decayed = new Map<string, Tensor>();
  const others = new Map<string, Tensor>();
  for (const [path, parameter] of task.model.namedParameters())
    (task.decays(path, parameter) ? decayed : others).set(path, parameter);
  const groups = [{ parameters: decayed }, { parameters: others, weightDecay: 0 }].filter(
    ({ parameters }) => parameters.size > 0,
  );
  return new rules[name](groups, settings);
}
