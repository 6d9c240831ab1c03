/** Optimisers, gradient clipping and learning-rate schedules. */
export { Adam, type AdamOptions, type AdamSetting, AdamW, AdamWDecayAfter } from './adamw.js';
export { clipGradNorm } from './clip.js';
export {
  type Entry,
  type Group,
  Optimizer,
  type ParameterGroup,
  type Parameters,
  type StepOptions,
  type Update,
} from './optimizer.js';
export type { OptimizerState, SavedOptimizer } from './optimizer-state.js';
export * from './schedule.js';
export { SGD, type SGDOptions, type SGDSetting } from './sgd.js';
