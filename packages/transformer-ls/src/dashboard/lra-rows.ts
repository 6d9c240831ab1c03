/** The table of Long Range Arena for the page. */
import { join } from 'node:path';
import type { AttentionConfig, LraTable, LraTableRow } from '@transformer-ls/formats';
import { type ClassifierEvaluation, parseClassifierEvaluation } from '../evaluate/classifier-evaluation.js';
import { groupRuns, type LraGroup, type LraRun } from '../report/lra-runs.js';
import { lraRow, setsOf } from '../report/lra-table.js';
import { publishedAccuracies } from '../report/published-accuracy.js';
import { realText } from './real-file.js';
import type { ShownRun } from './run-catalogue.js';

const TEST_EVALUATION = 'evaluation.json';
const LARGEST_EVALUATION = 1024 * 1024;

/** A row for each experiment, the sets in the order of the benchmark. */
export async function lraTable(runs: Iterable<ShownRun>): Promise<LraTable> {
  const found: LraRun[] = [];
  for (const run of runs) found.push(...(await asLraRun(run)));
  const rows = groupRuns(found).map(tableRow);
  const sets = setsOf(rows.map(({ row }) => row));
  return { rows: sets.flatMap((set) => rows.filter(({ row }) => row.set === set).map(({ shown }) => shown)) };
}

async function asLraRun({ folder, config, summary }: ShownRun): Promise<LraRun[]> {
  if (config.kind !== 'classifier-training') return [];
  // The page shows no speed and no memory, for which all records would have to be read.
  const figures = { steps: summary.step, stepsPerSecond: null, peakMemoryBytes: 0, best: null };
  return [{ folder, config, figures, test: await testOf(folder) }];
}

/** A record that cannot be read counts as none; the details of the run say why. */
async function testOf(folder: string): Promise<ClassifierEvaluation | undefined> {
  try {
    const text = await realText(join(folder, TEST_EVALUATION), LARGEST_EVALUATION);
    return text === undefined ? undefined : parseClassifierEvaluation(text, TEST_EVALUATION);
  } catch {
    return undefined;
  }
}

function tableRow(group: LraGroup) {
  const row = lraRow(group, () => 0);
  const { set, model, mode, testAccuracy, seeds, steps, reportAs } = row;
  const shown: LraTableRow = {
    set,
    model,
    mode,
    testAccuracy: testAccuracy && { mean: testAccuracy.mean, spread: testAccuracy.standardDeviation },
    seeds: seeds.length,
    published: publishedFor(set, group.config.model.attention),
    steps,
    reportAs,
  };
  return { row, shown };
}

/** What the sources call each mechanism; the first that has a figure counts. */
const publishedNames: Readonly<Record<AttentionConfig['name'], readonly string[]>> = {
  'long-short': ['Transformer-LS (best w, r)'],
  'projection-only': ['dynamic projection alone (best r)'],
  'window-only': [],
  full: ['full attention', 'Transformer'],
  local: ['Local Attention'],
  linformer: ['Linformer'],
  linear: ['Linear Transformer'],
  performer: ['Performer'],
  nystromformer: ['Nyströmformer'],
  reformer: ['Reformer'],
  longformer: ['Longformer'],
  bigbird: ['BigBird'],
};

function publishedFor(set: string, { name, windowSize, projectionRank }: AttentionConfig): number | null {
  const isPublishedSize = name === 'long-short' && windowSize === 8 && projectionRank === 32;
  const names = isPublishedSize ? ['Transformer-LS (w, r = 8, 32)'] : publishedNames[name];
  const found = names.flatMap((model) => publishedAccuracies.filter((one) => one.model === model));
  return found.map(({ accuracy }) => accuracy[set]).find((value) => value !== undefined) ?? null;
}
