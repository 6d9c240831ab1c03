/** Training a sequence classifier on a prepared set. */
import type { ClassifierTrainingConfig } from '@transformer-ls/formats';
import {
  crossEntropy,
  noGrad,
  type ProcessGroup,
  ShardedSequence,
  stretchesOf,
  type Tensor,
  tensor,
} from '@transformer-ls/torch';
import { DataError } from '../data/errors.js';
import { rangeOf, type Share, WHOLE } from '../data/share.js';
import { evaluateClassifier, sequenceBatch } from '../evaluate/classifier.js';
import {
  chosenPlaces,
  ExampleBatches,
  type ExamplePlace,
  type PaddedSequences,
  type Padding,
} from '../lra/example-batches.js';
import type { ExampleSet, Split } from '../lra/example-set.js';
import type { SequenceBatch, SequenceClassifier } from '../models/sequence-classifier/model.js';
import { isJsonObject, type JsonObject } from '../run/json.js';
import { atLeastFloat32, type Precision } from './precision.js';
import type { Evaluation, MicroBatch, TaskState, TrainingTask } from './task.js';

export interface ClassificationTaskOptions {
  readonly model: SequenceClassifier;
  readonly config: ClassifierTrainingConfig;
  readonly set: ExampleSet;
  readonly precision: Precision;
  /** Which of the examples are measured here. Default: all. */
  readonly share?: Share;
  /** Which of the examples are trained here. Default: the same. */
  readonly rowShare?: Share;
  /** Processes that train on the same examples, each on a stretch of all. Default: this one alone. */
  readonly sequenceGroup?: ProcessGroup | null;
}

/** Which parts train and which choose the checkpoint; see `data.split` of the configuration. */
export function partsOf(
  split: ClassifierTrainingConfig['data']['split'],
  set: ExampleSet,
): { train: Split[]; valid: Split } {
  const heldOutOfTraining = split === 'published' && set.record.validFrom === 'train';
  return heldOutOfTraining
    ? { train: ['train', 'valid'], valid: 'test' }
    : { train: ['train'], valid: 'valid' };
}

/** Published rows are as long as the model allows; else padding costs nothing that it need not. */
export function paddingOf({ documentLength, model }: ClassifierTrainingConfig): Padding {
  return { documentLength, paddedLength: model.mode === 'reference' ? model.maxLength : null };
}

export class ClassificationTask implements TrainingTask {
  readonly measures = 'accuracy';
  readonly counts = 'tokens';
  readonly model: SequenceClassifier;
  private readonly batches: ExampleBatches;
  private readonly valid: readonly ExamplePlace[];

  constructor(private readonly options: ClassificationTaskOptions) {
    const { model, config, set, share = WHOLE, rowShare = share } = options;
    this.model = model;
    model.recomputeKeys(config.recomputeKeys);
    const parts = partsOf(config.data.split, set);
    const { batchSize, seed } = config;
    this.batches = new ExampleBatches({
      set,
      splits: parts.train,
      batchSize,
      seed,
      padding: paddingOf(config),
      share: rowShare,
    });
    const valid = chosenPlaces(set, parts.valid, { count: config.evaluateExamples ?? undefined, seed });
    const { first, count } = rangeOf(valid.length, share);
    this.valid = valid.slice(first, first + count);
  }

  /** The published optimiser decays everything (spec 2.7); else matrices only, as is usual. */
  decays(_name: string, parameter: Tensor): boolean {
    return this.options.config.model.mode === 'reference' || parameter.ndim >= 2;
  }

  nextMicroBatch(): MicroBatch {
    const { documents, labels } = this.batches.next();
    const { model, precision } = this.options;
    const { loss, right } = precision.run(() => {
      const logits = model.forward(...documents.map((one) => this.batchOf(one, labels.length)));
      const targets = tensor(labels, { device: logits.device }).to('int64');
      const hits = noGrad(() => logits.argmax(-1).eq(targets).sum().item());
      return { loss: crossEntropy(atLeastFloat32(logits), targets), right: hits };
    });
    const { sequenceGroup } = this.options;
    const read = documents.reduce((sum, one) => sum + one.tokens, 0);
    // Tokens are counted once, though every process of a group has read them.
    const tokens = sequenceGroup ? rangeOf(read, sequenceGroup).count : read;
    return { loss, tokens, accuracy: right / labels.length, backward: (scaled) => scaled.backward() };
  }

  /** Of a batch that is shared the stretch of this process. */
  private batchOf(documents: PaddedSequences, rows: number): SequenceBatch {
    const { model, sequenceGroup = null } = this.options;
    if (sequenceGroup === null) return sequenceBatch(documents, rows, model);
    const { windowSize, name } = model.config.attention;
    const unit = name === 'projection-only' ? 1 : Math.max(1, windowSize);
    const { ids, mask } = sequenceBatch(atLeast(documents, rows, unit * sequenceGroup.world), rows, model);
    const sequence = new ShardedSequence(sequenceGroup, stretchesOf(ids.size(1), sequenceGroup.world, unit));
    const own = (x: Tensor) => x.narrow(1, sequence.start, sequence.own);
    return { ids: own(ids), mask: mask === null ? null : own(mask).contiguous(), sequence };
  }

  recover(): void {
    // Nothing is carried from batch to batch.
  }

  async evaluate(): Promise<Evaluation> {
    const { model, config, set, precision } = this.options;
    model.eval();
    try {
      const padding = paddingOf(config);
      const { batchSize } = config;
      const scores = await evaluateClassifier(model, set, this.valid, { padding, batchSize, precision });
      return { split: 'valid', loss: scores.loss, tokens: scores.examples, accuracy: scores.accuracy };
    } finally {
      model.train();
    }
  }

  position(): string {
    const { epoch, batch } = this.batches.state();
    return `epoch ${epoch}, batch ${batch} of ${this.batches.batchesPerEpoch}`;
  }

  state(): TaskState {
    return { tensors: new Map(), state: { set: this.fingerprint(), ...this.batches.state() } };
  }

  restore({ state }: { state: JsonObject }): void {
    const { set, epoch, batch } = state;
    if (!isJsonObject(set) || typeof epoch !== 'number' || typeof batch !== 'number')
      throw new DataError('the checkpoint has no data position');
    const now = this.fingerprint();
    if (set.task !== now.task || set.sha256 !== now.sha256)
      throw new DataError(
        `the training data have changed: the run was started with ${set.task}, SHA-256 ${set.sha256}; found ${now.task}, SHA-256 ${now.sha256}`,
      );
    this.batches.restore({ epoch, batch });
  }

  private fingerprint() {
    const { task, documents } = this.options.set.record;
    return { task, sha256: documents.sha256 };
  }
}

/** Rows of at least `length` places, so that each process gets some; what is added is padding. */
function atLeast(sequences: PaddedSequences, rows: number, length: number): PaddedSequences {
  if (sequences.length >= length) return sequences;
  const ids = new Int32Array(rows * length);
  for (let row = 0; row < rows; row++)
    ids.set(sequences.ids.subarray(row * sequences.length, (row + 1) * sequences.length), row * length);
  return { ...sequences, ids, length };
}
