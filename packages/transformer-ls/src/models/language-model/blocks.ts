/** What the two forms of the model share: the feed-forward part and the published initialisation. */

import type { LanguageModelConfig } from '@transformer-ls/formats';
import {
  type Block,
  Dropout,
  Embedding,
  init,
  LayerNorm,
  Linear,
  Module,
  noGrad,
  scope,
  type Tensor,
} from '@transformer-ls/torch';

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
    const inner = this.fc1.forward(x);
    const active = this.config.activation === 'gelu' ? inner.gelu() : inner.relu();
    return this.dropout.forward(this.fc2.forward(this.dropout.forward(active)));
  }
}

/**
 * The published start (spec 3.6): Linear and embedding weights N(0, 0.02), biases 0, LayerNorm weights N(1, `normStd`).
 * The published code has a `normStd` of 0.02, which overrides the usual 1; the consistent form uses 0.
 */
export function initialize(model: Module, normStd: number): void {
  noGrad(() => {
    for (const module of model.namedModules().values()) {
      if (module instanceof Linear) {
        init.normal_(module.weight, 0, 0.02);
        if (module.bias !== null) init.zeros_(module.bias);
      } else if (module instanceof Embedding) {
        init.normal_(module.weight, 0, 0.02);
      } else if (module instanceof LayerNorm) {
        if (normStd === 0) init.ones_(module.weight);
        else init.normal_(module.weight, 1, normStd);
        init.zeros_(module.bias);
      }
    }
  });
}
