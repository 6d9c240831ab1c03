/** Accuracy and loss of a classifier on part of a set. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { crossEntropy, noGrad, scope, tensor } from '@transformer-ls/torch';
import { type ExamplePlace, type PaddedSequences, type Padding, readBatch } from '../lra/example-batches.js';
import type { ExampleReader } from '../lra/example-set.js';
import type { SequenceBatch, SequenceClassifier } from '../models/sequence-classifier/model.js';
import type { Precision } from '../train/precision.js';

export interface ClassifierScores {
  readonly examples: number;
  /** Share of the examples that got their class. */
  readonly accuracy: number;
  /** Mean cross-entropy, nats. */
  readonly loss: number;
}

export interface EvaluateClassifierOptions {
  readonly padding: Padding;
  readonly batchSize: number;
  /** Number type of the forward passes; float32 where not given. */
  readonly precision?: Precision | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number, accuracy: number) => void) | undefined;
}

/**
 * Every given example once, the last batch as small as it comes: the published code drops it (spec 2.7). The model must be in
 * evaluation mode. Yields to the event loop after every batch.
 */
export async function evaluateClassifier(
  model: SequenceClassifier,
  set: ExampleReader,
  places: readonly ExamplePlace[],
  { padding, batchSize, precision, signal, onProgress }: EvaluateClassifierOptions,
): Promise<ClassifierScores> {
  const ordered = byLength(set, places);
  let [right, nats] = [0, 0];
  for (let start = 0; start < ordered.length; start += batchSize) {
    signal?.throwIfAborted();
    const batch = readBatch(set, ordered.slice(start, start + batchSize), padding);
    scope(() =>
      noGrad(() => {
        const forward = () =>
          model.forward(...batch.documents.map((one) => sequenceBatch(one, batch.labels.length, model)));
        const logits = precision === undefined ? forward() : precision.run(forward);
        const labels = tensor(batch.labels, { device: logits.device }).to('int64');
        nats += crossEntropy(logits.to('float32'), labels, { reduction: 'sum' }).item();
        right += logits.argmax(-1).eq(labels).sum().item();
      }),
    );
    const done = start + batch.labels.length;
    onProgress?.(done, ordered.length, right / done);
    await nextTurn();
  }
  return { examples: ordered.length, accuracy: right / ordered.length, loss: nats / ordered.length };
}

/** Rows as the model takes them: on its device, with the mask of what is not padding (null where nothing is). */
export function sequenceBatch(
  { ids, length, tokens }: PaddedSequences,
  rows: number,
  model: SequenceClassifier,
): SequenceBatch {
  const { device } = model.model.norm.weight;
  const onDevice = tensor(ids, { shape: [rows, length], device });
  return { ids: onDevice, mask: tokens === ids.length ? null : onDevice.ne(0) };
}

/** Like lengths together: less padding to compute. */
function byLength(set: ExampleReader, places: readonly ExamplePlace[]): ExamplePlace[] {
  const total = ({ split, index }: ExamplePlace) =>
    set.lengths(split, index).reduce((sum, length) => sum + length, 0);
  return places
    .map((place) => ({ place, length: total(place) }))
    .sort((a, b) => a.length - b.length)
    .map(({ place }) => place);
}
