/** Training a vision model on batches of augmented pictures. Shape letters: B pictures, S pixels a side, C classes. */
import type { ImageTrainingConfig } from '@transformer-ls/formats';
import { crossEntropy, keep, noGrad, scope, type Tensor, tensor } from '@transformer-ls/torch';
import { DataError } from '../data/errors.js';
import type { ImageScores } from '../evaluate/image-scores.js';
import type { ImageLoader } from '../images/loader/image-loader.js';
import type { ImageClassifier } from '../models/vision/image-classifier.js';
import type { JsonObject } from '../run/json.js';
import { decaysInVision } from './image-decay.js';
import { atLeastFloat32, type Precision } from './precision.js';
import type { Evaluation, MicroBatch, TaskState, TrainingTask } from './task.js';

/** A stream of batches, epoch after epoch, that seed and place determine. */
export type ImageBatches = Pick<ImageLoader, 'batchesPerEpoch' | 'next' | 'state' | 'restore'>;

export interface ImageTaskOptions {
  readonly model: ImageClassifier;
  readonly config: ImageTrainingConfig;
  readonly batches: ImageBatches;
  /** Identifies the pictures; a run goes on with the same only. */
  readonly fingerprint: string;
  /** Measures the model, which is in evaluation mode, on the validation part. */
  readonly validate: () => Promise<ImageScores>;
  readonly precision: Precision;
}

export class ImageTask implements TrainingTask {
  readonly measures = 'accuracy';
  readonly counts = 'images';
  readonly model: ImageClassifier;
  /** Running statistics as they were before the update that is being made. */
  private readonly buffersBefore = new Map<Tensor, Tensor>();
  private readonly runningStatistics: readonly Tensor[];
  private microBatches = 0;

  constructor(private readonly options: ImageTaskOptions) {
    this.model = options.model;
    this.runningStatistics = [...this.model.namedBuffers()]
      .filter(([name]) => /running_(mean|var)$/.test(name))
      .map(([, buffer]) => buffer);
    for (const buffer of this.model.namedBuffers().values())
      if (buffer.dtype === 'float32') this.buffersBefore.set(buffer, keep(buffer.clone()));
  }

  decays(name: string, parameter: Tensor): boolean {
    return decaysInVision(this.options.config.model.mode, name, parameter);
  }

  nextMicroBatch(): MicroBatch {
    const { model, precision, batches, config } = this.options;
    if (this.microBatches++ % config.gradientAccumulation === 0) this.rememberBuffers();
    const { pixels, labels, targets } = batches.next();
    const { channels, imageHeight, imageWidth, classes } = config.model;
    const { device } = config;
    const [B, C] = [labels.length, classes];
    const images = tensor(pixels, { shape: [B, channels, imageHeight, imageWidth], device });
    const classOf = tensor(labels, { device }).to('int64');
    const shares = targets === null ? null : tensor(targets, { shape: [B, C], device });
    const { loss, right } = precision.run(() => {
      const logits = atLeastFloat32(model.forward(images));
      const wanted = shares?.argmax(-1) ?? classOf;
      const hits = noGrad(() => logits.argmax(-1).eq(wanted).sum().item());
      return { loss: crossEntropy(logits, shares ?? classOf), right: hits };
    });
    return { loss, tokens: B, accuracy: right / B, backward: (scaled) => scaled.backward() };
  }

  /** Statistics over pictures whose hidden states are not finite are not finite either, and would stay so. */
  recover(): void {
    noGrad(() => {
      for (const [buffer, before] of this.buffersBefore) buffer.copy_(before);
    });
  }

  statistics(): readonly Tensor[] {
    return this.runningStatistics;
  }

  async evaluate(): Promise<Evaluation> {
    const { model, validate } = this.options;
    model.eval();
    try {
      const { images, ...scores } = await validate();
      return { split: 'valid', tokens: images, ...scores };
    } finally {
      model.train();
    }
  }

  position(): string {
    const { batches } = this.options;
    const { epoch, batch } = batches.state();
    return `epoch ${epoch}, batch ${batch} of ${batches.batchesPerEpoch}`;
  }

  state(): TaskState {
    const { batches, fingerprint } = this.options;
    return { tensors: new Map(), state: { fingerprint, ...batches.state() } };
  }

  restore({ state }: { state: JsonObject }): void {
    const { batches, fingerprint } = this.options;
    const { epoch, batch } = state;
    if (typeof epoch !== 'number' || typeof batch !== 'number')
      throw new DataError('the checkpoint has no data position');
    if (state.fingerprint !== fingerprint)
      throw new DataError(
        `the training pictures have changed: the run was started with SHA-256 ${state.fingerprint}; found SHA-256 ${fingerprint}`,
      );
    batches.restore({ epoch, batch });
  }

  private rememberBuffers(): void {
    noGrad(() =>
      scope(() => {
        for (const [buffer, before] of this.buffersBefore) before.copy_(buffer);
      }),
    );
  }
}
