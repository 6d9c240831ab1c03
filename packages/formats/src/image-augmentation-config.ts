// How pictures are changed for training: plain JSON, a part of a run's configuration.

import { type ColourStatistics, IMAGENET_MEAN, IMAGENET_STD } from './image/normalise.js';
import { parseRandAugment, RAND_AUGMENT_FORM } from './image/rand-augment-text.js';
import {
  field,
  type Infer,
  integer,
  nullable,
  number,
  object,
  oneOf,
  type ReportProblem,
  schemaOf,
} from './schema.js';

/** Of a picture's own size; more padding than that is a slip of the pen. */
const MOST_PADDING = 1024;

const range = (doc: string, min: number, max: number) =>
  field(doc, object({ min: field('Least.', positive()), max: field('Most.', positive()) }), { min, max });

function triple(expected: string, accepts: (value: number) => boolean) {
  return schemaOf(
    expected,
    (value): value is ColourStatistics =>
      Array.isArray(value) &&
      value.length === 3 &&
      value.every((one) => typeof one === 'number' && Number.isFinite(one) && accepts(one)),
  );
}

function positive() {
  return number({ above: 0, max: 1000 });
}

function chance() {
  return number({ min: 0, max: 1 });
}

const randAugment = schemaOf(
  RAND_AUGMENT_FORM,
  (value): value is string => typeof value === 'string' && parseRandAugment(value) !== undefined,
);

/** Training augmentation in the order in which it happens (spec 4.6). Every default is the published value. */
export const imageAugmentationSchema = object(
  {
    crop: field(
      'random-resized: a part of random size and shape; pad-and-crop: shifted by a few pixels, for small pictures; none: the middle.',
      oneOf('random-resized', 'pad-and-crop', 'none'),
      'random-resized',
    ),
    scale: range('Part of the area that a random-resized crop shows.', 0.08, 1),
    ratio: range('Width over height of a random-resized crop.', 3 / 4, 4 / 3),
    padding: field(
      'Black pixels added on every side before a crop (pad-and-crop).',
      integer({ min: 0, max: MOST_PADDING }),
      4,
    ),
    interpolation: field(
      'How pixels between pixels are found, in crops and in RandAugment; random: bilinear or bicubic.',
      oneOf('bilinear', 'bicubic', 'random'),
      'bicubic',
    ),
    flip: field('Probability of mirroring left and right.', chance(), 0.5),
    randAugment: field(
      "RandAugment in timm's notation, or null.",
      nullable(randAugment),
      'rand-m9-mstd0.5-inc1',
    ),
    colorJitter: field(
      'Largest change of brightness, contrast and saturation; RandAugment, where there is any, takes its place (as in timm).',
      number({ min: 0, max: 1 }),
      0.4,
    ),
    erasing: field('Probability that a rectangle is replaced by noise.', chance(), 0.25),
    mixup: field('Alpha of the beta distribution of mixup; 0: no mixup.', number({ min: 0, max: 100 }), 0.8),
    cutmix: field('Alpha of the beta distribution of cutmix; 0: no cutmix.', number({ min: 0, max: 100 }), 1),
    mixProbability: field('Probability that a batch is mixed at all.', chance(), 1),
    cutmixShare: field('Probability of cutmix where both could be.', chance(), 0.5),
    smoothing: field(
      'Part of the target that is spread over all classes.',
      number({ min: 0, below: 1 }),
      0.1,
    ),
    mean: field(
      'Subtracted from pixels of 0 to 1: red, green, blue.',
      triple('three numbers from 0 to 1', (value) => value >= 0 && value <= 1),
      IMAGENET_MEAN,
    ),
    std: field(
      'What they are divided by then.',
      triple('three numbers above 0 and at most 1', (value) => value > 0 && value <= 1),
      IMAGENET_STD,
    ),
  },
  (augmentation, report) => {
    checkRange('scale', augmentation.scale, report);
    checkRange('ratio', augmentation.ratio, report);
    if (augmentation.scale.max > 1)
      report('scale', `expected at most 1, the whole picture, received ${augmentation.scale.max}`);
  },
);

export type ImageAugmentationConfig = Infer<typeof imageAugmentationSchema>;

function checkRange(key: string, { min, max }: { min: number; max: number }, report: ReportProblem): void {
  if (min > max) report(key, `expected min to be at most max, received ${min} and ${max}`);
}
