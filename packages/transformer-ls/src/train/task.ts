/** What the trainer needs of a thing that can be trained; language models and classifiers each say it in their own file. */
import type { Module, Tensor } from '@transformer-ls/torch';
import type { JsonObject } from '../run/json.js';

/** Forward pass of one micro-batch, inside the caller's scope. */
export interface MicroBatch {
  /** Scalar float32 with its graph: what is minimised, a mean over tokens or examples (nats). */
  readonly loss: Tensor;
  /** Tokens trained on. */
  readonly tokens: number;
  /** Share of the examples that got their class, of mixed ones that of the larger part; null where nothing is classified. */
  readonly accuracy: number | null;
  /** Adds the gradients of a multiple of the loss to the parameters. To be called once. */
  backward(scaledLoss: Tensor): void;
}

export interface Evaluation {
  /** Part of the data. */
  readonly split: string;
  /** Mean over the predicted tokens or examples, in nats. */
  readonly loss: number;
  /** Predicted tokens or examples; may be none, where other processes measure. */
  readonly tokens: number;
  /** Share of the examples that got their class; null where nothing is classified. */
  readonly accuracy: number | null;
  /** Share of the examples whose class is among the five likeliest; only where pictures are classified. */
  readonly top5?: number;
}

/** What a task must carry over a stop, besides the weights. */
export interface TaskState {
  /** Their first axis is what trains side by side, so that processes can divide it; all processes have the same names. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly state: JsonObject;
}

export interface TrainingTask {
  readonly model: Module;
  /** What the loss is the logarithm of: predicted bytes have bits per character, classes an accuracy. */
  readonly measures: 'bpc' | 'accuracy';
  /** What `tokens` counts. */
  readonly counts: 'tokens' | 'images';
  /** Whether a parameter takes part in weight decay. */
  decays(name: string, parameter: Tensor): boolean;
  /** The next micro-batch; the data position moves on. Runs inside a scope: what must outlive it is kept. */
  nextMicroBatch(): MicroBatch;
  /** Numbers that are not finite came up in the forward pass: forgets what they may have touched, such as a memory. */
  recover(): void;
  /** Statistics of the training that are no parameters, such as those of a batch normalisation; the means over all processes are kept. */
  statistics?(): readonly Tensor[];
  /** Measures on held-out data, of several processes each on its part; leaves the training state, its memory and the random numbers as they are. */
  evaluate(): Promise<Evaluation>;
  /** Where in the data the next micro-batch lies, in words. */
  position(): string;
  state(): TaskState;
  /** Continues where `state` was taken. Throws a one-line error where it belongs to other data. */
  restore(state: { tensors: ReadonlyMap<string, Tensor>; state: JsonObject }): void;
}
