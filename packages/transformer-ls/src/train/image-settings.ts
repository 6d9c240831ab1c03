/** What a run on pictures can only know once they are open. */
import {
  ConfigError,
  type ImageTrainingConfig,
  imageTrainingSchema,
  parseConfig,
  type TrainingConfig,
} from '@transformer-ls/formats';

export interface FoundInPictures {
  readonly classes: number;
  readonly batchesPerEpoch: number;
}

/**
 * With the steps that so many epochs take, and as many classes as there are.
 *
 * @param classesFromData false: the model's number of classes must be theirs
 * @throws ConfigError where it is not, or where the schedule does not fit into the steps
 */
export function completed(
  config: ImageTrainingConfig,
  { classes, batchesPerEpoch }: FoundInPictures,
  classesFromData: boolean,
): ImageTrainingConfig {
  const { maxEpochs, gradientAccumulation, model, data } = config;
  if (!classesFromData && classes !== model.classes)
    throw new ConfigError([
      `model.classes: expected ${classes}, the classes of ${data.name}, received ${model.classes}`,
    ]);
  const maxSteps =
    maxEpochs === null
      ? config.maxSteps
      : Math.max(1, Math.floor((maxEpochs * batchesPerEpoch) / gradientAccumulation));
  return parseConfig(imageTrainingSchema, { ...config, maxSteps, model: { ...model, classes } });
}

/** What was asked for, completed as a run that was begun is: to tell whether it is the same run. */
export function completedLike(
  begun: TrainingConfig,
  asked: TrainingConfig,
  classesFromData: boolean,
): TrainingConfig {
  if (begun.kind !== 'image-training' || asked.kind !== 'image-training') return asked;
  const { maxSteps } = asked.maxEpochs === null ? asked : begun;
  const { classes } = classesFromData ? begun.model : asked.model;
  return { ...asked, maxSteps, model: { ...asked.model, classes } };
}
