/** Exported Transformer-LS models in Node and in the browser. */
export type { Device, EngineSettings, Tensor, TensorData } from './engine.js';
export { RuntimeError, type RuntimeErrorCode } from './errors.js';
export type { Values } from './graph.js';
export {
  type ImageClassification,
  ImageClassifier,
  type Picture,
  type PictureHeat,
} from './image-classifier.js';
export { LanguageModel } from './language-model/language-model.js';
export { type Ending, type GenerateOptions, type Prompt, TextStream } from './language-model/text-stream.js';
export {
  type LoadOptions,
  loadImageClassifier,
  loadLanguageModel,
  loadModel,
  loadTextClassifier,
  type Model,
} from './load.js';
export type { LoadProgress } from './model-files.js';
export type { ClassShare } from './shares.js';
export {
  type Candidate,
  candidatesOf,
  GenerationError,
  Sampler,
  type SamplerOptions,
  type SamplerSettings,
} from './text/sampler.js';
export { StopScanner } from './text/stop.js';
export { TerminalText } from './text/terminal-text.js';
export {
  type RunOptions,
  type TextClassification,
  TextClassifier,
  type TextDocument,
} from './text-classifier.js';
export {
  connectWorker,
  loadInWorker,
  type WorkerGenerateOptions,
  type WorkerLike,
  WorkerModel,
  WorkerTextStream,
} from './worker/client.js';
export type { StreamCounts, TokenAttention } from './worker/messages.js';
