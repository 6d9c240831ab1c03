/**
 * The Long-Short Transformer: models, data, training, evaluation and streaming generation.
 *
 * Importing this loads nothing native; libtorch is loaded by the first tensor.
 */
export type { LanguageModelConfig, TrainingConfig } from '@transformer-ls/formats';
export * from './data/index.js';
export { GenerationError, Sampler, type SamplerOptions } from './generate/sampler.js';
export { type Ending, type GenerateOptions, generate, type Prompt, TextStream } from './generate/stream.js';
export { TerminalText } from './generate/utf8.js';
export { type CausalLanguageModel, createLanguageModel } from './models/language-model/create.js';
export {
  carryMemory,
  disposeMemory,
  type LayerMemory,
  type Memory,
  memoryFromTensors,
  memoryTensors,
} from './models/language-model/memory.js';
export { LanguageModel, type LanguageModelMemory } from './models/language-model/model.js';
export { ReferenceLanguageModel, type ReferenceMemory } from './models/language-model/reference-model.js';
export { ModelStream } from './models/language-model/stream.js';
export {
  findLanguageModel,
  type LoadedLanguageModel,
  type LoadModelOptions,
  loadLanguageModel,
  type ModelPlace,
  saveLanguageModel,
  WeightsError,
  weightsFile,
} from './models/language-model/weights.js';
