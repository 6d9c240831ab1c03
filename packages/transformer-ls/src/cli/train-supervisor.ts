/** The parent of the process that trains: shows what it reports, hands on Ctrl-C, and explains its end. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { qualityOf } from '@transformer-ls/formats';
import { formatDuration, formatInteger } from '../text/numbers.js';
import type { TrainingResult } from '../train/trainer.js';
import type { BestEvaluation } from '../train/trainer-counters.js';
import type { TrainingRequest } from '../train/training.js';
import { exitCodes, UsageError } from './errors.js';
import { createProgress, type Progress, progressMode } from './progress.js';
import type { FromWorker, ToWorker } from './worker-messages.js';

export interface SupervisorOptions {
  readonly json: boolean;
  /** The exact command that continues a run. */
  readonly resumeCommand: (folder: string) => string;
}

/** How a training ended that did not fail. */
export interface TrainingOutcome {
  readonly exitCode: number;
  readonly folder: string | undefined;
  /** Whether the run has used up a budget: it was not stopped before. */
  readonly isComplete: boolean;
  /** Whether it made any step now. */
  readonly hasTrained: boolean;
}

/** What the parent has heard of the run. */
interface Heard {
  folder?: string;
  saved?: { step: number; path: string };
  finished?: TrainingResult | null;
  failed?: { message: string; name: string; isUsage: boolean };
}

/** Thrown where the training failed after it began; the message is one line. */
class TrainingFailed extends Error {
  override readonly name = 'TrainingError';
}

/**
 * Trains in a child process until it ends.
 *
 * Throws UsageError for bad input, an Error in one line where the training failed or its process died.
 */
export async function superviseTraining(
  request: TrainingRequest,
  { json, resumeCommand }: SupervisorOptions,
): Promise<TrainingOutcome> {
  const progress = createProgress({
    mode: progressMode(process.stdout, json, process.env),
    stream: process.stdout,
  });
  const heard: Heard = {};
  const worker = startWorker();
  const interrupts = handOnInterrupts(worker, progress);
  worker.on('message', (message: FromWorker) => hear(message, heard, progress));
  forwardOutput(worker, progress);
  tell(worker, { type: 'begin', request });
  const { code, signal } = await ended(worker);
  interrupts.remove();
  progress.finish();
  const { folder, finished, failed } = heard;
  if (interrupts.exitCode() !== undefined) {
    progress.message(afterInterrupt(heard, resumeCommand));
    return { exitCode: interrupts.exitCode()!, folder, isComplete: false, hasTrained: true };
  }
  if (failed !== undefined) throw failureOf(failed);
  if (finished === undefined || folder === undefined)
    throw new TrainingFailed(diedLine(code, signal, heard, resumeCommand));
  progress.message(finished === null ? alreadyComplete(folder, resumeCommand) : endLine(finished, folder));
  const isComplete = finished === null || finished.end === 'complete';
  return { exitCode: exitCodes.ok, folder, isComplete, hasTrained: finished !== null };
}

function startWorker(): ChildProcess {
  return fork(fileURLToPath(new URL('./worker-train.js', import.meta.url)), [], {
    // NaN and infinities must arrive as they are.
    serialization: 'advanced',
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    // libgomp reads it when the process starts: spinning threads take the cores from OpenBLAS's.
    env: { ...process.env, OMP_WAIT_POLICY: process.env.OMP_WAIT_POLICY ?? 'PASSIVE' },
  });
}

function tell(worker: ChildProcess, message: ToWorker): void {
  // A worker that has just ended cannot be told anything; its end is reported elsewhere.
  if (worker.connected) worker.send(message, () => undefined);
}

function ended(worker: ChildProcess): Promise<{ code: number | null; signal: string | null }> {
  return new Promise((resolve, reject) => {
    worker.once('error', reject);
    // 'close' comes when its last messages and lines have been read.
    worker.once('close', (code, signal) => resolve({ code, signal }));
  });
}

function hear(message: FromWorker, heard: Heard, progress: Progress): void {
  switch (message.type) {
    case 'start':
      heard.folder = message.folder;
      progress.start(message.info);
      break;
    case 'record':
      progress.record(message.record);
      break;
    case 'message':
      progress.message(message.line);
      break;
    case 'saved':
      heard.saved = message;
      break;
    case 'finished':
      heard.finished = message.result;
      break;
    case 'failed':
      heard.failed = message;
  }
}

/** What libraries print must not tear the live lines. */
function forwardOutput(worker: ChildProcess, progress: Progress): void {
  for (const stream of [worker.stdout, worker.stderr]) {
    let rest = '';
    stream?.setEncoding('utf8').on('data', (text: string) => {
      const lines = `${rest}${text}`.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) progress.message(line);
    });
    stream?.on('end', () => {
      if (rest !== '') progress.message(rest);
    });
  }
}

/** The first Ctrl-C asks for a saved end, the second ends at once. */
function handOnInterrupts(worker: ChildProcess, progress: Progress) {
  let code: number | undefined;
  const interrupt = (signal: NodeJS.Signals) => {
    if (code !== undefined) {
      worker.kill('SIGKILL');
      return;
    }
    code = signal === 'SIGINT' ? exitCodes.interrupted : 143;
    progress.message('finishing this step and saving; once more to stop at once');
    tell(worker, { type: 'stop' });
  };
  const signals: NodeJS.Signals[] = ['SIGINT', 'SIGTERM'];
  for (const signal of signals) process.on(signal, interrupt);
  return {
    exitCode: () => code,
    remove: () => {
      for (const signal of signals) process.off(signal, interrupt);
    },
  };
}

function failureOf({ message, name, isUsage }: NonNullable<Heard['failed']>): Error {
  if (isUsage) return new UsageError(message);
  const error = new Error(message);
  error.name = name;
  return error;
}

function afterInterrupt({ folder, saved, failed }: Heard, resumeCommand: (folder: string) => string): string {
  if (failed !== undefined) return `stopped; ${failed.message}`;
  if (folder === undefined) return 'stopped before the training began';
  const state = saved === undefined ? 'nothing saved yet' : `saved step ${formatInteger(saved.step)}`;
  return `stopped, ${state}; continue with: ${resumeCommand(folder)}`;
}

function diedLine(
  code: number | null,
  signal: string | null,
  { folder, saved }: Heard,
  resumeCommand: (folder: string) => string,
): string {
  const how = signal === null ? `ended with code ${code}` : `was ended by ${signal}`;
  const hint = signal === 'SIGKILL' ? ' (the system does this when memory runs out)' : '';
  const what = `the training process ${how}${hint}`;
  if (folder === undefined) return `${what} before the training began`;
  const last =
    saved === undefined ? 'there is no checkpoint of this session' : `last checkpoint: ${saved.path}`;
  return `${what}; ${last}; continue with: ${resumeCommand(folder)}`;
}

function alreadyComplete(folder: string, resumeCommand: (folder: string) => string): string {
  return `this run is complete; to train on, give it more: ${resumeCommand(folder)} --steps <n> (or another limit)`;
}

function endLine({ step, seconds, best }: TrainingResult, folder: string): string {
  const measured = best === null ? '' : `; best validation ${qualityText(best)} at step ${best.step}`;
  return `done: ${formatInteger(step)} steps in ${formatDuration(seconds)}${measured}; curves and results in ${folder}`;
}

function qualityText(best: BestEvaluation): string {
  const { name, value } = qualityOf(best);
  return `${name} ${value.toFixed(4)}`;
}
