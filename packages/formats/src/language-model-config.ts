// The configuration of a causal language model. Field names are those of the code, the flags and the checkpoints.

import { boolean, field, type Infer, nullable, object, oneOf, type ReportProblem } from './schema.js';
import { layerCount, probability, size, sizeOrZero } from './sizes.js';

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
    layers: field('Number of blocks.', layerCount()),
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
