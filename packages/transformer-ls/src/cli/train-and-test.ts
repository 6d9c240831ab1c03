/** One run from its first step to its figure: training, then the accuracy of what classifies on the test part. */
import { readClassifierEvaluation } from '../evaluate/classifier-evaluation.js';
import { readImageEvaluation } from '../evaluate/image-evaluation.js';
import { readRunConfig } from '../run/run-folder.js';
import type { TrainingRequest } from '../train/training.js';
import { exitCodes } from './errors.js';
import { runEvaluateClassifier } from './evaluate-classifier.js';
import { runEvaluateImages } from './evaluate-images.js';
import { interruptible } from './interrupt.js';
import { useThreads } from './threads.js';
import { isFirstOfLauncher, superviseTraining } from './train-supervisor.js';

export interface TrainAndTestFlags {
  readonly json?: boolean | undefined;
  readonly test?: boolean | undefined;
  readonly threads?: number | undefined;
  readonly dataFolder?: string | undefined;
  readonly processes?: number | undefined;
  readonly rankTimeout?: number | undefined;
  readonly sequenceParallel?: number | undefined;
}

/**
 * Trains until a budget is used up, then tests the best checkpoint where the run is a classifier's or a vision model's. Returns the
 * exit code.
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
    processes: flags.processes ?? 1,
    rankTimeout: flags.rankTimeout,
    sequenceParallel: flags.sequenceParallel,
  });
  // Of processes that a launcher has started the first one measures.
  if (!isFirstOfLauncher()) return exitCode;
  if (!isComplete || flags.test === false || folder === undefined) return exitCode;
  const { kind, device } = await readRunConfig(folder);
  if (kind !== 'classifier-training' && kind !== 'image-training') return exitCode;
  const run: TestedRun = { folder, kind, device };
  if (!hasTrained && (await testAccuracy(run)) !== undefined) return exitCode;
  return test(run, flags);
}

/** A run whose accuracy is measured at its end. */
export interface TestedRun {
  readonly folder: string;
  readonly kind: 'classifier-training' | 'image-training';
  readonly device?: unknown;
}

/** The accuracy on the test part that is kept in the run's folder, or undefined. */
export async function testAccuracy({ folder, kind }: TestedRun): Promise<number | undefined> {
  const record =
    kind === 'image-training'
      ? await readImageEvaluation(folder)
      : await readClassifierEvaluation(folder, 'test');
  return record?.accuracy;
}

async function test(run: TestedRun, { json, threads, dataFolder }: TrainAndTestFlags): Promise<number> {
  const interrupt = interruptible();
  const { folder, kind } = run;
  try {
    useThreads(threads);
    const flags = { split: 'test', json: json ? 'line' : false } as const;
    const device = typeof run.device === 'string' ? run.device : undefined;
    const isDone =
      kind === 'image-training'
        ? await runEvaluateImages(folder, { ...flags, device }, interrupt.signal)
        : await runEvaluateClassifier(folder, { ...flags, dataFolder }, interrupt.signal);
    if (isDone) return exitCodes.ok;
    console.error(`stopped before the test; go on with: npx transformer-ls evaluate ${quoted(folder)}`);
    return exitCodes.interrupted;
  } finally {
    interrupt.end();
  }
}

function resumeCommand(
  folder: string,
  { dataFolder: place, json, processes, sequenceParallel }: TrainAndTestFlags,
): string {
  const words = ['npx transformer-ls train --resume', quoted(folder)];
  if (place !== undefined) words.push('--data-folder', quoted(place));
  if (processes !== undefined) words.push('--processes', String(processes));
  if (sequenceParallel !== undefined) words.push('--sequence-parallel', String(sequenceParallel));
  if (json === true) words.push('--json');
  return words.join(' ');
}

/** For a shell. */
function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}
