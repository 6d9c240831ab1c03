/**
 * The process that trains. Steps of libtorch block a whole thread; here they block neither the display nor Ctrl-C, which live
 * in the parent. It stops (and saves first) when the parent says so, on SIGINT and SIGTERM, and when the parent is gone.
 */

import { ConfigError, qualityOf } from '@transformer-ls/formats';
import { DistributedError, membershipFrom } from '@transformer-ls/torch';
import type { PrepareProgress } from '../data/prepare.js';
import { formatCount } from '../text/numbers.js';
import { Ranks } from '../train/ranks.js';
import {
  openTraining,
  type Training,
  type TrainingObserver,
  type TrainingRequest,
} from '../train/training.js';
import { TrainingError } from '../train/training-error.js';
import type { ProgressInfo } from './progress.js';
import type { FromWorker, ToWorker } from './worker-messages.js';

let stopAsked = false;
/** Aborted when it is to stop: ends the waiting for another process's preparations. */
const stopping = new AbortController();

function askToStop(): void {
  stopAsked = true;
  stopping.abort(new TrainingError('stopped before the training began'));
}

/** Others that train along, where torch's variables say that there are any. */
function joinOthers(timeoutSeconds: number, perSequence: number): Ranks {
  const membership = membershipFrom();
  if (membership === null || membership.world === 1) {
    if (perSequence > 1)
      throw new ConfigError([
        `--sequence-parallel ${perSequence} needs as many processes: --processes ${perSequence}, or those of a launcher`,
      ]);
    return Ranks.alone;
  }
  // torchrun counts how often it has started them again.
  const areRestarted = Number(process.env.TORCHELASTIC_RESTART_COUNT ?? 0) > 0;
  return Ranks.join(membership, { timeoutSeconds, signal: stopping.signal, areRestarted, perSequence });
}

/** A parent that is gone hears nothing, and is no reason to fail before the run is saved. */
function say(message: FromWorker): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}

/** Making the data ready is worth a word only where it takes this long; then it says how far it is as often. */
const PREPARING_MS = 3000;

function sayHowFar(): (progress: PrepareProgress) => void {
  let next = performance.now() + PREPARING_MS;
  return ({ stage, bytes, total }) => {
    if (performance.now() < next) return;
    next = performance.now() + PREPARING_MS;
    const whole = total === undefined ? '' : ` of ${formatCount(total)}`;
    say({ type: 'message', line: `making the data ready: ${stage}, ${formatCount(bytes)}${whole}` });
  };
}

const observer: TrainingObserver = {
  message: (line) => say({ type: 'message', line }),
  prepare: sayHowFar(),
  record: (record) => say({ type: 'record', record }),
  saved: (step, path) => say({ type: 'saved', step, path }),
};

function progressInfo({ config, trainer }: Training): ProgressInfo {
  const { perSequence } = trainer.ranks;
  const { world } = trainer.ranks.share;
  const { maxSteps, maxTokens, maxSeconds, recipe, data } = config;
  const { step, tokens, seconds, best } = trainer.counters;
  return {
    title: `${recipe} on ${data.name}${world === 1 ? '' : `, ${world} processes`}${perSequence === 1 ? '' : `, ${perSequence} to a sequence`}`,
    counts: trainer.options.task.counts,
    goals: {
      ...(maxSteps === null ? {} : { steps: maxSteps }),
      ...(maxTokens === null ? {} : { tokens: maxTokens }),
      ...(maxSeconds === null ? {} : { seconds: maxSeconds }),
    },
    ...(step === 0
      ? {}
      : { from: { step, tokens, seconds, best: best === null ? undefined : qualityOf(best).value } }),
  };
}

/** Errors before the first step that no other input mends. */
const NOT_THE_INPUT = ['NativeLoadError', 'DistributedError', 'Error'];

/** How long another process may be silent where nobody says so. */
const RANK_TIMEOUT_SECONDS = 600;

/** How long to ask who else has noticed that somebody does not answer; less than is left to a process that has failed. */
const ASK_SECONDS = 5;

/** Who does not answer, as far as the others know; for a line that says what was waited for. */
async function whoIsMissing(ranks: Ranks): Promise<string> {
  const membership = membershipFrom();
  if (membership?.world === 2) return `; missing: rank ${1 - membership.rank}`;
  // They have not met yet.
  if (ranks.share.world === 1) return '';
  try {
    const missing = await ranks.missing(ASK_SECONDS);
    if (missing.length === 0) return '; all have noticed it: it was a matter of the network or of time';
    return `; missing: rank ${missing.join(', ')}`;
  } catch {
    return '; nor does the store answer, which rank 0 or its launcher keeps';
  }
}

/** Bad input shows before the first step; what goes wrong later is a failure of the training. */
async function work(request: TrainingRequest, rankTimeout: number, sequenceParallel: number): Promise<void> {
  let training: Training | undefined;
  let ranks = Ranks.alone;
  try {
    ranks = joinOthers(rankTimeout, sequenceParallel);
    training = await openTraining(request, observer, ranks);
    say({ type: 'start', info: progressInfo(training), folder: training.folder });
    const result = training.trainer.isComplete() ? null : await training.run(() => stopAsked);
    await training.close();
    say({ type: 'finished', result });
  } catch (error) {
    await training?.close();
    const { message, name } = error instanceof Error ? error : new Error(String(error));
    const isUsage = training === undefined && !NOT_THE_INPUT.includes(name);
    const reason = error instanceof DistributedError && error.reason !== 'other' ? error.reason : undefined;
    const failed = { type: 'failed', name, isUsage, reason } as const;
    say({ ...failed, message });
    // Said once more: asking may take longer than this process is given.
    if (reason === 'timeout') say({ ...failed, message: `${message}${await whoIsMissing(ranks)}` });
    if (process.env.TLS_DEBUG) console.error(error);
    process.exitCode = 1;
  } finally {
    if (process.connected) process.disconnect();
  }
}

process.on('message', (message: ToWorker) => {
  if (message.type === 'stop') askToStop();
  else void work(message.request, message.rankTimeout ?? RANK_TIMEOUT_SECONDS, message.sequenceParallel ?? 1);
});
process.on('disconnect', askToStop);
process.on('SIGINT', askToStop);
process.on('SIGTERM', askToStop);
