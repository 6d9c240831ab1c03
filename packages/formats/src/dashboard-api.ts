// What the page asks its server for, and what comes back: JSON, read-only. Runs and models are known by their ids, which the server makes
// up from their folders; no path crosses the wire.

import type { MetricsRecord } from './metrics.js';

/** Paths of the server; ids are parameters of the query, `?id=…`. */
export const DASHBOARD_PATHS = {
  /** → RunList */
  runs: '/api/runs',
  /** ?id= → RunDetails */
  run: '/api/run',
  /** ?id= → RunMetrics */
  metrics: '/api/metrics',
  /**
   * ?id=…&id=… → server-sent events: `metrics` (NewMetrics) of these runs, `runs` (RunList) at the start and when the list changes. With
   * &from=… for each id, records begin at that offset (RunMetrics); without, the newest come again. Browsers that lose the connection go
   * on where they were.
   */
  events: '/api/events',
  /** → LraTable */
  lra: '/api/lra',
  /** → ModelList */
  models: '/api/models',
  /** Files of exported models, as their manifests list them: /models/<id>/<file> */
  modelFiles: '/models/',
} as const;

/** `training`: a process writes to it now. */
export type RunState = 'training' | 'complete' | 'stopped';

/** Errors: an object of this kind, with a status that is not 200. */
export interface DashboardProblem {
  /** One line. */
  readonly error: string;
}

export interface RunSummary {
  readonly id: string;
  readonly recipe: string;
  /** `language-model`, `sequence-classifier`, `vil-ls`, … */
  readonly model: string;
  readonly state: RunState;
  readonly step: number;
  /** null: the run has no budget of steps. */
  readonly maxSteps: number | null;
  readonly best: { readonly name: 'bpc' | 'accuracy'; readonly value: number; readonly step: number } | null;
  /** When something was last written, ISO 8601. */
  readonly updated: string;
}

export interface RunList {
  readonly runs: readonly RunSummary[];
  /** Folders that look like runs and cannot be read, or only in part, with the reason in one line. */
  readonly unreadable: readonly { readonly id: string; readonly reason: string }[];
}

export interface RunCheckpoint {
  readonly kind: 'best' | 'checkpoint';
  readonly step: number;
  readonly bytes: number;
}

/** Bits per character after so many tokens of context. */
export interface ContextPoint {
  readonly length: number;
  readonly bpc: number;
}

export interface RunDetails extends RunSummary {
  readonly config: Readonly<Record<string, unknown>>;
  readonly checkpoints: readonly RunCheckpoint[];
  /** Records of evaluations as they were written, by file name. */
  readonly evaluations: readonly {
    readonly name: string;
    readonly record: Readonly<Record<string, unknown>>;
  }[];
  /** Of the newest evaluation that has them. */
  readonly context: readonly ContextPoint[] | null;
  /** Its files that cannot be read, with the reason in one line. */
  readonly unreadable: readonly { readonly name: string; readonly reason: string }[];
}

export interface RunMetrics {
  readonly id: string;
  /**
   * Every evaluation and event; of the records of training at most some thousands, evenly spread. Numbers that are not finite arrive as
   * null: JSON has no words for them.
   */
  readonly records: readonly MetricsRecord[];
  /** Where new records begin, for `events`. */
  readonly offset: number;
}

export interface NewMetrics {
  readonly id: string;
  readonly records: readonly MetricsRecord[];
  /**
   * The records take the place of all that came before: a resumed run has cut its metrics back, or so many are new that these are a sample
   * as in RunMetrics.
   */
  readonly anew?: true;
}

export interface LraTableRow {
  readonly set: string;
  readonly model: string;
  readonly mode: string;
  /** Percent: mean over the seeds, and their spread; null where no run has been tested. */
  readonly testAccuracy: { readonly mean: number; readonly spread: number | null } | null;
  readonly seeds: number;
  /** Percent, as published for this mechanism on this set; null where no figure is known. */
  readonly published: number | null;
  readonly steps: number;
  readonly reportAs: readonly string[];
}

export interface LraTable {
  readonly rows: readonly LraTableRow[];
}

export interface ModelSummary {
  readonly id: string;
  readonly name: string;
  readonly kind: 'language-model' | 'text-classifier' | 'image-classifier';
  readonly bytes: number;
  /** Name of what it was trained on; null where it is not known. */
  readonly data: string | null;
}

export interface ModelList {
  readonly models: readonly ModelSummary[];
  /** Folders that look like exported models and cannot be used, with the reason in one line. */
  readonly unreadable?: readonly { readonly id: string; readonly reason: string }[];
}
