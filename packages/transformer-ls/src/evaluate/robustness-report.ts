/** Robustness of several runs side by side: as a record, as tables and as a picture. */
import type { AttentionName } from '@transformer-ls/formats';
import type { LineChart } from '../charts/line-chart.js';
import { panels } from '../charts/panels.js';
import type { PerturbationKind } from '../lra/perturb.js';
import type { JsonObject } from '../run/json.js';
import { formatInteger } from '../text/numbers.js';
import type { RobustnessPoint } from './robustness.js';

export interface RobustnessOfRun {
  readonly model: {
    /** As it was named on the command line. */
    readonly path: string;
    readonly attention: AttentionName;
    readonly mode: 'consistent' | 'reference';
    readonly parameters: number;
    readonly step: number | null;
  };
  readonly points: readonly RobustnessPoint[];
}

export interface Robustness {
  readonly data: {
    readonly name: string;
    readonly split: string;
    readonly examples: number;
    readonly classes: number;
    readonly sha256: string;
    /** What results on it must not be reported as. */
    readonly note: string;
  };
  readonly kinds: readonly PerturbationKind[];
  readonly strengths: readonly number[];
  /** How many different tokens an inserted one is drawn from. */
  readonly alphabet: number;
  readonly seed: number;
  readonly runs: readonly RobustnessOfRun[];
}

const TITLES = { insert: 'Tokens inserted', delete: 'Tokens deleted' };

/** The content of `robustness.json`. */
export function robustnessRecord(robustness: Robustness, now: Date): JsonObject {
  const { data, kinds, strengths, alphabet, seed, runs } = robustness;
  return {
    format: 'transformer-ls robustness',
    version: 1,
    date: now.toISOString(),
    data,
    kinds,
    strengths,
    insertedTokens: alphabet,
    seed,
    runs: runs.map(({ model, points }) => ({
      model,
      points: points.map((point) => ({
        ...point,
        loss: Number.isFinite(point.loss) ? point.loss : null, // JSON has no NaN
      })),
    })),
  };
}

/** A line of what was done, and for each kind a table of accuracy, strengths downwards: for a terminal and for Markdown alike. */
export function robustnessTables(robustness: Robustness): string {
  const { data, kinds, strengths, runs } = robustness;
  const names = namesOf(runs);
  const tables = kinds.map((kind) => {
    const rows = strengths.map((strength) => [
      percent(strength),
      ...runs.map(({ points }) => percent(accuracyAt(points, kind, strength))),
    ]);
    return `## ${TITLES[kind]}\n\n${markdownTable(['share of tokens', ...names], rows)}`;
  });
  return [
    `# Accuracy under random insertion and deletion: ${data.name}`,
    `${formatInteger(data.examples)} examples of the ${data.split} part; chance is ${percent(1 / data.classes)}. ${uncertainty(robustness)}`,
    howItWasDone(robustness),
    ...(data.note === '' ? [] : [data.note]),
    ...tables,
  ].join('\n\n');
}

/** The content of `robustness.md`: the tables, and which runs they are of. */
export function robustnessPage(robustness: Robustness): string {
  const names = namesOf(robustness.runs);
  const rows = robustness.runs.map(({ model }, index) => [
    names[index]!,
    model.path,
    formatInteger(model.parameters),
    model.step === null ? '' : formatInteger(model.step),
    model.mode,
  ]);
  const runs = markdownTable(['name', 'run', 'parameters', 'step', 'mode'], rows);
  return `${robustnessTables(robustness)}\n\n## Runs\n\n${runs}\n`;
}

/** The content of `robustness.svg`: a panel for each kind, a curve for each run. */
export function robustnessChart({ data, kinds, runs, strengths }: Robustness): string {
  const names = namesOf(runs);
  const ascending = strengths.toSorted((a, b) => a - b);
  const charts = kinds.map(
    (kind): LineChart => ({
      title: TITLES[kind],
      xLabel: `${kind === 'insert' ? 'inserted' : 'deleted'}, % of the tokens of a document`,
      yLabel: 'accuracy, %',
      series: runs.map(({ points }, index) => ({
        name: names[index]!,
        look: 'marked',
        points: ascending.map((strength) => ({
          x: 100 * strength,
          y: 100 * accuracyAt(points, kind, strength),
        })),
      })),
      references: [{ label: 'chance', y: 100 / data.classes }],
    }),
  );
  const examples = formatInteger(data.examples);
  return panels(`Accuracy on ${data.name} ${data.split} (${examples} examples) against perturbation`, charts);
}

/** The mechanism of each run, with its path where several have the same. */
function namesOf(runs: readonly RobustnessOfRun[]): string[] {
  return runs.map(({ model: { attention, path } }) => {
    const alike = runs.filter(({ model }) => model.attention === attention);
    return alike.length === 1 ? attention : `${attention} (${path})`;
  });
}

function accuracyAt(points: readonly RobustnessPoint[], kind: PerturbationKind, strength: number): number {
  const point = points.find((one) => one.kind === kind && one.strength === strength);
  return point?.accuracy ?? Number.NaN;
}

/** How far chance alone moves an accuracy measured on so few examples. */
function uncertainty({ data, runs }: Robustness): string {
  const all = runs.flatMap(({ points }) => points.map(({ accuracy }) => accuracy));
  const error = Math.max(...all.map((p) => Math.sqrt((p * (1 - p)) / data.examples)));
  return `Standard error of an accuracy: at most ${percent(error)}.`;
}

function howItWasDone({ kinds, alphabet, seed }: Robustness): string {
  const ways = {
    insert: `Inserted: before each token, with the probability in the first column, any of the ${alphabet} tokens that occur in the part.`,
    delete: 'Deleted: each token with that probability.',
  };
  const cut = `Documents are cut to what the model reads afterwards. Seed ${seed}; all runs read the same perturbed documents.`;
  return [...kinds.map((kind) => ways[kind]), cut].join(' ');
}

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const clean = [head, ...rows].map((row) => row.map((cell) => cell.replace(/[|\p{Cc}]+/gu, ' ')));
  const widths = head.map((_, column) => Math.max(3, ...clean.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join(' | ')} |`;
  const rule = `| ${widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`;
  return [line(clean[0]!), rule, ...clean.slice(1).map(line)].join('\n');
}

/** `12.5 %`, `0 %`. */
function percent(share: number): string {
  return Number.isFinite(share) ? `${Number((100 * share).toFixed(2))} %` : 'no number';
}
