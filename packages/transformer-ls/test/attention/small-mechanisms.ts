// Attention of every mechanism, by name, with sizes of a test.
import {
  type AttentionName,
  type ClassifierConfig,
  classifierSchema,
  parseConfig,
} from '@transformer-ls/formats';
import { manualSeed, noGrad } from '@transformer-ls/torch';
import { createSequenceAttention } from '../../src/attention/create.js';
import type { SequenceAttention } from '../../src/attention/sequence-attention.js';

export interface SmallSizes {
  readonly modelDim: number;
  readonly maxLength: number;
  readonly mode?: ClassifierConfig['mode'];
}

/** In float64, with weights larger than at the start, so that a wrong mask shows. */
export function smallAttention(name: AttentionName, { mode, ...sizes }: SmallSizes): SequenceAttention {
  manualSeed(3);
  const config = parseConfig(classifierSchema, {
    kind: 'sequence-classifier',
    mode: mode ?? 'consistent',
    classes: 2,
    vocabularySize: 8,
    layers: 1,
    heads: 2,
    innerDim: 8,
    pooling: 'mean',
    attention: {
      name,
      windowSize: 4,
      projectionRank: 3,
      landmarks: 4,
      randomFeatures: 8,
      blockSize: 4,
      globalTokens: 2,
      randomBlocks: 1,
    },
    ...sizes,
  });
  const attention = createSequenceAttention(config).to({ dtype: 'float64' });
  noGrad(() => {
    for (const parameter of attention.parameters()) parameter.normal_(0, 0.5);
  });
  return attention;
}
