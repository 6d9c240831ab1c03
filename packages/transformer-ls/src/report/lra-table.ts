/** Runs of Long Range Arena beside one another and beside published figures. */

import { mechanismLabel } from '../attention/mechanism-text.js';
import { type MeanAndSpread, meanAndSpread } from '../evaluate/statistics.js';
import { setDefinition } from '../lra/sets.js';
import { formatBytes, formatCount, formatInteger, formatValue } from '../text/numbers.js';
import type { LraGroup, LraRun } from './lra-runs.js';
import { publishedAccuracies, publishedSources } from './published-accuracy.js';

/** One experiment: all its seeds together. */
export interface LraRow {
  /** Name of the set. */
  readonly set: string;
  readonly model: string;
  readonly mode: 'consistent' | 'reference';
  readonly layers: number;
  readonly width: number;
  /** Tokens of a document that are read. */
  readonly documentLength: number;
  /** Percent; null where no run has been tested. */
  readonly testAccuracy: MeanAndSpread | null;
  /** Percent, of the checkpoint that was chosen. */
  readonly validAccuracy: MeanAndSpread | null;
  readonly seeds: readonly number[];
  readonly parameters: number | null;
  /** Of one example as long as the model allows. */
  readonly multiplyAccumulates: number;
  readonly steps: number;
  readonly plannedSteps: number | null;
  readonly batchSize: number;
  readonly stepsPerSecond: number | null;
  readonly peakMemoryBytes: number;
  /** What results on these data are called, and must not be taken for. */
  readonly reportAs: readonly string[];
  readonly notes: readonly string[];
}

/** @param costOf multiply-accumulates of one example */
export function lraRow(
  { config, runs }: LraGroup,
  costOf: (config: LraGroup['config']['model']) => number,
): LraRow {
  const tested = runs.flatMap(({ test }) => (test === undefined ? [] : [test]));
  const speeds = runs.flatMap(({ figures }) => figures.stepsPerSecond ?? []);
  return {
    set: config.data.name,
    model: mechanismLabel(config.model.attention),
    mode: config.model.mode,
    layers: config.model.layers,
    width: config.model.modelDim,
    documentLength: config.documentLength,
    testAccuracy: spreadOf(tested.map(({ accuracy }) => 100 * accuracy)),
    validAccuracy: spreadOf(runs.flatMap(validOf)),
    seeds: runs.map(({ config: { seed } }) => seed),
    parameters: tested[0]?.model.parameters ?? null,
    multiplyAccumulates: costOf(config.model),
    steps: Math.max(...runs.map(({ figures }) => figures.steps)),
    plannedSteps: config.maxSteps,
    batchSize: config.batchSize,
    stepsPerSecond: spreadOf(speeds)?.mean ?? null,
    peakMemoryBytes: Math.max(...runs.map(({ figures }) => figures.peakMemoryBytes)),
    reportAs: [...new Set(tested.map(({ data }) => data.reportAs))],
    notes: [...new Set(tested.map(({ data }) => data.note).filter((note) => note !== ''))],
  };
}

function validOf({ figures: { best } }: LraRun): number[] {
  const accuracy = best?.accuracy ?? null;
  return accuracy === null ? [] : [100 * accuracy];
}

function spreadOf(values: readonly number[]): MeanAndSpread | null {
  return values.length === 0 ? null : meanAndSpread(values);
}

/** Sets in the order of the benchmark's table, others behind them. */
const ORDER = ['listops', 'listops-brackets', 'imdb', 'aan', 'cifar10', 'pathfinder32', 'pathfinder128'];

export function setsOf(rows: readonly LraRow[]): string[] {
  const place = (set: string) => (ORDER.includes(set) ? ORDER.indexOf(set) : ORDER.length);
  return [...new Set(rows.map(({ set }) => set))].sort((a, b) => place(a) - place(b) || a.localeCompare(b));
}

/** The report as Markdown; pictures are referred to by `chartOf`. */
export function lraMarkdown(rows: readonly LraRow[], chartOf: (set: string) => string): string {
  const parts = setsOf(rows).map((set) =>
    section(
      set,
      rows.filter((row) => row.set === set),
      chartOf(set),
    ),
  );
  return `# Long Range Arena

Accuracy in percent of the whole test part, of the checkpoint that was best on the validation part: mean ± standard deviation over the
seeds. Multiply-accumulates are those of matrix products of one example as long as the model allows (4,096 tokens at most). Steps a second leave evaluations out.

${parts.join('\n')}
Published figures:
${Object.entries(publishedSources)
  .map(([mark, source]) => `- (${mark}) ${source}`)
  .join('\n')}
`;
}

const HEADINGS = [
  'model',
  'test accuracy',
  'seeds',
  'validation',
  'tokens',
  'layers x width',
  'parameters',
  'multiply-accumulates',
  'steps x batch',
  'steps/s',
  'peak memory',
];

function section(set: string, rows: readonly LraRow[], chart: string): string {
  const sorted = [...rows].sort((a, b) => (b.testAccuracy?.mean ?? -1) - (a.testAccuracy?.mean ?? -1));
  const published = publishedAccuracies.flatMap(({ model, source, accuracy }) => {
    const value = accuracy[set];
    return value === undefined ? [] : [[`*${model} (${source})*`, `*${value.toFixed(2)}*`]];
  });
  const others = [...new Set(rows.flatMap((row) => row.reportAs))].filter((name) => name !== set);
  const names = others.map((name) => `Results here are those of **${name}**, not of the published ${set}.`);
  const notes = [...names, ...new Set(rows.flatMap((row) => row.notes))];
  const all = [...sorted.map(cells), ...published].map((row) => HEADINGS.map((_, i) => row[i] ?? ''));
  return `## ${setDefinition(set).title}

| ${HEADINGS.join(' | ')} |
| --- |${' ---: |'.repeat(HEADINGS.length - 1)}
${all.map((row) => `| ${row.join(' | ')} |`).join('\n')}

${notes.map((note) => `${note}\n`).join('')}
![accuracy against speed](${chart})
`;
}

function cells(row: LraRow): string[] {
  return [
    row.mode === 'reference' ? `${row.model}, reference mode` : row.model,
    accuracyText(row.testAccuracy),
    String(row.seeds.length),
    accuracyText(row.validAccuracy),
    formatInteger(row.documentLength),
    `${row.layers} x ${row.width}`,
    row.parameters === null ? '--' : formatInteger(row.parameters),
    formatCount(row.multiplyAccumulates),
    stepsText(row),
    formatValue(row.stepsPerSecond ?? undefined, 2),
    formatBytes(row.peakMemoryBytes),
  ];
}

function accuracyText(spread: MeanAndSpread | null): string {
  if (spread === null) return '--';
  const { mean, standardDeviation } = spread;
  return standardDeviation === null
    ? mean.toFixed(2)
    : `${mean.toFixed(2)} ± ${standardDeviation.toFixed(2)}`;
}

/** A run that was stopped shows how far it came. */
function stepsText({ steps, plannedSteps, batchSize }: LraRow): string {
  const done = formatInteger(steps);
  const of = plannedSteps === null || plannedSteps === steps ? '' : ` of ${formatInteger(plannedSteps)}`;
  return `${done}${of} x ${batchSize}`;
}
