/** What `inspect` found, as text. */
import { basename } from 'node:path';
import type { MetricsRecord } from '@transformer-ls/formats';
import { formatCount, formatInteger } from '../text/numbers.js';
import type { ModelConfig } from '../weights/model-place.js';
import type { TensorSummary } from '../weights/tensor-summary.js';
import { stageRows, type VisionStage } from './vision-stages.js';

/** Parts of a report; each is printed only where the thing inspected has it. */
export interface Inspection {
  readonly kind: string;
  readonly path: string;
  readonly facts: Readonly<Record<string, string | number>>;
  /** Stages of a vision model, from the image on. */
  readonly stages?: readonly VisionStage[];
  /** Parameters by what they are for. */
  readonly parts?: Readonly<Record<string, number>>;
  readonly config?: ModelConfig;
  readonly checkpoints?: readonly { path: string; step: number; problem: string | null }[];
  readonly metadata?: Readonly<Record<string, string>>;
  /** What else stands in a file, by its place. */
  readonly values?: Readonly<Record<string, string>>;
  readonly tensors?: readonly TensorSummary[];
  readonly newest?: readonly MetricsRecord[];
}

export function describe(inspection: Inspection): string {
  const { kind, path, facts, stages, parts, config, metadata, checkpoints, newest, values, tensors } =
    inspection;
  const sections = [
    `${path}: ${kind}\n${aligned(Object.entries(facts).map(([name, value]) => [name, shown(value)]))}`,
    stages === undefined ? '' : `stages\n${aligned(stageRows(stages))}`,
    parts === undefined
      ? ''
      : `parameters by part\n${aligned(Object.entries(parts).map(([name, count]) => [name, shown(count)]))}`,
    config === undefined ? '' : `configuration\n${aligned(pairs(config))}`,
    metadata === undefined || Object.keys(metadata).length === 0
      ? ''
      : `metadata\n${aligned(pairs(metadata))}`,
    checkpoints === undefined
      ? ''
      : `checkpoints\n${aligned(
          checkpoints.map(({ path: place, problem }) => [basename(place), problem ?? 'whole']),
        )}`,
    newest === undefined || newest.length === 0
      ? ''
      : `newest metrics\n${newest.map((record) => `  ${JSON.stringify(record)}`).join('\n')}`,
    values === undefined || Object.keys(values).length === 0
      ? ''
      : `other values\n${aligned(Object.entries(values))}`,
    tensors === undefined ? '' : `tensors\n${tensorTable(tensors)}`,
  ];
  return sections.filter((section) => section !== '').join('\n\n');
}

function shown(value: string | number): string {
  if (typeof value === 'string') return value;
  return value < 10_000 ? formatInteger(value) : `${formatInteger(value)} (${formatCount(value)})`;
}

/** Names with their values; those of a part are `part.name`. */
function pairs(values: object): [string, string][] {
  return Object.entries(values).flatMap(([name, value]: [string, unknown]): [string, string][] =>
    typeof value === 'object' && value !== null
      ? pairs(value).map(([inner, text]) => [`${name}.${inner}`, text])
      : [[name, String(value)]],
  );
}

function tensorTable(tensors: readonly TensorSummary[]): string {
  return aligned(
    tensors.map(({ name, dtype, shape, mean, std, nonFinite }) => [
      name,
      dtype,
      `[${shape.join(', ')}]`,
      `mean ${mean.toExponential(2)}`,
      `std ${std.toExponential(2)}${nonFinite === 0 ? '' : `, ${formatInteger(nonFinite)} not finite`}`,
    ]),
  );
}

/** Columns side by side; names come from files, so nothing in them may move a cursor. */
function aligned(rows: readonly (readonly string[])[]): string {
  const clean = rows.map((row) => row.map((cell) => cell.replace(/\p{Cc}+/gu, ' ')));
  const widths = (clean[0] ?? []).map((_, column) => Math.max(...clean.map((row) => row[column]!.length)));
  return clean
    .map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column]!)).join('  ')}`.trimEnd())
    .join('\n');
}
