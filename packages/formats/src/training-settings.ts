// What every training run has, whatever it trains: how weights are updated, what ends it, what is kept.

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
  text,
} from './schema.js';
import { LARGEST_SIZE, probability, size, sizeOrZero } from './sizes.js';

type Device = 'cpu' | 'cuda' | `cuda:${number}`;

function isDevice(value: unknown): value is Device {
  return typeof value === 'string' && /^(cpu|cuda(:\d{1,3})?)$/.test(value);
}

const optimizerSchema = object({
  name: field(
    "Update rule; adam is fairseq's, adamw-decay-after that of vision. Weights decay apart from the gradient.",
    oneOf('adamw', 'adam', 'adamw-decay-after'),
  ),
  learningRate: field('Peak learning rate.', number({ above: 0 })),
  beta1: field('Decay of the running mean of gradients.', probability(), 0.9),
  beta2: field('Decay of the running mean of squared gradients.', probability(), 0.999),
  epsilon: field('Added to the denominator of an update.', number({ above: 0 }), 1e-8),
  weightDecay: field('Weight decay per step, times the learning rate.', number({ min: 0 }), 0),
});

const scheduleSchema = object(
  {
    name: field(
      'Course of the learning rate after warm-up; vision-cosine is that of the published vision models.',
      oneOf('constant', 'cosine', 'one-cycle', 'vision-cosine'),
    ),
    warmupSteps: field(
      'Steps of linear rise to the peak; vision-cosine has warmupFraction.',
      sizeOrZero(),
      0,
    ),
    warmupFraction: field(
      'Part of the run in which vision-cosine rises to the peak.',
      number({ min: 0, max: 1 }),
      0,
    ),
    initialLearningRateFraction: field(
      'First learning rate of vision-cosine, as a part of the peak.',
      number({ min: 0, max: 1 }),
      0,
    ),
    finalLearningRateFraction: field(
      'Learning rate at the end, as a part of the peak.',
      number({ min: 0, max: 1 }),
      0.1,
    ),
  },
  (schedule, report) => {
    const isVision = schedule.name === 'vision-cosine';
    const others = isVision
      ? (['warmupSteps'] as const)
      : (['warmupFraction', 'initialLearningRateFraction'] as const);
    for (const key of others)
      if (schedule[key] !== 0)
        report(key, `expected 0 for the schedule ${schedule.name}, received ${schedule[key]}`);
  },
);

export const dataName = field('Name of the data set.', text());
export const dataPath = field(
  'File or folder of the data; null: the usual place of the data set.',
  nullable(text()),
  null,
);

export const recipeName = field('Name of the recipe the run started from.', text());

export const updates = {
  gradientAccumulation: field('Batches whose gradients are added before one update.', size(), 1),
  optimizer: field('How weights are updated.', optimizerSchema),
  schedule: field('How the learning rate changes.', scheduleSchema),
  clipNorm: field(
    'Largest norm of all gradients together; null: not limited.',
    nullable(number({ above: 0 })),
    null,
  ),
  emaDecay: field(
    'What a moving average of the weights, which is then evaluated and kept, keeps at an update; null: none.',
    nullable(number({ above: 0, below: 1 })),
    null,
  ),
  maxSteps: field('Stop after this many updates; null: no limit.', nullable(size()), null),
  maxTokens: field(
    'Stop after this many trained tokens, or pictures; null: no limit.',
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

export const keeping = {
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

interface Budget {
  readonly maxSteps: number | null;
  readonly maxTokens: number | null;
  readonly maxSeconds: number | null;
  /** Only where pictures are trained on. */
  readonly maxEpochs?: number | null;
  readonly schedule: Infer<typeof scheduleSchema>;
}

/** A run must end, and its schedule must fit into it. */
export function checkBudget(run: Budget, report: ReportProblem): void {
  const { maxSteps, schedule } = run;
  const limits = ['maxSteps', 'maxTokens', 'maxSeconds', 'maxEpochs'] as const;
  const own = limits.filter((key) => run[key] !== undefined);
  if (own.every((key) => run[key] === null))
    report(
      'maxSteps',
      `expected a limit in ${own.slice(0, -1).join(', ')} or ${own.at(-1)}, received null in all ${own.length === 4 ? 'four' : 'three'}`,
    );
  if (maxSteps !== null && schedule.warmupSteps > maxSteps) {
    report('schedule.warmupSteps', `expected at most maxSteps ${maxSteps}, received ${schedule.warmupSteps}`);
  }
  if (schedule.name === 'one-cycle' && (maxSteps === null || maxSteps < 2))
    report('maxSteps', `expected at least 2 for the schedule one-cycle, received ${maxSteps}`);
}
