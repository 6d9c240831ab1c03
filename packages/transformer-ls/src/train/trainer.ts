/**
 * The training loop: micro-batches, forward, loss, backward, clip, step, log, evaluate, save. What is trained is behind
 * `TrainingTask`; how it goes on after a stop is in training-state.ts.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { EvaluationRecord, MetricsRecord, TrainingConfig, TrainRecord } from '@transformer-ls/formats';
import { clipGradNorm, scope, type Tensor } from '@transformer-ls/torch';
import type { RunFolder } from '../run/run-folder.js';
import { describeNonFinite } from './non-finite.js';
import { createOptimizer, type TrainingOptimizer } from './optimizer.js';
import type { Precision } from './precision.js';
import { progressOf, scheduledSettings } from './schedule.js';
import type { TrainingTask } from './task.js';
import type { BestEvaluation, TrainerCounters } from './trainer-counters.js';
import { checkpointOf } from './training-state.js';
import { WeightAverage } from './weight-average.js';

/** Training cannot go on; the message is one line. */
export class TrainingError extends Error {
  override readonly name = 'TrainingError';
}

export interface TrainerOptions {
  readonly config: TrainingConfig;
  readonly task: TrainingTask;
  readonly precision: Precision;
  readonly folder: RunFolder;
  readonly onRecord: (record: MetricsRecord) => void;
  readonly onSaved: (step: number, path: string) => void;
  /** Asked between updates; true ends the run as soon as it is saved. */
  readonly shouldStop: () => boolean;
}

/** `complete`: a budget is used up. `stopped`: someone asked. */
export type TrainingEnd = 'complete' | 'stopped';

export interface TrainingResult {
  readonly end: TrainingEnd;
  readonly step: number;
  readonly tokens: number;
  readonly seconds: number;
  readonly best: BestEvaluation | null;
}

export class Trainer {
  readonly counters: TrainerCounters = {
    step: 0,
    tokens: 0,
    seconds: 0,
    skipped: 0,
    skippedInARow: 0,
    best: null,
  };
  readonly optimizer: TrainingOptimizer;
  /** What is evaluated and kept in place of the weights; null where they themselves are. */
  readonly average: WeightAverage | null;
  private readonly parameters: readonly Tensor[];
  private evaluatedAt = -1;
  private savedAt = -1;
  /** Milliseconds of the clock at which `counters.seconds` was last brought up to date. */
  private clock = performance.now();

  constructor(readonly options: TrainerOptions) {
    this.optimizer = createOptimizer(options.config.optimizer, options.task);
    this.parameters = options.task.model.parameters();
    const { emaDecay } = options.config;
    this.average = emaDecay === null ? null : new WeightAverage(options.task.model, emaDecay);
  }

  async run(): Promise<TrainingEnd> {
    const { evaluateEverySteps, checkpointEverySteps } = this.options.config;
    this.clock = performance.now();
    this.options.task.model.train();
    while (!this.isComplete()) {
      if (this.options.shouldStop()) return this.end('stopped');
      this.report(this.update());
      if (this.counters.step % evaluateEverySteps === 0) await this.evaluate();
      if (this.counters.step % checkpointEverySteps === 0) await this.save();
      await nextTurn();
    }
    return this.end('complete');
  }

  /** Whether a budget is used up. */
  isComplete(): boolean {
    return progressOf(this.used(), this.options.config) >= 1;
  }

  /** One update of the weights: forward and backward of every micro-batch, then clip and step. */
  update(): TrainRecord {
    const { config, precision } = this.options;
    const started = performance.now();
    const settings = scheduledSettings(config, this.used());
    const { scale } = precision.lossScale;
    const { loss, tokens, accuracy } = this.accumulate(scale);
    const gradNorm =
      clipGradNorm(this.parameters, (config.clipNorm ?? Number.POSITIVE_INFINITY) * scale) / scale;
    this.counters.step += 1;
    this.counters.tokens += tokens;
    const finite = Number.isFinite(loss) && Number.isFinite(gradNorm);
    if (finite) {
      this.optimizer.set(settings);
      this.optimizer.step({ gradientScale: 1 / scale });
      this.average?.update(this.counters.step - this.counters.skipped);
      this.counters.skippedInARow = 0;
    } else {
      this.skip(loss, gradNorm);
    }
    this.optimizer.zeroGrad();
    precision.lossScale.update(finite);
    const seconds = this.passTime();
    return {
      type: 'train',
      step: this.counters.step,
      tokens: this.counters.tokens,
      loss,
      bpc: this.bpcOf(loss),
      accuracy,
      learningRate: settings.learningRate,
      gradNorm,
      tokensPerSecond: tokens / ((performance.now() - started) / 1000),
      seconds,
      memoryBytes: process.memoryUsage.rss(),
    };
  }

  /** Evaluates, and keeps the weights where they are the best so far. */
  async evaluate(): Promise<EvaluationRecord> {
    const started = performance.now();
    const { task } = this.options;
    const measure = () => task.evaluate();
    const { split, tokens, top5 = null, ...measured } = await (this.average?.inModel(measure) ?? measure());
    const { step } = this.counters;
    const found: BestEvaluation = { step, ...measured, bpc: this.bpcOf(measured.loss) };
    const best = isBetter(found, this.counters.best);
    if (best) this.counters.best = found;
    const seconds = (performance.now() - started) / 1000;
    const record: EvaluationRecord = { type: 'evaluation', split, tokens, top5, seconds, best, ...found };
    this.report(record);
    this.evaluatedAt = step;
    this.passTime();
    if (best) await this.options.folder.writeBest(checkpointOf(this));
    return record;
  }

  async save(): Promise<void> {
    const { folder, onSaved } = this.options;
    this.passTime();
    const path = await folder.writeCheckpoint(checkpointOf(this));
    this.savedAt = this.counters.step;
    onSaved(this.counters.step, path);
  }

  /** A run that someone stopped is saved at once; one that is complete is measured first. */
  private async end(how: TrainingEnd): Promise<TrainingEnd> {
    const { step } = this.counters;
    if (how === 'complete' && this.evaluatedAt !== step && step > 0) await this.evaluate();
    if (this.savedAt !== step) await this.save();
    return how;
  }

  /** Adds up the gradients of `gradientAccumulation` micro-batches, times the loss scale; the mean of their losses. */
  private accumulate(scale: number): { loss: number; tokens: number; accuracy: number | null } {
    const { config, task } = this.options;
    const count = config.gradientAccumulation;
    let [loss, tokens, right] = [0, 0, 0];
    for (let index = 0; index < count; index++) {
      scope(() => {
        const microBatch = task.nextMicroBatch();
        microBatch.backward(scale === count ? microBatch.loss : microBatch.loss.mul(scale / count));
        loss += microBatch.loss.item() / count;
        tokens += microBatch.tokens;
        right += (microBatch.accuracy ?? 0) / count;
      });
    }
    return { loss, tokens, accuracy: task.measures === 'accuracy' ? right : null };
  }

  private skip(loss: number, gradNorm: number): void {
    const { config, task } = this.options;
    const { counters } = this;
    counters.skipped += 1;
    counters.skippedInARow += 1;
    if (!Number.isFinite(loss)) task.recover();
    const where = `loss ${loss}, gradient norm ${gradNorm}, before ${task.position()}`;
    const { step, skippedInARow } = counters;
    if (skippedInARow >= config.stopAfterNonFinite) {
      const named = describeNonFinite(task.model);
      throw new TrainingError(
        `${skippedInARow} updates in a row were not finite, the last at step ${step}: ${where}; ${named}`,
      );
    }
    this.report({ type: 'event', step, event: 'skipped', message: `update skipped, not finite: ${where}` });
  }

  private report(record: MetricsRecord): void {
    this.options.folder.log.append(record);
    this.options.onRecord(record);
  }

  private used() {
    const { step: steps, tokens, seconds } = this.counters;
    return { steps, tokens, seconds };
  }

  private bpcOf(loss: number): number | null {
    return this.options.task.measures === 'bpc' ? loss / Math.LN2 : null;
  }

  private passTime(): number {
    const now = performance.now();
    this.counters.seconds += (now - this.clock) / 1000;
    this.clock = now;
    return this.counters.seconds;
  }
}

/** By accuracy where there is one, among equals and elsewhere by loss. */
function isBetter(found: BestEvaluation, before: BestEvaluation | null): boolean {
  if (before === null) return Number.isFinite(found.loss);
  const gained = (found.accuracy ?? 0) - (before.accuracy ?? 0);
  return gained > 0 || (gained === 0 && found.loss < before.loss);
}
