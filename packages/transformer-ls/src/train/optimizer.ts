import type { TrainingConfig } from '@transformer-ls/formats';
import { Adam, AdamW, type Tensor } from '@transformer-ls/torch';
import type { TrainingTask } from './task.js';

/** The optimiser of a run: parameters that take part in weight decay in one group, the others in a second. */
export function createOptimizer(config: TrainingConfig['optimizer'], task: TrainingTask): Adam | AdamW {
  const { name, ...settings } = config;
  const decayed = new Map<string, Tensor>();
  const others = new Map<string, Tensor>();
  for (const [path, parameter] of task.model.namedParameters())
    (task.decays(path, parameter) ? decayed : others).set(path, parameter);
  const groups = [{ parameters: decayed }, { parameters: others, weightDecay: 0 }].filter(
    ({ parameters }) => parameters.size > 0,
  );
  return name === 'adam' ? new Adam(groups, settings) : new AdamW(groups, settings);
}
