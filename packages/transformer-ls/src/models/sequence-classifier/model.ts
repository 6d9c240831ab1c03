/**
 * Sequence classifiers with the published parameter names (spec 2.9): one document, or two that are compared.
 *
 * Shape letters: B batch, L length, D width.
 */
import type { ClassifierConfig } from '@transformer-ls/formats';
import { ArgumentError, cat, Module, type ShardedSequence, type Tensor } from '@transformer-ls/torch';
import { BidirectionalAttention, keptByDefault } from '../../attention/bidirectional.js';
import { Encoder, Head } from './encoder.js';

/** Token ids of B sequences, and which of them are tokens. */
export interface SequenceBatch {
  /** (B, L) int32 or int64 */
  readonly ids: Tensor;
  /** (B, L) bool, true = a token; null: no padding */
  readonly mask: Tensor | null;
  /** Of which these are the stretch of this process; absent: they are whole. */
  readonly sequence?: ShardedSequence;
}

export class SequenceClassifier extends Module {
  readonly model: Encoder;
  /** The published name, misspelt there. */
  readonly seq_classifer: Head;

  /** Starts with random weights drawn from libtorch's generator: call `manualSeed` first for a repeatable start. */
  constructor(readonly config: ClassifierConfig) {
    super();
    const { modelDim, innerDim, classes, inputs } = config;
    this.model = this.child('model', new Encoder(config));
    const features = inputs === 'two' ? 4 * modelDim : modelDim;
    this.seq_classifer = this.child('seq_classifer', new Head(features, innerDim, classes));
  }

  /** Whether long-short attention computes keys and values again in the backward pass: less memory, more time, the same results. */
  recomputeKeys(on: boolean): void {
    for (const attention of this.model.attentions)
      if (attention instanceof BidirectionalAttention)
        attention.keeps = on ? 'nothing' : keptByDefault(this.config.modelDim);
  }

  /** One batch for a classifier of one document, two for one of pairs → logits (B, classes). */
  forward(...documents: readonly SequenceBatch[]): Tensor {
    return this.logitsOf(this.features(...documents));
  }

  /** What the head reads: one vector for each document or pair, (B, D) or (B, 4D). */
  features(...documents: readonly SequenceBatch[]): Tensor {
    const expected = this.config.inputs === 'two' ? 2 : 1;
    if (documents.length !== expected)
      throw new ArgumentError(`expected ${expected} batch(es) of sequences, received ${documents.length}`);
    const [a, b] = documents.map(({ ids, mask, sequence }) =>
      this.model.forward(ids, mask, sequence ?? null),
    );
    return b === undefined ? a! : cat([a!, b, a!.mul(b), a!.sub(b)], -1);
  }

  /** Of features, (B, classes). */
  logitsOf(features: Tensor): Tensor {
    return this.seq_classifer.forward(features);
  }
}
