/** What a forward pass costs, counted on the operators of a real one. */

import type { ClassifierConfig } from '@transformer-ls/formats';
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
import { SequenceClassifier } from '../models/sequence-classifier/model.js';

export interface ForwardCost {
  /** Multiply-accumulates of matrix products, per token. */
  readonly perToken: number;
  /** Tokens of the segment that was run, after a full memory. */
  readonly segmentLength: number;
}

const SEGMENT = 256;

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

/** Multiply-accumulates of matrix products for one example as long as the model allows: of both documents where it compares two. */
export function classifierCost(config: ClassifierConfig): number {
  const L = config.maxLength;
  return noGrad(() =>
    scope(() => {
      const model = new SequenceClassifier(config);
      model.eval();
      const document = { ids: tensor(new Int32Array(L).fill(1), { shape: [1, L] }), mask: null };
      const documents = config.inputs === 'two' ? [document, document] : [document];
      const { ops } = recordOps(() => scope(() => void model.forward(...documents)));
      return countMultiplyAccumulates(ops);
    }),
  );
}
