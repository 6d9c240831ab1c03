/**
 * The attention weights of one layer while a classifier reads one example, as plain numbers.
 *
 * Shape letters: L tokens, C compressed keys that a token sees (R, and the class token's own before them), R rank, Y keys of a
 * segment.
 */
import { noGrad, scope, type Tensor } from '@transformer-ls/torch';
import {
  isObservable,
  type ObservableAttention,
  type ObservedWeights,
} from '../../attention/observed-weights.js';
import type { SequenceBatch, SequenceClassifier } from './model.js';

/** Rows of equal length one after the other. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float32Array;
}

/** Weights of each token over the tokens of its window. */
export interface WindowWeights extends Matrix {
  /** The token of a row's first column; where it or a later one lies outside the sequence, its weight is 0. */
  readonly firstKey: (row: number) => number;
}

/** Weights of one head; a row of `window` and the row of `slots` with the same number sum to 1 together. */
export interface HeadWeights {
  /** (L, Y); null where tokens do not see one another directly. */
  readonly window: WindowWeights | null;
  /** (L, C): of each token over the compressed keys; null where there are none. */
  readonly slots: Matrix | null;
  /** (R, L): what the compressed keys are made of. Rows sum to 1, but with linformer, where they are learned and signed. */
  readonly projection: Matrix | null;
  /** 1+L: of the class token over itself and the results of the tokens; null where there is none. */
  readonly classToken: Float32Array | null;
}

export interface LayerWeights {
  /** Whether row 0 is a first token that stands for the whole, put before the document; else row t is token t. */
  readonly startsWithClassToken: boolean;
  /** Whether compressed key 0 is the class token's own, which is made of no tokens; else key i is row i of the projection. */
  readonly firstSlotIsClassToken: boolean;
  readonly heads: readonly HeadWeights[];
}

export interface ObservedExample {
  /** Of each class. */
  readonly probabilities: Float32Array;
  /** Of each document. */
  readonly documents: readonly LayerWeights[];
}

/** The mechanisms that have weights to draw. */
export const observableNames = [
  'long-short',
  'projection-only',
  'window-only',
  'full',
  'local',
  'linformer',
] as const;

/**
 * Runs the model on one example (B = 1) and keeps the weights of one layer. Padding is left out of them.
 *
 * @param layer from 0
 * @param lengths tokens of each document that are not padding
 */
export function observeExample(
  model: SequenceClassifier,
  documents: readonly SequenceBatch[],
  lengths: readonly number[],
  layer: number,
): ObservedExample {
  const { attentions } = model.model;
  const startsWithClassToken = model.config.pooling === 'first-token' && !attentions[layer]!.takesClassToken;
  const observed = new Set(attentions.filter(isObservable));
  const seen: LayerWeights[] = [];
  let calls = 0;
  const observer = (weights: ObservedWeights) => {
    // Layers that share their weights are one attention, called once a layer.
    if (calls % attentions.length === layer) {
      const length = lengths[seen.length]! + (startsWithClassToken ? 1 : 0);
      const heads = headsOf(weights, length);
      seen.push({ startsWithClassToken, firstSlotIsClassToken: weights.classToken !== null, heads });
    }
    calls += 1;
  };
  setObserver(observed, observer);
  try {
    const probabilities = scope(() =>
      noGrad(() => {
        const logits = model.forward(...documents);
        return logits.softmax(-1).toTypedArray() as Float32Array;
      }),
    );
    return { probabilities, documents: seen };
  } finally {
    setObserver(observed, null);
  }
}

function setObserver(
  attentions: Iterable<ObservableAttention>,
  observer: ObservableAttention['observer'],
): void {
  for (const attention of attentions) attention.observer = observer;
}

/** Copies the weights of the first `length` tokens. */
function headsOf(
  { window, compressed, projection, classToken }: ObservedWeights,
  length: number,
): HeadWeights[] {
  const first = (window?.weights ?? compressed) as Tensor;
  return Array.from({ length: first.size(0) }, (_, head) => ({
    window: window === null ? null : windowOf(window, head, length),
    slots: compressed === null ? null : matrixOf(ofHead(compressed, head).narrow(0, 0, length)),
    projection: projection === null ? null : matrixOf(ofHead(projection, head).narrow(1, 0, length)),
    classToken:
      classToken === null ? null : matrixOf(ofHead(classToken, head).narrow(1, 0, 1 + length)).values,
  }));
}

/** (N, 1, …) → (…). */
function ofHead(weights: Tensor, head: number): Tensor {
  return weights.select(0, head).select(0, 0);
}

function windowOf(
  { weights, tiling }: NonNullable<ObservedWeights['window']>,
  head: number,
  length: number,
): WindowWeights {
  const { tile, window } = tiling;
  const rows = ofHead(weights, head).reshape([tiling.tiles * tile, tile + window - 1]); // (G*S, Y)
  const reach = (window - 1) / 2;
  return {
    ...matrixOf(rows.narrow(0, 0, length)),
    firstKey: (row) => Math.floor(row / tile) * tile - reach,
  };
}

function matrixOf(weights: Tensor): Matrix {
  const [rows, columns] = weights.shape as [number, number];
  return { rows, columns, values: weights.toFloat32Array() };
}
