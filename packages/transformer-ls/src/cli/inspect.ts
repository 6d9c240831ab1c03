/** `transformer-ls inspect`: what a run, checkpoint, model, weight file, dictionary or metrics file holds. */
import { readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import {
  type LanguageModelConfig,
  type MetricsRecord,
  openSafetensors,
  parseMetrics,
} from '@transformer-ls/formats';
import { Command } from 'commander';
import { FairseqDictionary } from '../data/vocabulary.js';
import { forwardCost } from '../evaluate/cost.js';
import { findLanguageModel, loadLanguageModel } from '../models/language-model/weights.js';
import { listCheckpoints, verifyCheckpoint } from '../run/checkpoint.js';
import { fileSource } from '../run/file-source.js';
import { METRICS_NAME } from '../run/metrics-log.js';
import { BEST_NAME, CHECKPOINTS_NAME } from '../run/run-folder.js';
import { summariseTensors, type TensorSummary } from '../weights/tensor-summary.js';
import { formatCount, formatInteger } from './format.js';

/** Parts of a report; each is printed only where the thing inspected has it. */
interface Inspection {
  readonly kind: string;
  readonly path: string;
  readonly facts: Readonly<Record<string, string | number>>;
  readonly config?: LanguageModelConfig;
  readonly checkpoints?: readonly { path: string; step: number; problem: string | null }[];
  readonly metadata?: Readonly<Record<string, string>>;
  readonly tensors?: readonly TensorSummary[];
  readonly newest?: readonly MetricsRecord[];
}

const EXAMPLES = `
Examples:
  transformer-ls inspect runs/first
  transformer-ls inspect runs/first/best/step-00001000
  transformer-ls inspect model.safetensors --json
  transformer-ls inspect runs/first/metrics.jsonl`;

export function inspectCommand(): Command {
  return new Command('inspect')
    .description(
      'Show what a run, checkpoint, model folder, .safetensors file, dict.txt or metrics.jsonl holds.',
    )
    .argument('<path>', 'folder or file')
    .option('--json', 'print JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (path: string, { json }: { json?: boolean }) => {
      const inspection = await inspect(path);
      console.log(json ? JSON.stringify(inspection, null, 2) : describe(inspection));
    });
}

async function inspect(path: string): Promise<Inspection> {
  const stats = await stat(path).catch(() => undefined);
  if (stats?.isFile() && path.endsWith('.jsonl')) return inspectMetrics(path);
  if (stats?.isFile() && path.endsWith('.txt')) return inspectDictionary(path);
  if (stats?.isFile()) return inspectFile(path);
  return inspectModel(path);
}

async function inspectModel(path: string): Promise<Inspection> {
  const { weightsPath, config, run, step, skipped } = await findLanguageModel(path);
  const isRun = run?.path === path;
  return {
    kind: isRun ? 'run' : step === undefined ? 'model' : 'checkpoint',
    path,
    facts: {
      ...(isRun ? { recipe: run.training.recipe, data: run.training.data.name } : {}),
      weights: weightsPath,
      ...(step === undefined ? {} : { step }),
      ...(await modelFacts(path)),
      ...(skipped.length === 0 ? {} : { 'checkpoints passed over': skipped.length }),
    },
    config,
    tensors: await tensorsOf(weightsPath),
    ...(isRun ? { checkpoints: await checkpointsOf(path), newest: await newestMetrics(path) } : {}),
  };
}

async function modelFacts(path: string): Promise<Record<string, number>> {
  const { model } = await loadLanguageModel(path);
  const { perToken, segmentLength } = forwardCost(model);
  const parameters = model.countParameters();
  model.dispose();
  return {
    parameters,
    'multiply-accumulates per token': Math.round(perToken),
    'counted over tokens after a full memory': segmentLength,
  };
}

async function tensorsOf(path: string): Promise<TensorSummary[]> {
  const source = await fileSource(path);
  try {
    return await summariseTensors(await openSafetensors(source));
  } finally {
    await source.close();
  }
}

async function checkpointsOf(run: string) {
  const places = (
    await Promise.all([BEST_NAME, CHECKPOINTS_NAME].map((name) => listCheckpoints(join(run, name))))
  ).flat();
  const found = [];
  for (const { path, step } of places) found.push({ path, step, problem: await problemOf(path) });
  return found;
}

async function problemOf(path: string): Promise<string | null> {
  try {
    await verifyCheckpoint(path);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function newestMetrics(run: string): Promise<MetricsRecord[]> {
  const text = await readFile(join(run, METRICS_NAME), 'utf8').catch(() => '');
  return newestOfEach(parseMetrics(text).records);
}

/** The last record of each kind and split. */
function newestOfEach(records: readonly MetricsRecord[]): MetricsRecord[] {
  const kinds = new Map(
    records.map((record) => [record.type === 'evaluation' ? record.split : record.type, record]),
  );
  return [...kinds.values()];
}

async function inspectFile(path: string): Promise<Inspection> {
  const source = await fileSource(path);
  try {
    const file = await openSafetensors(source);
    const elements = [...file.entries.values()].reduce(
      (total, { shape }) => total + shape.reduce((product, size) => product * size, 1),
      0,
    );
    const facts = { bytes: source.size, tensors: file.entries.size, elements };
    return {
      kind: 'safetensors',
      path,
      facts,
      metadata: file.metadata,
      tensors: await summariseTensors(file),
    };
  } catch (error) {
    if (error instanceof Error) error.message = `${path}: ${error.message}`;
    throw error;
  } finally {
    await source.close();
  }
}

async function inspectMetrics(path: string): Promise<Inspection> {
  const { records, truncated } = parseMetrics(await readFile(path, 'utf8'));
  const facts = { records: records.length, 'last line': truncated === null ? 'whole' : 'cut short' };
  return { kind: 'metrics', path, facts, newest: newestOfEach(records) };
}

async function inspectDictionary(path: string): Promise<Inspection> {
  const text = await readFile(path, 'utf8');
  const style = /^\d+ /.test(text) ? 'decimal' : 'characters';
  const dictionary = FairseqDictionary.parse(text, style, path);
  const total = dictionary.entries.reduce((sum, { count }) => sum + count, 0);
  return {
    kind: 'dictionary',
    path,
    facts: {
      'token ids': dictionary.vocabularySize,
      symbols: dictionary.entries.length,
      style,
      'symbols counted': total,
      'most frequent': dictionary.entries
        .slice(0, 8)
        .map(({ symbol }) => symbol)
        .join(' '),
    },
  };
}

function describe(inspection: Inspection): string {
  const { kind, path, facts, config, metadata, checkpoints, newest, tensors } = inspection;
  const sections = [
    `${path}: ${kind}\n${aligned(Object.entries(facts).map(([name, value]) => [name, shown(value)]))}`,
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
    tensors === undefined ? '' : `tensors\n${tensorTable(tensors)}`,
  ];
  return sections.filter((section) => section !== '').join('\n\n');
}

function shown(value: string | number): string {
  if (typeof value === 'string') return value;
  return value < 10_000 ? formatInteger(value) : `${formatInteger(value)} (${formatCount(value)})`;
}

function pairs(values: Readonly<Record<string, unknown>>): [string, string][] {
  return Object.entries(values).map(([name, value]) => [name, String(value)]);
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
