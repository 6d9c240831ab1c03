// The configurations of a model and of a training run. Field names are those of the code, the flags and the checkpoints.

import {
  boolean,
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

// Sizes end up as dimensions of tensors and as 32-bit loop counters of native kernels.
const LARGEST_SIZE = 2 ** 31 - 1;
const size = () => integer({ min: 1, max: LARGEST_SIZE });
const sizeOrZero = () => integer({ min: 0, max: LARGEST_SIZE });
const probability = () => number({ min: 0, below: 1 });

/** A causal Transformer-LS language model. Lengths are counted in tokens. */
export const languageModelSchema = object(
  {
    kind: field('What this configuration describes.', oneOf('language-model')),
    mode: field(
      'consistent: results do not depend on how the input is cut; reference: the published code, quirks included.',
      oneOf('consistent', 'reference'),
      'consistent',
    ),
    vocabularySize: field('Number of token ids.', size()),
    layers: field('Number of blocks.', size()),
    modelDim: field('Width of the hidden states; even, and a multiple of heads.', size()),
    heads: field('Attention heads of each block.', size()),
    innerDim: field('Width inside the feed-forward part.', size()),
    windowSize: field('Tokens a query sees one by one: itself and those just before it.', size()),
    chunkSize: field('Tokens compressed together into one chunk.', size()),
    projectionRank: field('Vectors each chunk is compressed to; 0 leaves only the window.', sizeOrZero()),
    memoryLength: field(
      "Tokens before the query's own chunk whose compressed chunks are kept; a multiple of chunkSize.",
      sizeOrZero(),
    ),
    activation: field('Activation of the feed-forward part.', oneOf('gelu', 'relu'), 'gelu'),
    normPlacement: field(
      'Layer norm before (pre) or after (post) each part; post only in reference mode.',
      oneOf('pre', 'post'),
      'pre',
    ),
    projectionBiases: field(
      'Whether the query, key, value and output projections have biases.',
      boolean(),
      false,
    ),
    dropout: field('Dropout probability after attention and inside the feed-forward part.', probability(), 0),
    embeddingDropout: field(
      'Dropout probability on embeddings and on the last hidden states.',
      probability(),
      0,
    ),
    windowPositionClamp: field(
      'Largest distance told apart inside the window; null: all.',
      nullable(size()),
      null,
    ),
    chunkPositionClamp: field('Largest chunk position told apart; null: all.', nullable(size()), null),
  },
  (model, report) => {
    checkWidths(model, report);
    checkMemory(model, report);
  },
);

export type LanguageModelConfig = Infer<typeof languageModelSchema>;

function checkWidths(model: { modelDim: number; heads: number }, report: ReportProblem): void {
  const { modelDim, heads } = model;
  if (modelDim % heads !== 0)
    report('heads', `expected a divisor of modelDim ${modelDim}, received ${heads}`);
  if (modelDim % 2 !== 0)
    report('modelDim', `expected an even number (half sines, half cosines), received ${modelDim}`);
}

interface MemorySettings {
  mode: 'consistent' | 'reference';
  memoryLength: number;
  chunkSize: number;
  windowSize: number;
  normPlacement: 'pre' | 'post';
}

function checkMemory(model: MemorySettings, report: ReportProblem): void {
  const { mode, memoryLength, chunkSize, windowSize, normPlacement } = model;
  if (memoryLength % chunkSize !== 0) {
    report('memoryLength', `expected a multiple of chunkSize ${chunkSize}, received ${memoryLength}`);
  }
  if (mode === 'reference' && memoryLength < windowSize) {
    report(
      'memoryLength',
      `expected at least windowSize ${windowSize} in reference mode, received ${memoryLength}`,
    );
  }
  if (mode === 'consistent' && normPlacement === 'post') {
    report('normPlacement', 'expected pre in consistent mode, received post');
  }
}

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

const dataSchema = object({
  name: field('Name of the data set.', text()),
  path: field('File or folder of the data; null: the usual place of the data set.', nullable(text()), null),
});

/** One training run, complete: with the data and the seed it determines the result. */
export const trainingSchema = object(
  {
    kind: field('What this configuration describes.', oneOf('training')),
    recipe: field('Name of the recipe the run started from.', text()),
    model: field('The model that is trained.', languageModelSchema),
    data: field('The data that are read.', dataSchema),
    segmentLength: field('Tokens of each lane in one step of truncated back-propagation.', size()),
    batchSize: field('Lanes: contiguous streams trained side by side.', size()),
    gradientAccumulation: field('Segments whose gradients are added before one update.', size(), 1),
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
    evaluateTokens: field('Tokens of the validation part used by one evaluation.', integer({ min: 1 })),
    checkpointEverySteps: field('Updates between two checkpoints.', size()),
    keepCheckpoints: field('Newest checkpoints that are kept.', integer({ min: 2, max: LARGEST_SIZE }), 2),
    precision: field(
      'Number type of the forward pass; weights stay float32.',
      oneOf('float32', 'bfloat16', 'float16'),
      'float32',
    ),
    activationCheckpointing: field(
      'Recompute activations in the backward pass to save memory.',
      boolean(),
      false,
    ),
    stopAfterNonFinite: field('Give up after this many updates in a row with NaN or infinity.', size(), 10),
    initialWeights: field(
      'Checkpoint or weight file to start from; null: random weights.',
      nullable(text()),
      null,
    ),
    resetMemoryAtEpoch: field('Forget the memory where the data start again.', boolean(), true),
    seed: field('Seed of every random choice.', integer({ min: 0 })),
    threads: field('CPU threads; null: as many as there are cores.', nullable(size()), null),
    device: field('Where the model runs.', schemaOf('cpu, cuda or cuda:<number>', isDevice), 'cpu'),
  },
  (run, report) => {
    checkBudget(run, report);
    checkSegment(run, report);
  },
);

export type TrainingConfig = Infer<typeof trainingSchema>;

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
  if (maxSteps === null && schedule.name === 'one-cycle')
    report('maxSteps', 'expected a number for the schedule one-cycle, received null');
}

/** The published attention cuts a segment longer than the window into whole windows (spec section 3.1). */
function checkSegment(run: { segmentLength: number; model: MemorySettings }, report: ReportProblem): void {
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
