/** The runs below a folder that are classifiers', and what each came to. */
import { join } from 'node:path';
import { type ClassifierTrainingConfig, parseConfig, trainingSchema } from '@transformer-ls/formats';
import { type ClassifierEvaluation, readClassifierEvaluation } from '../evaluate/classifier-evaluation.js';
import { errorCode, nodeFileSystem } from '../run/file-system.js';
import { METRICS_NAME } from '../run/metrics-log.js';
import { type RunFigures, readRunFigures } from '../run/run-figures.js';
import { CONFIG_NAME, readRunConfig } from '../run/run-folder.js';

export interface LraRun {
  readonly folder: string;
  readonly config: ClassifierTrainingConfig;
  readonly figures: RunFigures;
  /** On the test part; undefined where it has not been measured. */
  readonly test: ClassifierEvaluation | undefined;
}

/** Runs that differ in nothing but the seed. */
export interface LraGroup {
  readonly config: ClassifierTrainingConfig;
  readonly runs: readonly LraRun[];
}

/** Folders below the given one that are searched: `runs/<recipe>/seed-<n>` needs two. */
const DEEPEST = 3;

/** Every classifier's run at or below `folder`, in the order of the names. @throws RunFolderError, ConfigError, MetricsError */
export async function findLraRuns(folder: string, depth = 0): Promise<LraRun[]> {
  const names = await namesIn(folder);
  if (names.includes(CONFIG_NAME) && names.includes(METRICS_NAME)) return readRun(folder);
  if (depth === DEEPEST) return [];
  const runs: LraRun[] = [];
  for (const name of names.sort()) runs.push(...(await findLraRuns(join(folder, name), depth + 1)));
  return runs;
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await nodeFileSystem.list(folder);
  } catch (error) {
    if (errorCode(error) === 'ENOTDIR') return [];
    throw error;
  }
}

async function readRun(folder: string): Promise<LraRun[]> {
  const config = parseConfig(trainingSchema, await readRunConfig(folder), join(folder, CONFIG_NAME));
  if (config.kind !== 'classifier-training') return [];
  const test = await readClassifierEvaluation(folder, 'test');
  return [{ folder, config, figures: await readRunFigures(folder), test }];
}

/** What says nothing about the experiment: which repetition it is, on how many threads, how it is kept. */
const REPETITION = ['seed', 'threads', 'recipe', 'keepCheckpoints', 'checkpointEverySteps'];

/** Groups of like runs, in the order of the first of each. */
export function groupRuns(runs: readonly LraRun[]): LraGroup[] {
  const groups = new Map<string, LraRun[]>();
  for (const run of runs) {
    const key = JSON.stringify(Object.entries(run.config).filter(([name]) => !REPETITION.includes(name)));
    groups.set(key, [...(groups.get(key) ?? []), run]);
  }
  return [...groups.values()].map((members) => ({ config: members[0]!.config, runs: members }));
}
