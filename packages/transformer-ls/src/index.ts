/**
 * The Long-Short Transformer: models, data, training, evaluation and streaming generation.
 *
 * Importing this loads nothing native; libtorch is loaded by the first tensor.
 */
export type { LanguageModelConfig, TrainingConfig } from '@transformer-ls/formats';
export { GenerationError, Sampler, type SamplerOptions, TerminalText } from '@transformer-ls/runtime';
export { BidirectionalAttention, type BidirectionalAttentionConfig } from './attention/bidirectional.js';
export type { CausalMemory } from './attention/causal.js';
export type {
  GridAttentionConfig,
  GridWeightsObserver,
  ObservedGridWeights,
} from './attention/grid-attention.js';
export type { ObservableAttention, ObservedWeights, WeightsObserver } from './attention/observed-weights.js';
export { LongShortSpatialAttention, type SpatialAttentionConfig } from './attention/spatial.js';
export type { ContextPoint } from './charts/curves.js';
export * from './data/index.js';
export { type CompressorScore, compressorScores } from './evaluate/compressors.js';
export { type ContextOptions, contextCurve } from './evaluate/context.js';
export { type ForwardCost, forwardCost } from './evaluate/cost.js';
export {
  type ImageEvaluation,
  type ImageEvaluationOptions,
  type ImageEvaluationRequest,
  measureImages,
} from './evaluate/image-evaluation.js';
export type { ImageScores } from './evaluate/image-scores.js';
export {
  type EvaluateImagesOptions,
  evaluateImages,
  type MeasuredImages,
  type PicturesToScore,
} from './evaluate/images.js';
export {
  type EvaluateOptions,
  type EvaluationProgress,
  type EvaluationScores,
  evaluateLanguageModel,
  publishedMemoryLength,
} from './evaluate/language-model.js';
export { type Ending, type GenerateOptions, generate, type Prompt, TextStream } from './generate/stream.js';
export * from './images/index.js';
export { type ImportedModel, type ImportRequest, importModel } from './import/import.js';
export type { ImageSize, Said } from './import/said.js';
export type { ForwardOptions } from './models/language-model/blocks.js';
export { type CausalLanguageModel, createLanguageModel } from './models/language-model/create.js';
export {
  carryMemory,
  disposeMemory,
  type LayerMemory,
  type Memory,
  memoryFromTensors,
  memoryTensors,
} from './models/language-model/memory.js';
export {
  LanguageModel,
  type LanguageModelForward,
  type LanguageModelMemory,
} from './models/language-model/model.js';
export { type PresetName, type PresetOptions, preset, presetNames } from './models/language-model/presets.js';
export { ReferenceLanguageModel, type ReferenceMemory } from './models/language-model/reference-model.js';
export { ModelStream } from './models/language-model/stream.js';
export {
  findLanguageModel,
  type LanguageModelPlace,
  type LoadedLanguageModel,
  type LoadModelOptions,
  loadLanguageModel,
  saveLanguageModel,
  weightsFile,
} from './models/language-model/weights.js';
export { type SequenceBatch, SequenceClassifier } from './models/sequence-classifier/model.js';
export {
  type ClassifierPresetName,
  classifierPreset,
  classifierPresetNames,
} from './models/sequence-classifier/presets.js';
export { type LoadedClassifier, loadClassifier } from './models/sequence-classifier/weights.js';
export { createImageClassifier, type ImageClassifier } from './models/vision/image-classifier.js';
export {
  type VisionPresetName,
  type VisionPresetOptions,
  visionPreset,
  visionPresetNames,
} from './models/vision/presets.js';
export {
  type LoadedImageClassifier,
  type LoadImageClassifierOptions,
  loadImageClassifier,
} from './models/vision/weights.js';
export * from './train/index.js';
export type { ClassName } from './weights/class-names.js';
export {
  type FindModelOptions,
  findModel,
  type ModelConfig,
  type ModelPlace,
  WeightsError,
} from './weights/model-place.js';
