// The configuration of a training run, of either kind of model.

import { classifierSchema } from './classifier-config.js';
import { imageClassifierSchemas } from './image-classifier-config.js';
import { languageModelSchema } from './language-model-config.js';
import {
  boolean,
  byKind,
  field,
  type Infer,
  integer,
  nullable,
  number,
  object,
  oneOf,
  type ReportProblem,
  schemaOf,
  text,
} from './schema.js';
import { LARGEST_SIZE, probability, size, sizeOrZero } from './sizes.js';

type Device = 'cpu' | 'cuda' | `cuda:${number}`;

function isDevice(value: unknown): value is Device {
  return typeof value === 'string' && /^(cpu|cuda(:\d{1,3})?)$/.test(value);
}

const optimizerSchema = object({
  name: field('Update rule; both decay weights apart from the gradient.', oneOf('adamw', 'adam')),
  learningRate: field('Peak learning rate.', number({ above: 0 })),
  beta1: field('Decay of the running mean of gradients.', probability(), 0.9),
  beta2: field('Decay of the running mean of squared gradients.', probability(), 0.999),
  epsilon: field('Added to the denominator of an update.', number({ above: 0 }), 1e-8),
  weightDecay: field('Weight decay per step, times the learning rate.', number({ min: 0 }), 0),
});

const scheduleSchema = object({
  name: field('Course of the learning rate after warm-up.', oneOf('constant', 'cosine', 'one-cycle')),
  warmupSteps: field('Steps of linear rise to the peak.', sizeOrZero()),
  finalLearningRateFraction: field(
    'Learning rate at the end, as a part of the peak.',
    number({ min: 0, max: 1 }),
    0.1,
  ),
});

const dataName = field('Name of the data set.', text());
const dataPath = field(
  'File or folder of the data; null: the usual place of the data set.',
  nullable(text()),
  null,
);

/** What runs of both kinds have, before and after what each has for itself. */
const recipeName = field('Name of the recipe the run started from.', text());

const updates = {
  gradientAccumulation: field('Batches whose gradients are added before one update.', size(), 1),
  optimizer: field('How weights are updated.', optimizerSchema),
  schedule: field('How the learning rate changes.', scheduleSchema),
  clipNorm: field(
    'Largest norm of all gradients together; null: not limited.',
    nullable(number({ above: 0 })),
    null,
  ),
  maxSteps: field('Stop after this many updates; null: no limit.', nullable(size()), null),
  maxTokens: field(
    'Stop after this many trained tokens; null: no limit.',
    nullable(integer({ min: 1 })),
    null,
  ),
  maxSeconds: field(
    'Stop after this many seconds of training; null: no limit.',
    nullable(number({ above: 0 })),
    null,
  ),
  evaluateEverySteps: field('Updates between two evaluations.', size()),
};

const keeping = {
  checkpointEverySteps: field('Updates between two checkpoints.', size()),
  keepCheckpoints: field('Newest checkpoints that are kept.', integer({ min: 2, max: LARGEST_SIZE }), 2),
  precision: field(
    'Number type of the forward pass; weights stay float32.',
    oneOf('float32', 'bfloat16', 'float16'),
    'float32',
  ),
  stopAfterNonFinite: field('Give up after this many updates in a row with NaN or infinity.', size(), 10),
  initialWeights: field(
    'Checkpoint or weight file to start from; null: random weights.',
    nullable(text()),
    null,
  ),
  seed: field('Seed of every random choice.', integer({ min: 0 })),
  threads: field('CPU threads; null: as many as there are cores.', nullable(size()), null),
  device: field('Where the model runs.', schemaOf('cpu, cuda or cuda:<number>', isDevice), 'cpu'),
};

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

/** A run of either kind; `kind` tells which. */
export const trainingSchema = byKind({
  training: languageModelTrainingSchema,
  'classifier-training': classifierTrainingSchema,
});

export type LanguageModelTrainingConfig = Infer<typeof languageModelTrainingSchema>;
export type ClassifierTrainingConfig = Infer<typeof classifierTrainingSchema>;
export type TrainingConfig = LanguageModelTrainingConfig | ClassifierTrainingConfig;

interface Budget {
  maxSteps: number | null;
  maxTokens: number | null;
  maxSeconds: number | null;
  schedule: { name: 'constant' | 'cosine' | 'one-cycle'; warmupSteps: number };
}

function checkBudget({ maxSteps, maxTokens, maxSeconds, schedule }: Budget, report: ReportProblem): void {
  if (maxSteps === null && maxTokens === null && maxSeconds === null) {
    report('maxSteps', 'expected a limit in maxSteps, maxTokens or maxSeconds, received null in all three');
  }
  if (maxSteps !== null && schedule.warmupSteps > maxSteps) {
    report('schedule.warmupSteps', `expected at most maxSteps ${maxSteps}, received ${schedule.warmupSteps}`);
  }
  if (schedule.name === 'one-cycle' && (maxSteps === null || maxSteps < 2))
    report('maxSteps', `expected at least 2 for the schedule one-cycle, received ${maxSteps}`);
}

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
