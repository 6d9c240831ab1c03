/** What the two forms of the model share: how they are run, the feed-forward part, the start of weights. */

import type { LanguageModelConfig } from '@transformer-ls/formats';
import {
  type Block,
  Dropout,
  Embedding,
  feedForward,
  init,
  LayerNorm,
  Linear,
  Module,
  noGrad,
  type ShardedSequence,
  scope,
  type Tensor,
} from '@transformer-ls/torch';

export interface ForwardOptions {
  /** Of which the ids are this process's stretch, whole chunks; the memory is of what came before the whole. Consistent form only. */
  readonly sequence?: ShardedSequence | undefined;
}

/** A way to run blocks one after the other: what the last one gives, and what each gives beside (its layer's memory). */
export type RunBlocks = <Extra>(
  blocks: readonly Block<Extra>[],
  input: Tensor,
) => { output: Tensor; extras: readonly Extra[] };

/** The plain way; a scope per block keeps the peak of memory low. */
export const runInTurn: RunBlocks = (blocks, input) => {
  let output = input;
  const extras = blocks.map((block) => {
    const before = output;
    const result = scope(() => block(before));
    output = result.output;
    return result.extra;
  });
  return { output, extras };
};

/** Linear, GELU or ReLU, dropout, Linear, dropout (spec 3.4). (…, D) → (…, D). */
export class FeedForward extends Module {
  readonly fc1: Linear;
  readonly fc2: Linear;
  private readonly dropout: Dropout;

  constructor(private readonly config: LanguageModelConfig) {
    super();
    const { modelDim, innerDim, dropout } = config;
    this.fc1 = this.child('fc1', new Linear({ inFeatures: modelDim, outFeatures: innerDim }));
    this.fc2 = this.child('fc2', new Linear({ inFeatures: innerDim, outFeatures: modelDim }));
    this.dropout = this.child('dropout', new Dropout({ p: dropout }));
  }

  forward(x: Tensor): Tensor {
    return this.dropout.forward(
      this.config.activation === 'gelu'
        ? feedForward(x, this.fc1, this.fc2, this.dropout.p, this.training)
        : this.fc2.forward(this.dropout.forward(this.fc1.forward(x).relu())),
    );
  }
}

/** Standard deviations that random weights start with. Biases start at 0. */
export interface Start {
  /** Of the weights (out, in) of a Linear. */
  linear(layer: Linear): number;
  readonly embedding: number;
  /** LayerNorm weights start around 1; at 0 they are 1. */
  readonly norm: number;
}

/** The published start (spec 3.6), whose 0.02 for norms overrides the usual 1. */
export const publishedStart: Start = { linear: () => 0.02, embedding: 0.02, norm: 0.02 };

/**
 * The start of the consistent form: a Linear keeps the variance of what comes in, whatever its width. With 0.02
 * everywhere, a model of width 256 begins with attention and feed-forward sums of almost nothing, and while they grow the
 * residual of a frequent byte can pass through zero, where a LayerNorm multiplies gradients: norms of 16 to 80 were seen.
 */
export const consistentStart: Start = {
  linear: ({ weight }) => 1 / Math.sqrt(weight.size(1)),
  embedding: 0.02,
  norm: 0,
};

/** Draws all weights anew. An embedding that is tied to a Linear starts as an embedding. */
export function initialize(model: Module, start: Start): void {
  noGrad(() => {
    const modules = [...model.namedModules().values()];
    for (const module of modules) {
      if (module instanceof Linear) {
        init.normal_(module.weight, 0, start.linear(module));
        if (module.bias !== null) init.zeros_(module.bias);
      } else if (module instanceof LayerNorm) {
        if (start.norm === 0) init.ones_(module.weight);
        else init.normal_(module.weight, 1, start.norm);
        init.zeros_(module.bias);
      }
    }
    for (const module of modules)
      if (module instanceof Embedding) init.normal_(module.weight, 0, start.embedding);
  });
}
