/** The feed-forward part of a block of vision models, under the published names. */
import { Dropout, feedForward, Linear, Module, scope, type Tensor } from '@transformer-ls/torch';

export interface FeedForwardOptions {
  readonly modelDim: number;
  readonly innerDim: number;
  readonly dropout: number;
  /** Default gelu: the exact one. quick-gelu: x sigmoid(1.702 x). */
  readonly activation?: 'gelu' | 'quick-gelu';
}

/** Linear, activation, dropout, Linear, dropout. (…, D) → (…, D). */
export class FeedForward extends Module {
  private readonly fc1: Linear;
  private readonly fc2: Linear;
  private readonly dropout: Dropout;
  private readonly activation: 'gelu' | 'quick-gelu';

  constructor({ modelDim, innerDim, dropout, activation = 'gelu' }: FeedForwardOptions) {
    super();
    this.fc1 = this.child('fc1', new Linear({ inFeatures: modelDim, outFeatures: innerDim }));
    this.fc2 = this.child('fc2', new Linear({ inFeatures: innerDim, outFeatures: modelDim }));
    this.dropout = this.child('drop', new Dropout({ p: dropout }));
    this.activation = activation;
  }

  forward(x: Tensor): Tensor {
    return this.dropout.forward(
      this.activation === 'gelu'
        ? feedForward(x, this.fc1, this.fc2, this.dropout.p, this.training)
        : this.fc2.forward(scope(() => this.dropout.forward(quickGelu(this.fc1.forward(x))))),
    );
  }
}

function quickGelu(x: Tensor): Tensor {
  return x.mul(x.mul(1.702).sigmoid());
}
