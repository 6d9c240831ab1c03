// The configuration of training a vision model on labelled pictures.

import { PUBLISHED_CROP_RATIO } from './image/evaluation-view.js';
import { imageAugmentationSchema } from './image-augmentation-config.js';
import { imageClassifierSchemas } from './image-classifier-config.js';
import {
  byKind,
  field,
  type Infer,
  integer,
  nullable,
  number,
  object,
  oneOf,
  type ReportProblem,
} from './schema.js';
import { LARGEST_SIZE, size } from './sizes.js';
import { checkBudget, dataName, dataPath, keeping, recipeName, updates } from './training-settings.js';

/** More threads than that are a slip of the pen. */
const MOST_LOADER_THREADS = 64;

/** One training run of a vision model, complete: with the data and the seed it determines the result. */
export const imageTrainingSchema = object(
  {
    kind: field('What this configuration describes.', oneOf('image-training')),
    recipe: recipeName,
    model: field('The model that is trained.', byKind(imageClassifierSchemas)),
    data: field(
      'The pictures that are read.',
      object({
        name: dataName,
        path: dataPath,
        split: field(
          'held-out: pictures of the training part choose the checkpoint; published: the validation part, else the test part, does.',
          oneOf('held-out', 'published'),
          'held-out',
        ),
        heldOutEvery: field(
          'One training picture of so many is held out to choose the checkpoint, always the same ones.',
          integer({ min: 2, max: LARGEST_SIZE }),
          10,
        ),
        examples: field('Pictures to train on, chosen by the seed; null: all.', nullable(size()), null),
      }),
    ),
    augmentation: field('How pictures are changed for training.', imageAugmentationSchema),
    batchSize: field('Pictures of one batch; mixing is within it.', size()),
    ...updates,
    maxEpochs: field(
      'Passes through the training pictures; maxSteps follows from them. null: maxSteps stands.',
      nullable(size()),
      null,
    ),
    evaluationCropRatio: field(
      'Part of the short side of a picture that is seen in evaluation; 1 for small pictures at their own size.',
      number({ above: 0, max: 1 }),
      PUBLISHED_CROP_RATIO,
    ),
    evaluateExamples: field(
      'Pictures of the validation part used by one evaluation, chosen by the seed; null: all.',
      nullable(size()),
      null,
    ),
    loaderThreads: field(
      'Worker threads that read and change pictures; null: as many as suit the machine.',
      nullable(integer({ min: 1, max: MOST_LOADER_THREADS })),
      null,
    ),
    ...keeping,
  },
  (run, report) => {
    checkBudget(run, report);
    checkPictures(run.model, report);
  },
);

export type ImageTrainingConfig = Infer<typeof imageTrainingSchema>;

interface Pictures {
  readonly imageHeight: number;
  readonly imageWidth: number;
  readonly channels: number;
}

/** Pictures are cropped to squares of three colours. */
function checkPictures({ imageHeight, imageWidth, channels }: Pictures, report: ReportProblem): void {
  if (imageWidth !== imageHeight)
    report('model.imageWidth', `expected imageHeight ${imageHeight} for training, received ${imageWidth}`);
  if (channels !== 3) report('model.channels', `expected 3, the colours of a picture, received ${channels}`);
}
