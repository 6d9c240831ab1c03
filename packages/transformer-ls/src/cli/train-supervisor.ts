/** The parent of the process that trains: shows what it reports, hands on Ctrl-C, and explains its end. */
import type { ChildProcess } from 'node:child_process';
import { qualityOf } from '@transformer-ls/formats';
import { type Membership, membershipFrom } from '@transformer-ls/torch';
import { formatDuration, formatInteger } from '../text/numbers.js';
import type { TrainingResult } from '../train/trainer.js';
import type { BestEvaluation } from '../train/trainer-counters.js';
import type { TrainingRequest } from '../train/training.js';
import { exitCodes, UsageError } from './errors.js';
import { createProgress, type Progress, progressMode } from './progress.js';
import { Crew, GRACE_SECONDS } from './train-crew.js';
import { type Failed, type Fate, type Fault, faultOf } from './train-failure.js';
import type { FromWorker } from './worker-messages.js';

export interface SupervisorOptions {
  readonly json: boolean;
  /** The exact command that continues a run. */
  readonly resumeCommand: (folder: string) => string;
  /** Processes of this machine that train together. Default: one. */
  readonly processes?: number;
  /** Seconds after which one gives up that waits for another. Default: ten minutes. */
  readonly rankTimeout?: number | undefined;
  /** Processes that share every sequence. Default: one. */
  readonly sequenceParallel?: number | undefined;
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
}

/** Thrown where the training failed after it began; the message is one line. */
class TrainingFailed extends Error {
  override readonly name = 'TrainingError';
}

const RANK_TIMEOUT_SECONDS = 600;

/**
 * Trains in a child process, or in several, until they end.
 *
 * Throws UsageError for bad input, an Error in one line where the training failed or a process died.
 */
export async function superviseTraining(
  request: TrainingRequest,
  {
    json,
    resumeCommand,
    processes = 1,
    rankTimeout = RANK_TIMEOUT_SECONDS,
    sequenceParallel = 1,
  }: SupervisorOptions,
): Promise<TrainingOutcome> {
  const launched = launchedAs();
  if (launched !== null && processes > 1)
    throw new UsageError(
      `--processes starts them itself, but this one was started as rank ${launched.rank} of ${launched.world}`,
    );
  const isQuiet = launched !== null && launched.rank > 0;
  const progress = isQuiet ? silentProgress() : visibleProgress(json);
  const heard: Heard = {};
  const said = new Map<number, Failed>();
  const crew = new Crew(processes);
  const interrupts = handOnInterrupts(crew, progress);
  const lines = new Set<string>();
  for (const { rank, child } of crew.members) {
    const speaker = rank === 0 ? remembering(progress, lines) : echo(progress, rank, lines);
    child.on('message', (message: FromWorker) => {
      if (message.type !== 'failed') return hear(message, rank === 0 ? heard : {}, speaker);
      said.set(rank, message);
      // Where nothing has begun the others wait for what does not come.
      if (message.isUsage) crew.kill(rank);
      else crew.endSoon();
    });
    forwardOutput(child, speaker);
  }
  crew.tell({ type: 'begin', request, rankTimeout, sequenceParallel });
  const isOneOfSeveral = launched !== null || processes > 1;
  const endWatch = isOneOfSeveral ? crew.endIdle(rankTimeout + 2 * GRACE_SECONDS) : () => undefined;
  const ends = await crew.allEnded().finally(endWatch);
  interrupts.remove();
  progress.finish();
  const fates = crew.members.map(({ rank, child }): Fate => {
    return { rank: launched?.rank ?? rank, pid: child.pid, end: ends[rank]!, failed: said.get(rank) };
  });
  const fault = faultOf(fates, rankTimeout, { isOneOfSeveral });
  const { folder, finished } = heard;
  if (interrupts.exitCode() !== undefined) {
    const hung = fates.some(({ end }) => end.wasIdle);
    progress.message(hung ? `stopped; ${fault!.message}` : afterInterrupt(heard, fault, resumeCommand));
    return { exitCode: interrupts.exitCode()!, folder, isComplete: false, hasTrained: true };
  }
  if (fault?.failed !== undefined && (processes === 1 || fault.failed.isUsage)) throw failureOf(fault.failed);
  if (fault !== undefined) throw new TrainingFailed(faultLine(fault, processes, heard, resumeCommand));
  if (finished === undefined || folder === undefined)
    throw new TrainingFailed('the training process ended without a word');
  progress.message(finished === null ? alreadyComplete(folder, resumeCommand) : endLine(finished, folder));
  const isComplete = finished === null || finished.end === 'complete';
  return { exitCode: exitCodes.ok, folder, isComplete, hasTrained: finished !== null };
}

/** Which of several processes this one was started as, by torchrun or the like. */
export function launchedAs(): Membership | null {
  const membership = membershipFrom();
  return membership === null || membership.world === 1 ? null : membership;
}

/** Whether this process is the one that reports and measures; so it is where it was started alone. */
export function isFirstOfLauncher(): boolean {
  return (launchedAs()?.rank ?? 0) === 0;
}

function visibleProgress(json: boolean): Progress {
  return createProgress({
    mode: progressMode(process.stdout, json, process.env),
    stream: process.stdout,
  });
}

/** Of a process whose first neighbour shows what all do. */
function silentProgress(): Progress {
  const nothing = () => undefined;
  return { start: nothing, record: nothing, message: nothing, finish: nothing };
}

/** What the first process says, with its lines kept in `lines`. */
function remembering(progress: Progress, lines: Set<string>): Progress {
  const message = (line: string) => {
    lines.add(line);
    progress.message(line);
  };
  return { ...progress, message };
}

/** What another process says: only lines that the first has not said, which makes ready alone what both then describe. */
function echo(progress: Progress, rank: number, lines: ReadonlySet<string>): Progress {
  const message = (line: string) => {
    if (!lines.has(line)) progress.message(`rank ${rank}: ${line}`);
  };
  return { ...silentProgress(), message };
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
      break;
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
function handOnInterrupts(crew: Crew, progress: Progress) {
  let code: number | undefined;
  const interrupt = (signal: NodeJS.Signals) => {
    if (code !== undefined) {
      crew.kill();
      return;
    }
    code = signal === 'SIGINT' ? exitCodes.interrupted : 143;
    progress.message('finishing this step and saving; once more to stop at once');
    crew.tell({ type: 'stop' });
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

function failureOf({ message, name, isUsage }: Failed): Error {
  if (isUsage) return new UsageError(message);
  const error = new Error(message);
  error.name = name;
  return error;
}

function afterInterrupt(
  { folder, saved }: Heard,
  fault: Fault | undefined,
  resumeCommand: (folder: string) => string,
): string {
  if (fault?.failed !== undefined) return `stopped; ${fault.message}`;
  if (folder === undefined) return 'stopped before the training began';
  const state = saved === undefined ? 'nothing saved yet' : `saved step ${formatInteger(saved.step)}`;
  return `stopped, ${state}; continue with: ${resumeCommand(folder)}`;
}

function faultLine(
  { message }: Fault,
  processes: number,
  { folder, saved }: Heard,
  resumeCommand: (folder: string) => string,
): string {
  const what = processes === 1 ? message : `${message}; all ${processes} processes have ended`;
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
