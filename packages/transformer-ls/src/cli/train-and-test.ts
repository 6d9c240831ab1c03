/** One run from its first step to its figure: training, then a classifier's accuracy on the test part. */
import { readClassifierEvaluation } from '../evaluate/classifier-evaluation.js';
import { readRunConfig } from '../run/run-folder.js';
import type { TrainingRequest } from '../train/training.js';
import { exitCodes } from './errors.js';
import { runEvaluateClassifier } from './evaluate-classifier.js';
import { interruptible } from './interrupt.js';
import { useThreads } from './threads.js';
import { superviseTraining } from './train-supervisor.js';

export interface TrainAndTestFlags {
  readonly json?: boolean | undefined;
  readonly test?: boolean | undefined;
  readonly threads?: number | undefined;
  readonly dataFolder?: string | undefined;
}

/**
 * Trains until a budget is used up, then tests the best checkpoint where the run is a classifier's. Returns the exit code.
 *
 * @param continueWith what to tell the user to do after Ctrl-C, given the run's folder
 */
export async function trainAndTest(
  request: TrainingRequest,
  flags: TrainAndTestFlags,
  continueWith = (folder: string) => resumeCommand(folder, flags),
): Promise<number> {
  const json = flags.json ?? false;
  const { exitCode, folder, isComplete, hasTrained } = await superviseTraining(request, {
    json,
    resumeCommand: continueWith,
  });
  if (!isComplete || flags.test === false || folder === undefined) return exitCode;
  const { kind } = await readRunConfig(folder);
  if (kind !== 'classifier-training') return exitCode;
  const isTested = !hasTrained && (await readClassifierEvaluation(folder, 'test')) !== undefined;
  return isTested ? exitCode : test(folder, flags);
}

async function test(folder: string, { json, threads, dataFolder }: TrainAndTestFlags): Promise<number> {
  const interrupt = interruptible();
  try {
    useThreads(threads);
    const flags = { split: 'test', dataFolder, json: json ? 'line' : false } as const;
    if (await runEvaluateClassifier(folder, flags, interrupt.signal)) return exitCodes.ok;
    console.error(`stopped before the test; go on with: npx transformer-ls evaluate ${quoted(folder)}`);
    return exitCodes.interrupted;
  } finally {
    interrupt.end();
  }
}

function resumeCommand(folder: string, { dataFolder: place, json }: TrainAndTestFlags): string {
  const words = ['npx transformer-ls train --resume', quoted(folder)];
  if (place !== undefined) words.push('--data-folder', quoted(place));
  if (json === true) words.push('--json');
  return words.join(' ');
}

/** For a shell. */
function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}
