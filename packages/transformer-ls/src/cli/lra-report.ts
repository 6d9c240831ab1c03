/** `transformer-ls lra report`: all runs of Long Range Arena in one table and one picture a task. */
import { join } from 'node:path';
import type { ClassifierConfig } from '@transformer-ls/formats';
import { scope } from '@transformer-ls/torch';
import { Command } from 'commander';
import { accuracyAgainstSpeed } from '../charts/accuracy-against-speed.js';
import { classifierCost } from '../evaluate/cost.js';
import { SequenceClassifier } from '../models/sequence-classifier/model.js';
import { findLraRuns, groupRuns } from '../report/lra-runs.js';
import { type LraRow, lraMarkdown, lraRow, setsOf } from '../report/lra-table.js';
import { publishedAccuracies } from '../report/published-accuracy.js';
import { replaceFile } from '../run/durable.js';
import { nodeFileSystem } from '../run/file-system.js';
import { writeJson } from '../run/json.js';
import { UsageError } from './errors.js';
import { makeOutputFolder } from './output-folder.js';

interface ReportFlags {
  readonly out: string;
  readonly json?: boolean;
}

const HELP = `
Runs that differ in their seed alone make one row. A run without an evaluation of the test part shows its validation accuracy only:
measure it with 'transformer-ls evaluate <run>'.

Examples:
  transformer-ls lra report
  transformer-ls lra report runs/listops-full runs/lra-listops-seeds --out reports
  transformer-ls lra report --json`;

export function lraReportCommand(): Command {
  return new Command('report')
    .description(
      'Collect runs of Long Range Arena into a table (Markdown) and pictures of accuracy against speed (SVG).',
    )
    .argument('[folders...]', 'runs, or folders that hold runs (default: runs)')
    .option('--out <folder>', 'where lra.md, lra.json and the pictures are written', 'lra-report')
    .option('--json', 'print the rows as JSON instead of the table')
    .addHelpText('after', HELP)
    .action(runReport);
}

async function runReport(folders: readonly string[], { out, json }: ReportFlags): Promise<void> {
  const places = folders.length === 0 ? ['runs'] : folders;
  const runs = (await Promise.all(places.map((folder) => findLraRuns(folder)))).flat();
  if (runs.length === 0)
    throw new UsageError(`expected runs of classifiers, found none in ${places.join(', ')}`);
  const cost = cachedCost();
  const rows = groupRuns(runs).map((group) => lraRow(group, cost));
  const markdown = lraMarkdown(rows, chartName);
  const record = { kind: 'lra-report', date: new Date().toISOString(), rows: rows.map(asJson) };
  await makeOutputFolder(out);
  await write(join(out, 'lra.md'), markdown);
  await write(join(out, 'lra.json'), writeJson(record));
  for (const set of setsOf(rows)) await write(join(out, chartName(set)), chartOf(set, rows));
  process.stdout.write(json ? writeJson(record) : markdown);
  if (!json)
    console.log(`wrote ${join(out, 'lra.md')}, lra.json and ${setsOf(rows).map(chartName).join(', ')}`);
}

/** Multiply-accumulates of one example as long as the model allows; the same model is counted once. */
function cachedCost(): (config: ClassifierConfig) => number {
  const known = new Map<string, number>();
  return (config) => {
    const key = JSON.stringify(config);
    const cost = known.get(key) ?? costOf(config);
    known.set(key, cost);
    return cost;
  };
}

function costOf(config: ClassifierConfig): number {
  const model = scope(() => new SequenceClassifier(config));
  try {
    return classifierCost(model.eval(), config.maxLength).perExample;
  } finally {
    model.dispose();
  }
}

function chartName(set: string): string {
  return `lra-${set}.svg`;
}

function chartOf(set: string, rows: readonly LraRow[]): string {
  const models = rows.flatMap(({ set: own, model, testAccuracy, stepsPerSecond }) => {
    if (own !== set || testAccuracy === null || stepsPerSecond === null) return [];
    const { mean, standardDeviation } = testAccuracy;
    return [{ model, stepsPerSecond, accuracy: mean, spread: standardDeviation }];
  });
  const published = publishedAccuracies.flatMap(({ model, source, isDrawn, accuracy }) => {
    const value = accuracy[set];
    return value === undefined || !isDrawn ? [] : [{ label: `${model} (${source})`, accuracy: value }];
  });
  return accuracyAgainstSpeed(`${set}: accuracy against speed`, models, published);
}

function asJson(row: LraRow) {
  const { testAccuracy, validAccuracy, seeds, notes, reportAs } = row;
  return {
    ...row,
    testAccuracy: testAccuracy && { ...testAccuracy },
    validAccuracy: validAccuracy && { ...validAccuracy },
    seeds: [...seeds],
    reportAs: [...reportAs],
    notes: [...notes],
  };
}

async function write(path: string, text: string): Promise<void> {
  await replaceFile(nodeFileSystem, path, [new TextEncoder().encode(text)]);
}
