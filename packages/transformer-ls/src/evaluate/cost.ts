/** What a forward pass costs, counted on the operators of a real one. */

import {
  countMultiplyAccumulates,
  noGrad,
  recordOps,
  scope,
  type Tensor,
  tensor,
  zeros,
} from '@transformer-ls/torch';
import type { CausalMemory } from '../attention/causal.js';
import { referenceBlockLength } from '../generate/next-token.js';
import type { CausalLanguageModel } from '../models/language-model/create.js';
import type { Memory } from '../models/language-model/memory.js';
import { LanguageModel } from '../models/language-model/model.js';
import type { SequenceClassifier } from '../models/sequence-classifier/model.js';
import type { ImageClassifier } from '../models/vision/image-classifier.js';

export interface ForwardCost {
  /** Multiply-accumulates of matrix products, per token. */
  readonly perToken: number;
  /** Tokens of the segment that was run, after a full memory. */
  readonly segmentLength: number;
}

const SEGMENT = 256;

export interface ClassifierCost {
  /** Multiply-accumulates of matrix products of one example, both documents where it is a pair. */
  readonly perExample: number;
  /** Tokens of a document that were run. */
  readonly documentLength: number;
}

/** Longer documents are counted at this length: what full attention needs for them would not fit into memory. */
const LONGEST_DOCUMENT = 4096;

/** The cost of one example of documents of this length, without padding. In reference mode the model reads its full length. */
export function classifierCost(model: SequenceClassifier, length: number): ClassifierCost {
  const { mode, maxLength, inputs } = model.config;
  const documentLength = mode === 'reference' ? maxLength : Math.min(length, LONGEST_DOCUMENT);
  const perExample = noGrad(() =>
    scope(() => {
      const one = { ids: zeros([1, documentLength], { dtype: 'int32' }).add(1), mask: null };
      const documents = inputs === 'two' ? [one, one] : [one];
      const { ops } = recordOps(() => scope(() => void model.forward(...documents)));
      return countMultiplyAccumulates(ops);
    }),
  );
  return { perExample, documentLength };
}

/** Multiply-accumulates of matrix products and convolutions of one image. */
export function imageCost(model: ImageClassifier): number {
  const { channels, imageHeight, imageWidth } = model.config;
  return noGrad(() =>
    scope(() => {
      const image = zeros([1, channels, imageHeight, imageWidth]);
      return countMultiplyAccumulates(recordOps(() => scope(() => void model.forward(image))).ops);
    }),
  );
}

/** The cost of one segment after a full memory, divided by its tokens; what depends on weights alone is counted with it. */
export function forwardCost(model: CausalLanguageModel): ForwardCost {
  const segmentLength = model.config.mode === 'reference' ? referenceBlockLength(model.config) : SEGMENT;
  const ids = new Int32Array(segmentLength);
  const total = noGrad(() =>
    scope(() => {
      const input = tensor(ids, { shape: [1, segmentLength] });
      const memory = fullMemory(model);
      const { ops } = recordOps(() => scope(() => void model.forward(input, memory)));
      return countMultiplyAccumulates(ops);
    }),
  );
  return { perToken: total / segmentLength, segmentLength };
}

/** A memory as large as it becomes, of zeros: the cost does not depend on values. */
function fullMemory(model: CausalLanguageModel): Memory {
  const empty = model.emptyMemory(1);
  if (!(model instanceof LanguageModel)) return empty; // reference mode starts full
  const { windowSize, memoryLength, chunkSize, projectionRank } = model.config;
  const chunks = (memoryLength / chunkSize) * projectionRank;
  const filled = (like: Tensor, length: number) => zeros([1, length, like.size(2)], { device: like.device });
  const layers = (empty as Memory<CausalMemory>).layers.map((layer) => ({
    ...layer,
    windowKeys: filled(layer.windowKeys, windowSize - 1),
    windowValues: filled(layer.windowValues, windowSize - 1),
    chunkKeys: filled(layer.chunkKeys, chunks),
    chunkValues: filled(layer.chunkValues, chunks),
  }));
  return { layers };
}
