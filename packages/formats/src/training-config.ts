// The configuration of a training run, of any kind of model.

import { classifierSchema } from './classifier-config.js';
import { imageClassifierSchemas } from './image-classifier-config.js';
import { type ImageTrainingConfig, imageTrainingSchema } from './image-training-config.js';
import { languageModelSchema } from './language-model-config.js';
import {
  boolean,
  byKind,
  field,
  type Infer,
  integer,
  nullable,
  object,
  oneOf,
  type ReportProblem,
} from './schema.js';
import { size } from './sizes.js';
import { checkBudget, dataName, dataPath, keeping, recipeName, updates } from './training-settings.js';

/** One training run of a language model, complete: with the data and the seed it determines the result. */
export const languageModelTrainingSchema = object(
  {
    kind: field('What this configuration describes.', oneOf('training')),
    recipe: recipeName,
    model: field('The model that is trained.', languageModelSchema),
    data: field('The data that are read.', object({ name: dataName, path: dataPath })),
    segmentLength: field('Tokens of each lane in one step of truncated back-propagation.', size()),
    batchSize: field('Lanes: contiguous streams trained side by side.', size()),
    ...updates,
    evaluateTokens: field('Tokens of the validation part used by one evaluation.', integer({ min: 1 })),
    activationCheckpointing: field(
      'Recompute activations in the backward pass to save memory.',
      boolean(),
      false,
    ),
    resetMemoryAtEpoch: field('Forget the memory where the data start again.', boolean(), true),
    ...keeping,
  },
  (run, report) => {
    checkBudget(run, report);
    checkSegment(run, report);
  },
);

/** One training run of a classifier, complete. */
export const classifierTrainingSchema = object(
  {
    kind: field('What this configuration describes.', oneOf('classifier-training')),
    recipe: recipeName,
    model: field('The model that is trained.', classifierSchema),
    data: field(
      'The data that are read.',
      object({
        name: dataName,
        path: dataPath,
        split: field(
          'held-out: examples of the training part choose the checkpoint; published: the parts of the published numbers, where ' +
            'those of Text chose it on the test part.',
          oneOf('held-out', 'published'),
          'held-out',
        ),
        examples: field(
          'Examples to generate for training, where the data are generated; null: as many as published.',
          nullable(size()),
          null,
        ),
      }),
    ),
    documentLength: field('Tokens of a document that are read; what comes after is cut.', size()),
    batchSize: field('Examples of one step.', size()),
    ...updates,
    recomputeKeys: field(
      'Compute keys and values of long-short attention again in the backward pass: less memory, more time.',
      boolean(),
      false,
    ),
    evaluateExamples: field(
      'Examples of the validation part used by one evaluation; null: all.',
      nullable(size()),
      null,
    ),
    ...keeping,
  },
  (run, report) => {
    checkBudget(run, report);
    const { documentLength, model } = run;
    if (documentLength > model.maxLength)
      report(
        'documentLength',
        `expected at most model.maxLength ${model.maxLength}, received ${documentLength}`,
      );
  },
);

/** A model of any kind; `kind` tells which. */
export const modelSchema = byKind({
  'language-model': languageModelSchema,
  'sequence-classifier': classifierSchema,
  ...imageClassifierSchemas,
});

/** A run of any kind; `kind` tells which. */
export const trainingSchema = byKind({
  training: languageModelTrainingSchema,
  'classifier-training': classifierTrainingSchema,
  'image-training': imageTrainingSchema,
});

export type LanguageModelTrainingConfig = Infer<typeof languageModelTrainingSchema>;
export type ClassifierTrainingConfig = Infer<typeof classifierTrainingSchema>;
export type TrainingConfig = LanguageModelTrainingConfig | ClassifierTrainingConfig | ImageTrainingConfig;

/** The published attention cuts a segment longer than the window into whole windows (spec section 3.1). */
function checkSegment(
  run: { segmentLength: number; model: { mode: 'consistent' | 'reference'; windowSize: number } },
  report: ReportProblem,
): void {
  const { segmentLength, model } = run;
  if (
    model.mode === 'consistent' ||
    segmentLength <= model.windowSize ||
    segmentLength % model.windowSize === 0
  )
    return;
  const expected = `expected at most windowSize ${model.windowSize} or a multiple of it in reference mode`;
  report('segmentLength', `${expected}, received ${segmentLength}`);
}
