/** Training a causal language model by truncated back-propagation, with memory carried from segment to segment. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LanguageModelTrainingConfig } from '@transformer-ls/formats';
import {
  crossEntropy,
  noGrad,
  type ProcessGroup,
  ShardedSequence,
  scope,
  type Tensor,
  tensor,
} from '@transformer-ls/torch';
import type { ByteCorpus } from '../data/byte-corpus.js';
import { DataError } from '../data/errors.js';
import { rangeOf, type Share, WHOLE } from '../data/share.js';
import { SplitTokens } from '../data/split-tokens.js';
import { type TokenBatch, TokenStream } from '../data/token-stream.js';
import type { Vocabulary } from '../data/vocabulary.js';
import type { CausalLanguageModel } from '../models/language-model/create.js';
import {
  carryMemory,
  disposeMemory,
  type Memory,
  memoryFromTensors,
  memoryOfLast,
  memoryTensors,
} from '../models/language-model/memory.js';
import { isJsonObject, type JsonObject } from '../run/json.js';
import { CheckpointedBlocks } from './checkpointed-blocks.js';
import { atLeastFloat32, type Precision } from './precision.js';
import type { Evaluation, MicroBatch, TaskState, TrainingTask } from './task.js';

export interface LanguageModelTaskOptions {
  readonly model: CausalLanguageModel;
  readonly config: LanguageModelTrainingConfig;
  readonly vocabulary: Vocabulary;
  readonly train: ByteCorpus;
  readonly valid: ByteCorpus;
  readonly precision: Precision;
  /** Which of the lanes are measured here. Default: all. */
  readonly share?: Share;
  /** Which of the lanes are trained here. Default: the same. */
  readonly rowShare?: Share;
  /** Processes that train the same lanes, each on equal stretches of all segments. Default: this one alone. */
  readonly sequenceGroup?: ProcessGroup | null;
}

const UNSCORED = -100;

/** Shape letters: B lanes, T tokens of a segment, V vocabulary. */
export class LanguageModelTask implements TrainingTask {
  readonly measures = 'bpc';
  readonly counts = 'tokens';
  readonly model: CausalLanguageModel;
  private readonly stream: TokenStream;
  private readonly config: LanguageModelTrainingConfig;
  private readonly checkpointed: CheckpointedBlocks | null;
  /** Of the segments, where other processes train their other stretches. */
  private readonly sequence: ShardedSequence | null;
  private memory: Memory | null = null;

  constructor(private readonly options: LanguageModelTaskOptions) {
    const { model, config, vocabulary, train: corpus, precision } = options;
    const { batchSize, segmentLength } = config;
    this.model = model;
    this.config = config;
    const lanes = rangeOf(batchSize, options.rowShare ?? this.share);
    this.stream = new TokenStream({ corpus, vocabulary, batchSize, segmentLength, lanes });
    this.checkpointed = config.activationCheckpointing ? new CheckpointedBlocks(precision) : null;
    const { sequenceGroup: group = null } = options;
    const lengths = Array.from({ length: group?.world ?? 0 }, () => segmentLength / group!.world);
    this.sequence = group === null ? null : new ShardedSequence(group, lengths);
  }

  private get share(): Share {
    return this.options.share ?? WHOLE;
  }

  /** The published recipe decays everything (spec 3.8); else matrices only, as is usual: pulling norms to 0 has no use. */
  decays(_name: string, parameter: Tensor): boolean {
    return this.config.model.mode === 'reference' || parameter.ndim === 2;
  }

  nextMicroBatch(): MicroBatch {
    const { sequence } = this;
    const whole = this.stream.next();
    const batch = sequence === null ? whole : stretchOf(whole, sequence);
    if (batch.startsNewEpoch && this.config.resetMemoryAtEpoch) this.forget();
    const loss = this.options.precision.run(() => {
      const { logits, memory } = this.forward(this.inputs(batch));
      this.remember(sequence === null ? carryMemory(memory) : memoryOfLast(memory, sequence.group));
      const mean = this.trainingLoss(logits, batch);
      logits.dispose();
      return mean;
    });
    const backward = (scaled: Tensor) =>
      this.checkpointed === null ? scaled.backward() : this.checkpointed.backward(scaled);
    return { loss, tokens: batch.inputs.length, accuracy: null, backward };
  }

  recover(): void {
    this.forget();
  }

  /**
   * Validation from the start of its lanes, with a memory of its own. In reference mode too: the published code hands the
   * training memory to the validation and back (spec 3.5), which makes either depend on when the other runs.
   */
  async evaluate(): Promise<Evaluation> {
    const stream = this.validationStream();
    if (stream.lanes.count === 0) return { split: 'valid', loss: 0, tokens: 0, accuracy: null };
    const perSegment = stream.batchSize * stream.segmentLength;
    const segments = Math.min(stream.segmentsPerEpoch, Math.ceil(this.config.evaluateTokens / perSegment));
    let memory: Memory | null = null;
    let [nats, tokens] = [0, 0];
    this.model.eval();
    try {
      for (let segment = 0; segment < segments; segment++) {
        const batch = stream.next();
        const result = this.measure(batch, memory);
        if (memory !== null) disposeMemory(memory);
        memory = result.memory;
        nats += result.nats;
        tokens += result.tokens;
        // Long evaluations must not keep a request to stop waiting unheard.
        await nextTurn();
      }
    } finally {
      this.model.train();
      if (memory !== null) disposeMemory(memory);
    }
    return { split: 'valid', loss: nats / tokens, tokens, accuracy: null };
  }

  position(): string {
    const { epoch, segment } = this.stream.state();
    return `epoch ${epoch}, segment ${segment} of ${this.stream.segmentsPerEpoch}`;
  }

  state(): TaskState {
    const { epoch, segment } = this.stream.state();
    return {
      tensors: this.memory === null ? new Map() : memoryTensors(this.memory),
      state: { corpus: this.fingerprint(), epoch, segment },
    };
  }

  restore({ tensors, state }: { tensors: ReadonlyMap<string, Tensor>; state: JsonObject }): void {
    const { corpus, epoch, segment } = state;
    if (!isJsonObject(corpus) || typeof epoch !== 'number' || typeof segment !== 'number')
      throw new DataError('the checkpoint has no data position');
    this.refuseOtherCorpus(corpus);
    this.stream.restore({ epoch, segment });
    this.forget();
    if (tensors.size === 0) return;
    const { device } = this.config;
    const moved = new Map([...tensors].map(([name, value]) => [name, value.to({ device })]));
    this.memory = carryMemory(memoryFromTensors(moved));
  }

  private refuseOtherCorpus(saved: JsonObject): void {
    const now = this.fingerprint();
    if (now.name === saved.name && now.bytes === saved.bytes && now.sha256 === saved.sha256) return;
    const describe = ({ name, bytes, sha256 }: JsonObject) => `${name}, ${bytes} bytes, SHA-256 ${sha256}`;
    throw new DataError(
      `the training data have changed: the run was started with ${describe(saved)}; found ${describe(now)}`,
    );
  }

  private fingerprint() {
    const { name, length, fingerprint } = this.options.train;
    return { name, bytes: length, sha256: fingerprint ?? 'unknown' };
  }

  private forward(ids: Tensor): { logits: Tensor; memory: Memory } {
    const { model, checkpointed } = this;
    const before = this.memory ?? model.emptyMemory(ids.size(0));
    const how = { sequence: this.sequence ?? undefined };
    if (checkpointed === null) return model.forward(ids, before, how);
    return model.forwardThrough(checkpointed.run, ids, borrowed(before), how);
  }

  private remember(memory: Memory): void {
    this.forget();
    this.memory = memory;
  }

  private forget(): void {
    if (this.memory !== null) disposeMemory(this.memory);
    this.memory = null;
  }

  private inputs({ inputs, batchSize, segmentLength }: TokenBatch): Tensor {
    return tensor(inputs, { shape: [batchSize, segmentLength], device: this.config.device });
  }

  /** (B*T) int64, -100 where the prediction is not scored. */
  private targets({ targets, segmentLength }: TokenBatch): Tensor {
    const scored = targets.slice();
    // Published: targets are the inputs shifted inside the block, so the first token of the next block is never predicted.
    if (this.config.model.mode === 'reference')
      for (let last = segmentLength - 1; last < scored.length; last += segmentLength) scored[last] = UNSCORED;
    return tensor(scored, { dtype: 'int64', device: this.config.device });
  }

  /** Summed over the scored predictions, in nats. */
  private summedLoss(logits: Tensor, batch: TokenBatch): Tensor {
    const rows = atLeastFloat32(logits.reshape([batch.inputs.length, logits.size(-1)]));
    return crossEntropy(rows, this.targets(batch), { reduction: 'sum', ignoreIndex: UNSCORED });
  }

  /** Over all B*T positions, as published; in reference mode that is lower by 1/T than the mean of the predicted. */
  private trainingLoss(logits: Tensor, batch: TokenBatch): Tensor {
    return this.summedLoss(logits, batch).mul(1 / batch.inputs.length);
  }

  private measure(
    batch: TokenBatch,
    before: Memory | null,
  ): { nats: number; tokens: number; memory: Memory } {
    const { precision } = this.options;
    const unscored = this.config.model.mode === 'reference' ? batch.batchSize : 0;
    return scope(() =>
      noGrad(() =>
        precision.run(() => {
          const start = before ?? this.model.emptyMemory(batch.batchSize);
          const { logits, memory } = this.model.forward(this.inputs(batch), start);
          const nats = this.summedLoss(logits, batch).item();
          return { nats, tokens: batch.inputs.length - unscored, memory: carryMemory(memory) };
        }),
      ),
    );
  }

  /** Lanes and segments as in training where the validation part is long enough, else as long as it allows. */
  private validationStream(): TokenStream {
    const { valid: corpus, vocabulary, config } = this.options;
    const { batchSize, segmentLength } = config;
    const available = new SplitTokens(corpus, vocabulary).length;
    const lanes = Math.max(1, Math.min(batchSize, Math.floor(available / (segmentLength + 1))));
    const longest = Math.max(1, Math.min(segmentLength, available - 1));
    const { windowSize } = config.model;
    // Cut to whole windows: the published attention takes no other length above one window.
    const length = longest > windowSize ? longest - (longest % windowSize) : longest;
    return new TokenStream({
      corpus,
      vocabulary,
      batchSize: lanes,
      lanes: rangeOf(lanes, this.share),
      segmentLength: longest === segmentLength ? segmentLength : length,
    });
  }
}

/** The columns of a batch that this process trains. */
function stretchOf(batch: TokenBatch, { start, own }: ShardedSequence): TokenBatch {
  const { batchSize, segmentLength } = batch;
  const columns = (values: Int32Array) => {
    const part = new Int32Array(batchSize * own);
    for (let lane = 0; lane < batchSize; lane++) {
      const first = lane * segmentLength + start;
      part.set(values.subarray(first, first + own), lane * own);
    }
    return part;
  };
  return { ...batch, inputs: columns(batch.inputs), targets: columns(batch.targets), segmentLength: own };
}

/** Handles of the running scope on the same memory: the blocks run again after the task's own handles are freed. */
function borrowed(memory: Memory): Memory {
  const detached = [...memoryTensors(memory)].map(([name, value]): [string, Tensor] => [
    name,
    value.detach(),
  ]);
  return memoryFromTensors(new Map(detached));
}
