// The configuration of CvT-LS: a convolutional vision transformer with long-short attention (spec section 6), or with its own full one.

import { boolean, field, type Infer, list, number, object, oneOf, type ReportProblem } from './schema.js';
import { layerCount, probability, size, sizeOrZero } from './sizes.js';

/** One stage: a convolution makes tokens of the previous stage's map, and blocks work on them. */
const stageSchema = object({
  layers: field('Number of blocks.', layerCount()),
  modelDim: field('Width of the hidden states; a multiple of heads.', size()),
  heads: field('Attention heads of each block.', size()),
  embeddingKernel: field('Side of the kernel that makes tokens; at least embeddingStride.', size()),
  embeddingStride: field("Rows and columns of the previous stage's map for one of tokens.", size()),
  projectionKernel: field('Side of the depth-wise kernels before queries, keys and values; odd.', size(), 3),
  attention: field(
    'How the tokens of the grid attend to one another.',
    oneOf('long-short', 'full'),
    'long-short',
  ),
  windowSize: field('Side of the square segments (long-short); 0: no window.', sizeOrZero(), 7),
  projectionRank: field(
    'Vectors per head that the grid is compressed to (long-short); 0: none.',
    sizeOrZero(),
    8,
  ),
  keyValueStride: field('Rows and columns of tokens for one of keys and values (full).', size(), 2),
});

/** A vision model with an image of 3 channels in and one of several classes out. */
export const cvtLsSchema = object(
  {
    kind: field('What this configuration describes.', oneOf('cvt-ls')),
    mode: field(
      'consistent is the only one: no code of CvT-LS was published that there could be a reference to.',
      oneOf('consistent'),
      'consistent',
    ),
    imageHeight: field('Rows of pixels.', size()),
    imageWidth: field('Columns of pixels.', size()),
    channels: field('Colours of a pixel.', size(), 3),
    classes: field('Number of classes.', size()),
    stages: field('From the image to the last, coarsest grid.', list(stageSchema, { min: 1, max: 8 })),
    classToken: field(
      'Whether the last stage has a learned token that stands for the image; else the mean over its tokens does.',
      boolean(),
      true,
    ),
    innerRatio: field(
      'Width inside the feed-forward parts, as a multiple of modelDim.',
      number({ above: 0 }),
      4,
    ),
    activation: field(
      'gelu, or quick-gelu: x sigmoid(1.702 x), as in the published CvT.',
      oneOf('gelu', 'quick-gelu'),
      'gelu',
    ),
    scoreScale: field(
      'Scores are divided by the root of the head size, or of modelDim as in the published CvT.',
      oneOf('head-size', 'model-dim'),
      'head-size',
    ),
    queryKeyValueBiases: field(
      'Whether the projections to queries, keys and values have biases.',
      boolean(),
      true,
    ),
    dropout: field(
      'Dropout probability on embeddings, after attention and in the feed-forward parts.',
      probability(),
      0,
    ),
    attentionDropout: field('Dropout probability on attention weights.', probability(), 0),
    dropPath: field(
      'Probability that a sample skips the last block; it rises from 0 in the first block of the last stage.',
      probability(),
      0,
    ),
  },
  (model, report) => {
    for (const [index, stage] of model.stages.entries()) {
      const seesClassToken = model.classToken && index === model.stages.length - 1;
      checkStage(stage, seesClassToken, index, report);
    }
    checkGrids(model, report);
  },
);

export type CvtLsConfig = Infer<typeof cvtLsSchema>;
export type CvtLsStage = CvtLsConfig['stages'][number];

/** Zeros around the map before a stage's embedding: 2 for a kernel of 7 and a stride of 4, 1 for 3 and 2, as in the published CvT. */
export function cvtEmbeddingPadding({
  embeddingKernel,
  embeddingStride,
}: Pick<CvtLsStage, 'embeddingKernel' | 'embeddingStride'>): number {
  return Math.ceil((embeddingKernel - embeddingStride) / 2);
}

/** Rows and columns of each stage's grid: as many places as the embedding's kernel has in the padded map. */
export function cvtLsGrids({
  imageHeight,
  imageWidth,
  stages,
}: Pick<CvtLsConfig, 'imageHeight' | 'imageWidth' | 'stages'>): { rows: number; columns: number }[] {
  let [rows, columns] = [imageHeight, imageWidth];
  return stages.map((stage) => {
    const { embeddingKernel: kernel, embeddingStride: stride } = stage;
    const places = (side: number) =>
      Math.max(0, Math.floor((side + 2 * cvtEmbeddingPadding(stage) - kernel) / stride) + 1);
    [rows, columns] = [places(rows), places(columns)];
    return { rows, columns };
  });
}

function checkStage(stage: CvtLsStage, seesClassToken: boolean, index: number, report: ReportProblem): void {
  const { modelDim, heads, embeddingKernel, embeddingStride, projectionKernel } = stage;
  const { attention, windowSize, projectionRank } = stage;
  const at = (key: string) => `stages[${index}].${key}`;
  if (modelDim % heads !== 0)
    report(at('heads'), `expected a divisor of modelDim ${modelDim}, received ${heads}`);
  if (embeddingKernel < embeddingStride)
    report(
      at('embeddingKernel'),
      `expected at least embeddingStride ${embeddingStride}, received ${embeddingKernel}`,
    );
  if (projectionKernel % 2 === 0)
    report(at('projectionKernel'), `expected an odd number, received ${projectionKernel}`);
  if (attention === 'long-short' && windowSize === 0 && projectionRank === 0 && !seesClassToken)
    report(at('windowSize'), 'expected a window or a projection, received 0 for both');
}

/** A kernel needs a place on the map. Only the first stage without one is named: the later ones have none because of it. */
function checkGrids(model: Parameters<typeof cvtLsGrids>[0], report: ReportProblem): void {
  const grids = cvtLsGrids(model);
  const index = grids.findIndex(({ rows, columns }) => rows === 0 || columns === 0);
  if (index < 0) return;
  const { rows, columns } = grids[index - 1] ?? { rows: model.imageHeight, columns: model.imageWidth };
  const { embeddingKernel } = model.stages[index]!;
  report(
    `stages[${index}].embeddingKernel`,
    `expected a kernel that fits on the map of ${rows} x ${columns} before it, received ${embeddingKernel}`,
  );
}
