// The configuration of ViL-LS: the published multi-stage vision model (spec 4.5).

import {
  boolean,
  field,
  type Infer,
  list,
  nullable,
  number,
  object,
  oneOf,
  type ReportProblem,
} from './schema.js';
import { layerCount, probability, size, sizeOrZero } from './sizes.js';

/** One stage: patches of the previous stage's map become tokens, and blocks work on them. */
const stageSchema = object({
  layers: field('Number of blocks.', layerCount()),
  modelDim: field('Width of the hidden states; a multiple of heads.', size()),
  heads: field('Attention heads of each block.', size()),
  patchSize: field("Side of the squares of the previous stage's map that become one token.", size()),
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
  globalTokens: field('Learned tokens that see the whole grid and that every token sees.', sizeOrZero(), 1),
  positions: field(
    'relative: a bias of the scores by displacement; absolute: a learned vector for each row and column.',
    oneOf('relative', 'absolute'),
    'relative',
  ),
});

/** A vision model with an image of 3 channels in and one of several classes out. */
export const vilLsSchema = object(
  {
    kind: field('What this configuration describes.', oneOf('vil-ls')),
    mode: field(
      'consistent: any height and width, a bias of its own for every displacement; reference: the published code, quirks included.',
      oneOf('consistent', 'reference'),
      'consistent',
    ),
    imageHeight: field('Rows of pixels.', size()),
    imageWidth: field('Columns of pixels.', size()),
    channels: field('Colours of a pixel.', size(), 3),
    classes: field('Number of classes.', size()),
    stages: field('From the image to the last, coarsest grid.', list(stageSchema, { min: 1, max: 8 })),
    pooling: field(
      'What stands for an image: the mean over the tokens of the last stage, or its first global token.',
      oneOf('mean', 'global-token'),
      'mean',
    ),
    innerRatio: field(
      'Width inside the feed-forward parts, as a multiple of modelDim.',
      number({ above: 0 }),
      4,
    ),
    normalizeEmbedding: field(
      'Whether the patches of each stage are normalised when they become tokens.',
      boolean(),
      true,
    ),
    queryKeyValueBiases: field(
      'Whether the projection to queries, keys and values has biases.',
      boolean(),
      true,
    ),
    scoreScale: field(
      'Factor of the queries; null: one over the root of the head size.',
      nullable(number({ above: 0 })),
      null,
    ),
    dropout: field(
      'Dropout probability on embeddings, after attention and in the feed-forward parts.',
      probability(),
      0,
    ),
    attentionDropout: field('Dropout probability on attention weights.', probability(), 0),
    dropPath: field(
      'Probability that a sample skips the last block; it rises from 0 in the first block.',
      probability(),
      0,
    ),
  },
  (model, report) => {
    for (const [index, stage] of model.stages.entries()) checkStage(model.mode, stage, index, report);
    checkPooling(model, report);
    if (model.mode === 'reference') checkPublishedSizes(model, report);
  },
);

export type VilLsConfig = Infer<typeof vilLsSchema>;
export type VilLsStage = VilLsConfig['stages'][number];

/** Rows and columns of each stage's grid: a stage needs a whole patch for a token, except in consistent mode, where it fills up the last. */
export function vilLsGrids({
  mode,
  imageHeight,
  imageWidth,
  stages,
}: Pick<VilLsConfig, 'mode' | 'imageHeight' | 'imageWidth' | 'stages'>): {
  rows: number;
  columns: number;
}[] {
  let [rows, columns] = [imageHeight, imageWidth];
  const tokens = mode === 'reference' ? Math.floor : Math.ceil;
  return stages.map(({ patchSize }) => {
    [rows, columns] = [tokens(rows / patchSize), tokens(columns / patchSize)];
    return { rows, columns };
  });
}

function checkStage(
  mode: VilLsConfig['mode'],
  { modelDim, heads, attention, windowSize, projectionRank, globalTokens, positions }: VilLsStage,
  index: number,
  report: ReportProblem,
): void {
  const at = (key: string) => `stages[${index}].${key}`;
  if (modelDim % heads !== 0)
    report(at('heads'), `expected a divisor of modelDim ${modelDim}, received ${heads}`);
  if (positions === 'absolute' && modelDim % 2 !== 0)
    report(at('modelDim'), `expected an even number for absolute positions, received ${modelDim}`);
  if (attention === 'full') return;
  if (windowSize === 0 && projectionRank === 0 && globalTokens === 0)
    report(at('windowSize'), 'expected a window, a projection or a global token, received 0 for all three');
  if (mode === 'reference' && globalTokens > 1)
    report(at('globalTokens'), `expected 0 or 1 in reference mode, received ${globalTokens}`);
  if (mode === 'reference' && windowSize === 0 && positions === 'relative')
    report(at('positions'), 'expected absolute without a window in reference mode, received relative');
}

function checkPooling(
  { pooling, stages }: Pick<VilLsConfig, 'pooling' | 'stages'>,
  report: ReportProblem,
): void {
  if (pooling === 'global-token' && stages.at(-1)?.globalTokens === 0)
    report('pooling', 'expected mean, since the last stage has no global token, received global-token');
}

/** The published code takes square images and grids of whole windows. */
function checkPublishedSizes(model: Parameters<typeof vilLsGrids>[0], report: ReportProblem): void {
  const { imageHeight, imageWidth, stages } = model;
  if (imageHeight !== imageWidth) {
    report('imageWidth', `expected imageHeight ${imageHeight} in reference mode, received ${imageWidth}`);
    return;
  }
  for (const [index, { rows }] of vilLsGrids(model).entries()) {
    const { attention, windowSize, patchSize } = stages[index]!;
    if (rows === 0)
      report(
        `stages[${index}].patchSize`,
        `expected at most the side of the map before it, received ${patchSize}`,
      );
    else if (attention === 'long-short' && windowSize > 0 && rows % windowSize !== 0)
      report(
        `stages[${index}].windowSize`,
        `expected a divisor of the grid's side ${rows} in reference mode, received ${windowSize}`,
      );
  }
}
