// The configuration of a sequence classifier: Long Range Arena, and documents of one's own.

import {
  boolean,
  field,
  type Infer,
  integer,
  nullable,
  object,
  oneOf,
  type ReportProblem,
} from './schema.js';
import { LARGEST_SIZE, layerCount, probability, size, sizeOrZero } from './sizes.js';

/** Long-short attention, its two halves alone, and what it is compared with. */
export const attentionNames = [
  'long-short',
  'projection-only',
  'window-only',
  'full',
  'local',
  'linformer',
  'linear',
  'performer',
  'nystromformer',
  'reformer',
  'longformer',
  'bigbird',
] as const;

export type AttentionName = (typeof attentionNames)[number];

/** Whether a learned class token can go through it: as published through long-short attention and its halves only (spec 2.8). */
export function takesClassToken(name: AttentionName): boolean {
  return name === 'long-short' || name === 'projection-only' || name === 'window-only';
}

/** A mechanism and its sizes; each mechanism reads those that it has, and says so in its own documentation. */
export const attentionSchema = object({
  name: field('Which mechanism.', oneOf(...attentionNames), 'long-short'),
  windowSize: field(
    'Tokens of a segment (long-short, window-only, local) or seen on both sides together (longformer).',
    sizeOrZero(),
    8,
  ),
  projectionRank: field(
    'Vectors per head that the sequence is compressed to (long-short, projection-only, linformer).',
    sizeOrZero(),
    32,
  ),
  convolutionSize: field(
    'Odd length of a convolution of the values (long-short); null: none.',
    nullable(size()),
    null,
  ),
  landmarks: field('Landmarks (nystromformer).', size(), 32),
  randomFeatures: field('Random features per head (performer).', size(), 256),
  hashes: field('Rounds of hashing (reformer).', size(), 2),
  blockSize: field('Tokens of a bucket (reformer) or block (bigbird).', size(), 64),
  globalTokens: field('First tokens that see all and are seen by all (longformer).', sizeOrZero(), 1),
  randomBlocks: field('Random blocks that each block sees (bigbird).', sizeOrZero(), 3),
});

export type AttentionConfig = Infer<typeof attentionSchema>;

/** A Transformer that gives each sequence, or each pair of sequences, one of several classes. */
export const classifierSchema = object(
  {
    kind: field('What this configuration describes.', oneOf('sequence-classifier')),
    mode: field(
      'consistent: any length, padding counts for nothing; reference: the published code, quirks included.',
      oneOf('consistent', 'reference'),
      'consistent',
    ),
    inputs: field('One document, or a pair that is compared.', oneOf('one', 'two'), 'one'),
    classes: field('Number of classes.', integer({ min: 2, max: LARGEST_SIZE })),
    vocabularySize: field('Number of token ids; 0 is padding.', size()),
    maxLength: field('Longest sequence: rows of the position table.', size()),
    layers: field('Number of blocks.', layerCount()),
    sharedLayers: field('Whether all blocks share one set of weights.', boolean(), false),
    modelDim: field('Width of the hidden states; a multiple of heads.', size()),
    heads: field('Attention heads of each block.', size()),
    innerDim: field('Width inside the feed-forward parts and the head.', size()),
    attention: field('How tokens attend to one another.', attentionSchema, attentionDefaults()),
    pooling: field(
      'What stands for a sequence: the mean, a first token of the vocabulary, or a learned class token (in every layer, or in the last alone).',
      oneOf('mean', 'first-token', 'class-token', 'class-token-last-layer'),
      'class-token-last-layer',
    ),
    normalizeClassToken: field(
      'Whether the class token is normalised before attention, as the tokens are; always so in consistent mode.',
      boolean(),
      false,
    ),
    dropout: field(
      'Dropout probability on embeddings, after attention and in the feed-forward parts.',
      probability(),
      0,
    ),
    attentionDropout: field('Dropout probability on attention weights.', probability(), 0),
  },
  (model, report) => {
    checkWidth(model, report);
    checkClassToken(model, report);
    checkConvolution(model, report);
  },
);

export type ClassifierConfig = Infer<typeof classifierSchema>;

function attentionDefaults(): AttentionConfig {
  return attentionSchema.check({}, 'attention', []) as AttentionConfig; // every field has a default
}

function checkWidth({ modelDim, heads }: { modelDim: number; heads: number }, report: ReportProblem): void {
  if (modelDim % heads !== 0)
    report('heads', `expected a divisor of modelDim ${modelDim}, received ${heads}`);
}

function checkClassToken(
  { pooling, attention }: { pooling: string; attention: AttentionConfig },
  report: ReportProblem,
): void {
  const { name, windowSize, projectionRank } = attention;
  const learned = pooling.startsWith('class-token');
  if (learned && !takesClassToken(name))
    report('pooling', `expected mean for ${name} attention, received ${pooling}`);
  if (name === 'long-short' && windowSize === 0 && projectionRank === 0 && pooling !== 'class-token')
    report('attention', 'expected a windowSize or a projectionRank above 0, received 0 for both');
}

function checkConvolution({ attention }: { attention: AttentionConfig }, report: ReportProblem): void {
  const { convolutionSize } = attention;
  if (convolutionSize !== null && convolutionSize % 2 === 0)
    report(
      'attention',
      `expected an odd convolutionSize, which keeps the length, received ${convolutionSize}`,
    );
}
