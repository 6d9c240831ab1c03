// A vision model and pictures so small that a step takes milliseconds.
import { type ImageTrainingConfig, imageTrainingSchema, parseConfig } from '@transformer-ls/formats';
import { BatchNorm2d, Module, manualSeed, type Tensor } from '@transformer-ls/torch';
import { expect, onTestFinished } from 'vitest';
import { Random } from '../../src/data/random.js';
import { scoreImages } from '../../src/evaluate/images.js';
import type { ImageBatch } from '../../src/images/loader/image-loader.js';
import { createImageClassifier, type ImageClassifier } from '../../src/models/vision/image-classifier.js';
import { createRun, resumeRun } from '../../src/run/run-folder.js';
import { type ImageBatches, ImageTask } from '../../src/train/image-task.js';
import { Precision } from '../../src/train/precision.js';
import { Trainer } from '../../src/train/trainer.js';

export const SIDE = 8;
export const CLASSES = 4;

export function smallImageConfig(changes: object = {}, model: object = {}): ImageTrainingConfig {
  const stage = { layers: 1, modelDim: 8, heads: 2, patchSize: 2, windowSize: 2, projectionRank: 2 };
  return parseConfig(imageTrainingSchema, {
    kind: 'image-training',
    recipe: 'test',
    model: {
      kind: 'vil-ls',
      imageHeight: SIDE,
      imageWidth: SIDE,
      classes: CLASSES,
      stages: [stage, { ...stage, modelDim: 16, attention: 'full', globalTokens: 0 }],
      ...model,
    },
    data: { name: 'stripes' },
    augmentation: {},
    batchSize: 16,
    optimizer: { name: 'adamw', learningRate: 1e-2 },
    schedule: { name: 'constant' },
    maxSteps: 60,
    evaluateEverySteps: 1000,
    checkpointEverySteps: 1000,
    threads: 1,
    seed: 1,
    ...changes,
  });
}

/** Noise with a bright column that tells the class; made anew from seed and place. */
export class StripeBatches implements ImageBatches {
  readonly batchesPerEpoch = 4;
  private epoch = 0;
  private batch = 0;

  constructor(
    private readonly batchSize: number,
    /** Whether half of each picture's target is that of another class. */
    private readonly isMixed = false,
  ) {}

  next(): ImageBatch {
    if (this.batch === this.batchesPerEpoch) [this.epoch, this.batch] = [this.epoch + 1, 0];
    const random = new Random(7, this.epoch, this.batch++);
    const B = this.batchSize;
    const labels = Int32Array.from({ length: B }, () => random.below(CLASSES));
    const pixels = Float32Array.from({ length: B * 3 * SIDE * SIDE }, (_, i) => {
      const [row, column] = [Math.floor(i / (3 * SIDE * SIDE)), i % SIDE];
      return random.unit() - 0.5 + (Math.floor(column / 2) === labels[row] ? 1 : 0);
    });
    const targets = this.isMixed ? new Float32Array(B * CLASSES) : null;
    if (targets !== null)
      for (const [row, label] of labels.entries()) {
        targets[row * CLASSES + label] = 0.75;
        targets[row * CLASSES + ((label + 1) % CLASSES)] = 0.25;
      }
    return { pixels, labels, targets, indices: new Int32Array(B) };
  }

  nextAsync(): Promise<ImageBatch> {
    return Promise.resolve(this.next());
  }

  state() {
    return { epoch: this.epoch, batch: this.batch };
  }

  restore({ epoch, batch }: { epoch: number; batch: number }): void {
    [this.epoch, this.batch] = [epoch, batch];
  }
}

/** A model with running statistics in front of it, as CvT has them. */
export class WithStatistics extends Module implements ImageClassifier {
  readonly config: ImageClassifier['config'];
  readonly statistics: BatchNorm2d;
  private readonly inner: ImageClassifier;

  constructor(inner: ImageClassifier) {
    super();
    this.config = inner.config;
    this.statistics = this.child('statistics', new BatchNorm2d({ channels: 3 }));
    this.inner = this.child('inner', inner);
  }

  get attentions(): ImageClassifier['attentions'] {
    return this.inner.attentions;
  }

  forward(images: Tensor): Tensor {
    return this.inner.forward(this.statistics.forward(images));
  }

  features(images: Tensor): Tensor {
    return this.inner.features(this.statistics.forward(images));
  }

  logitsOf(features: Tensor): Tensor {
    return this.inner.logitsOf(features);
  }
}

export interface SmallImageTrainerOptions {
  readonly batches?: ImageBatches;
  readonly fingerprint?: string;
}

/** A trainer on a run folder, which is made where it is not there. */
export async function smallImageTrainer(
  config: ImageTrainingConfig,
  folder: string,
  {
    batches = new StripeBatches(config.batchSize, true),
    fingerprint = 'stripes',
  }: SmallImageTrainerOptions = {},
): Promise<Trainer & { readonly options: { readonly task: ImageTask } }> {
  manualSeed(config.seed);
  const model = new WithStatistics(createImageClassifier(config.model));
  const precision = new Precision(config.precision, config.device);
  const validate = () => scoreImages(model, new StripeBatches(16), { device: config.device, precision });
  const task = new ImageTask({ model, config, batches, fingerprint, validate, precision });
  const options = { onProblem: (line: string) => expect.fail(line), keep: 2 };
  const json = JSON.parse(JSON.stringify(config));
  const run = await createRun(folder, json, options).catch(() => resumeRun(folder, options));
  onTestFinished(async () => {
    await run.close();
    model.dispose();
  });
  const quiet = { onRecord: () => {}, onSaved: () => {}, shouldStop: () => false };
  return new Trainer({ config, task, precision, folder: run, ...quiet }) as never;
}
