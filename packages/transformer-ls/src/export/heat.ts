/**
 * Where a classifier looks, as a result of its graph: what of the last attention says it best, mean over heads. Each row sums to 1, but
 * for what a class token takes of itself.
 *
 * Shape letters: B batch, N heads, L tokens, R slots, T tokens of a grid, C global tokens, M keys.
 */
import type { ExportedHeat } from '@transformer-ls/formats';
import { dispose, keep, type Tensor } from '@transformer-ls/torch';
import { BidirectionalAttention } from '../attention/bidirectional.js';
import { GridAttention } from '../attention/grid-attention.js';
import type { Grid } from '../attention/grid-windows.js';
import type { ObservedWeights } from '../attention/observed-weights.js';
import type { SequenceClassifier } from '../models/sequence-classifier/model.js';
import type { ImageClassifier } from '../models/vision/image-classifier.js';

export interface Watched<T> {
  readonly result: T;
  /** (B, L) for each document, (B, rows, columns) for an image; none where the attention has nothing to show. */
  readonly heat: readonly Tensor[];
  readonly source: ExportedHeat;
}

/** Runs something while the last attention of the model is looked at. */
export function watchText<T>(model: SequenceClassifier, run: () => T): Watched<T> {
  const last = model.model.attentions.at(-1);
  if (!(last instanceof BidirectionalAttention)) return { result: run(), heat: [], source: 'none' };
  const heat: Tensor[] = [];
  let source: ExportedHeat = 'none';
  const { layers, sharedLayers } = model.config;
  let calls = 0;
  last.observer = (weights) => {
    calls += 1;
    // Layers that share their weights are one attention.
    if (sharedLayers && calls % layers !== 0) return;
    const found = ofText(weights);
    if (found === null) return;
    heat.push(keep(found.heat));
    source = found.source;
  };
  try {
    const result = run();
    return { result, heat: handedOver(heat), source };
  } finally {
    last.observer = null;
    dispose(heat);
  }
}

/** What was kept out of the scopes in between, for the scope that looks. */
function handedOver(kept: readonly Tensor[]): Tensor[] {
  return kept.map((one) => one.detach());
}

function ofText({ classToken, projection }: ObservedWeights): { heat: Tensor; source: ExportedHeat } | null {
  if (classToken !== null) {
    const rows = classToken.mean(0).squeeze(1); // (B, 1+L)
    return { heat: rows.narrow(1, 1, rows.size(1) - 1), source: 'class token' };
  }
  return projection === null ? null : { heat: projection.mean([0, 2]), source: 'projection' };
}

/** The same of a vision model. */
export function watchImage<T>(model: ImageClassifier, run: () => T): Watched<T> {
  const last = model.attentions.at(-1)!.at(-1)!;
  const heat: Tensor[] = [];
  let source: ExportedHeat = 'none';
  const show = (rows: Tensor, { rows: down, columns: across }: Grid, of: ExportedHeat) => {
    if (rows.size(1) !== down * across) return;
    heat.push(keep(rows.reshape([rows.size(0), down, across])));
    source = of;
  };
  if (last instanceof GridAttention)
    last.observer = ({ grid, projection }) => {
      if (projection !== null) show(projection.mean([1, 2]), grid, 'projection');
    };
  else
    last.observer = (weights, grid) => {
      const C = weights.size(2) - grid.rows * grid.columns;
      const ofAll = weights.mean(1); // (B, C + T, C + M)
      const queries = C > 0 ? ofAll.select(1, 0) : ofAll.mean(1);
      show(queries.narrow(1, C, queries.size(1) - C), grid, C > 0 ? 'class token' : 'all tokens');
    };
  try {
    const result = run();
    return { result, heat: handedOver(heat), source };
  } finally {
    last.observer = null;
    dispose(heat);
  }
}
