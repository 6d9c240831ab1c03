/** What the metrics of a run come to. */
import { join } from 'node:path';
import {
  type EvaluationRecord,
  type MetricsRecord,
  parseMetrics,
  type TrainRecord,
} from '@transformer-ls/formats';
import { readSmallFile } from './durable.js';
import { runFolderError } from './errors.js';
import { nodeFileSystem } from './file-system.js';
import { LARGEST_METRICS, METRICS_NAME } from './metrics-log.js';

export interface RunFigures {
  /** Updates done. */
  readonly steps: number;
  /** Updates a second of training alone, evaluations and checkpoints left out; null before the second record. */
  readonly stepsPerSecond: number | null;
  /** Largest resident memory of the process that trained. */
  readonly peakMemoryBytes: number;
  /** The best evaluation of the validation part; null where there was none. */
  readonly best: EvaluationRecord | null;
}

/** @throws RunFolderError where the folder has no metrics, MetricsError where they are damaged */
export async function readRunFigures(folder: string): Promise<RunFigures> {
  const path = join(folder, METRICS_NAME);
  try {
    const bytes = await readSmallFile(nodeFileSystem, path, LARGEST_METRICS);
    return figuresOf(parseMetrics(new TextDecoder().decode(bytes)).records);
  } catch (error) {
    throw await runFolderError(error, 'read the metrics', path, nodeFileSystem);
  }
}

export function figuresOf(records: readonly MetricsRecord[]): RunFigures {
  const train = records.filter((record) => record.type === 'train');
  const evaluations = records.filter((record) => record.type === 'evaluation');
  return {
    steps: train.at(-1)?.step ?? 0,
    stepsPerSecond: speedOf(train),
    peakMemoryBytes: train.reduce((most, { memoryBytes }) => Math.max(most, memoryBytes), 0),
    best: evaluations.findLast(({ best }) => best) ?? null,
  };
}

/** A record's speed is that of the tokens since the record before it. */
function speedOf(train: readonly TrainRecord[]): number | null {
  const [first] = train;
  if (first === undefined || train.length < 2) return null;
  let seconds = 0;
  let before = first.tokens;
  for (const { tokens, tokensPerSecond } of train.slice(1)) {
    if (tokensPerSecond > 0) seconds += (tokens - before) / tokensPerSecond;
    before = tokens;
  }
  return seconds > 0 ? (train.at(-1)!.step - first.step) / seconds : null;
}
