/** Training: recipes, the loop, and what it needs of a task. */
export type { DataPlaces } from './parts.js';
export { Precision } from './precision.js';
export { type GradientSum, Ranks, type RanksOptions } from './ranks.js';
export { recipe, recipeNames } from './recipes.js';
export { type Budgets, progressOf, scheduledSettings, type Used } from './schedule.js';
export type { Evaluation, MicroBatch, TaskState, TrainingTask } from './task.js';
export {
  Trainer,
  type TrainerOptions,
  type TrainingEnd,
  TrainingError,
  type TrainingResult,
} from './trainer.js';
export type { BestEvaluation, TrainerCounters } from './trainer-counters.js';
export {
  openTraining,
  type Training,
  type TrainingObserver,
  type TrainingRequest,
} from './training.js';
