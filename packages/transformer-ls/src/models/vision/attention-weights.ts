/** The attention weights of one block while a vision model looks at one image. */
import { ArgumentError, noGrad, scope, type Tensor } from '@transformer-ls/torch';
import { GridAttention } from '../../attention/grid-attention.js';
import { fullWeights, type GridBlockWeights, longShortWeights, type QueryChoice } from './grid-weights.js';
import type { ImageAttention, ImageClassifier } from './image-classifier.js';

export interface ObservedBlock {
  /** From 0, as is the block within its stage. */
  readonly stage: number;
  readonly block: number;
  readonly query: QueryChoice;
}

export interface ObservedImage {
  /** Of each class. */
  readonly probabilities: Float32Array;
  readonly weights: GridBlockWeights;
}

/**
 * Runs the model on one image and keeps the weights of one block.
 *
 * @param image (1, channels, imageHeight, imageWidth), normalised
 * @throws ArgumentError where the model has no such block, or the block no such token
 */
export function observeImage(
  model: ImageClassifier,
  image: Tensor,
  { stage, block, query }: ObservedBlock,
): ObservedImage {
  const attention = model.attentions[stage]?.[block];
  if (attention === undefined)
    throw new ArgumentError(
      `expected a block of stages with ${model.attentions.map(({ length }) => length).join(', ')} blocks, received block ${block} of stage ${stage}, both from 0`,
    );
  if (image.size(0) !== 1) throw new ArgumentError(`expected 1 image, received ${image.size(0)}`);
  const seen: GridBlockWeights[] = [];
  observe(attention, query, (weights) => seen.push(weights));
  try {
    const probabilities = scope(() => noGrad(() => model.forward(image).softmax(-1).toFloat32Array()));
    return { probabilities, weights: seen[0]! };
  } finally {
    attention.observer = null;
  }
}

function observe(
  attention: ImageAttention,
  query: QueryChoice,
  tell: (weights: GridBlockWeights) => void,
): void {
  if (attention instanceof GridAttention)
    attention.observer = (weights) => tell(longShortWeights(weights, query));
  else {
    const keyStride = 'keyValueStride' in attention.config ? attention.config.keyValueStride : 1;
    attention.observer = (weights, grid) => tell(fullWeights(weights, grid, query, keyStride));
  }
}
