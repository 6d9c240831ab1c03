/**
 * The training loop: micro-batches, forward, loss, backward, clip, step, log, evaluate, save. What is trained is behind
 * `TrainingTask`; how it goes on after a stop is in training-state.ts.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { EvaluationRecord, MetricsRecord, TrainingConfig, TrainRecord } from '@transformer-ls/formats';
import { clipGradNorm, scope, type Tensor } from '@transformer-ls/torch';
import type { CheckpointContent } from '../run/checkpoint.js';
import type { RunFolder } from '../run/run-folder.js';
import { describeNonFinite } from './non-finite.js';
import { createOptimizer, type TrainingOptimizer } from './optimizer.js';
import type { Precision } from './precision.js';
import { type GradientSum, Ranks } from './ranks.js';
import { refuseDifferentWeights } from './same-weights.js';
import { progressOf, scheduledSettings } from './schedule.js';
import type { Evaluation, TrainingTask } from './task.js';
import type { BestEvaluation, TrainerCounters } from './trainer-counters.js';
import { TrainingError } from './training-error.js';
import { checkpointOf } from './training-state.js';
import { WeightAverage } from './weight-average.js';

export { TrainingError };

export interface TrainerOptions {
  readonly config: TrainingConfig;
  readonly task: TrainingTask;
  readonly precision: Precision;
  readonly folder: RunFolder;
  readonly onRecord: (record: MetricsRecord) => void;
  readonly onSaved: (step: number, path: string) => void;
  /** Asked between updates; true ends the run as soon as it is saved. */
  readonly shouldStop: () => boolean;
  /** The processes that train together, each with a trainer of its own on its share of the data. Default: this one alone. */
  readonly ranks?: Ranks;
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
  readonly ranks: Ranks;
  private readonly parameters: readonly Tensor[];
  private readonly gradientSum: GradientSum;
  private evaluatedAt = -1;
  private savedAt = -1;
  /** Milliseconds of the clock at which `counters.seconds` was last brought up to date. */
  private clock = performance.now();

  constructor(readonly options: TrainerOptions) {
    this.optimizer = createOptimizer(options.config.optimizer, options.task);
    this.parameters = options.task.model.parameters();
    this.ranks = options.ranks ?? Ranks.alone;
    this.gradientSum = this.ranks.gradientSum(this.parameters.filter(({ requiresGrad }) => requiresGrad));
    const { emaDecay } = options.config;
    this.average = emaDecay === null ? null : new WeightAverage(options.task.model, emaDecay);
  }

  async run(): Promise<TrainingEnd> {
    const { evaluateEverySteps, checkpointEverySteps } = this.options.config;
    this.clock = performance.now();
    this.options.task.model.train();
    for (;;) {
      const isStopped = this.agree();
      if (this.isComplete()) return this.end('complete');
      if (isStopped) return this.end('stopped');
      this.report(this.update());
      if (this.counters.step % evaluateEverySteps === 0) await this.evaluate();
      if (this.counters.step % checkpointEverySteps === 0) await this.save();
      await nextTurn();
    }
  }

  /**
   * All processes stop where one was asked to, and go by the first one's clock: they take the same branches and learning rates.
   *
   * @returns whether to stop
   */
  private agree(): boolean {
    const { ranks } = this;
    const [stops, seconds] = ranks.sum([
      this.options.shouldStop() ? 1 : 0,
      ranks.isFirst ? this.passTime() : 0,
    ]);
    this.counters.seconds = seconds!;
    return stops! > 0;
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
    const measure = async () => this.overAll(await task.evaluate());
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
    if (best) await this.write((content) => this.options.folder.writeBest(content));
    return record;
  }

  async save(): Promise<void> {
    const { folder, onSaved } = this.options;
    this.passTime();
    const path = await this.write((content) => folder.writeCheckpoint(content));
    this.savedAt = this.counters.step;
    onSaved(this.counters.step, path);
  }

  private async write(to: (content: CheckpointContent) => Promise<string>): Promise<string> {
    refuseDifferentWeights(this.options.task.model, this.ranks, this.counters.step);
    const content = checkpointOf(this);
    try {
      return await to(content);
    } finally {
      content.release();
    }
  }

  /** What all processes measured together, each on its part. */
  private overAll(own: Evaluation): Evaluation {
    const { ranks } = this;
    if (ranks.share.world === 1) return own;
    const { tokens, loss, accuracy, top5 } = own;
    const times = (mean: number) => (tokens === 0 ? 0 : mean * tokens);
    const sums = ranks.sum([tokens, times(loss), times(accuracy ?? 0), times(top5 ?? 0)]);
    const [all, nats, right, rightOfFive] = sums as [number, number, number, number];
    return {
      ...own,
      tokens: all,
      loss: nats / all,
      accuracy: accuracy === null ? null : right / all,
      ...(top5 === undefined ? {} : { top5: rightOfFive / all }),
    };
  }

  /** A run that someone stopped is saved at once; one that is complete is measured first. */
  private async end(how: TrainingEnd): Promise<TrainingEnd> {
    const { step } = this.counters;
    if (how === 'complete' && this.evaluatedAt !== step && step > 0) await this.evaluate();
    if (this.savedAt !== step) await this.save();
    return how;
  }

  /**
   * Adds up the gradients of `gradientAccumulation` micro-batches of all processes, times the loss scale; the mean of their losses.
   * Each process makes its part of the mean, so that the sum over the processes is all that is left to do: it begins in the last
   * backward pass.
   */
  private accumulate(scale: number): { loss: number; tokens: number; accuracy: number | null } {
    const { config, task } = this.options;
    const { ranks } = this;
    const microBatches = config.gradientAccumulation;
    const count = microBatches * ranks.share.world;
    let [loss, tokens, right] = [0, 0, 0];
    for (let index = 0; index < microBatches; index++) {
      if (index === microBatches - 1) this.gradientSum.begin();
      scope(() => {
        const microBatch = task.nextMicroBatch();
        ranks.exchanging('backward pass', () =>
          microBatch.backward(scale === count ? microBatch.loss : microBatch.loss.mul(scale / count)),
        );
        loss += microBatch.loss.item() / count;
        tokens += microBatch.tokens;
        right += (microBatch.accuracy ?? 0) / count;
      });
    }
    this.gradientSum.finish();
    ranks.average(task.statistics?.() ?? []);
    const sums = ranks.sum([loss, tokens, right]);
    [loss, tokens, right] = sums as [number, number, number];
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
