/** What a model is exported as: its graphs, how each is recorded and compared, and what the manifest says of it. */
import type { ExportedModel } from '@transformer-ls/formats';
import type { Module } from '@transformer-ls/torch';
import type { GraphName } from './export-folder.js';
import type { Recordable } from './recorded-graph.js';
import type { FreeSizes, Sample } from './sizes.js';

export interface ExportableGraph extends Recordable {
  /** File name without its ending. */
  readonly name: GraphName;
  /** Sizes at which it is recorded. */
  readonly sizes: FreeSizes;
  /** Sizes at which the file is compared with libtorch. */
  readonly compared: readonly Sample[];
}

type Common = 'format' | 'version' | 'name' | 'weights' | 'files' | 'provenance' | 'check';
type WithoutCommon<M> = M extends ExportedModel ? Omit<M, Common> : never;

export interface Exportable {
  readonly model: Module;
  readonly graphs: readonly ExportableGraph[];
  /** What is particular to the kind of model; asked for when the graphs were recorded. */
  manifest(): WithoutCommon<ExportedModel>;
}

/** Names that other programs show for free sizes. */
export const SIZE_NAMES = { B: 'batch', L: 'length', M: 'otherLength' };
