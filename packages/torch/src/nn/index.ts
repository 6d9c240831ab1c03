/** Neural-network layers. */
export { BatchNorm2d, type BatchNorm2dOptions } from './batch-norm2d.js';
export {
  type Block,
  type BlockResult,
  type CheckpointedSequence,
  checkpointSequence,
} from './checkpoint.js';
export { type Layer, ModuleList, Sequential } from './containers.js';
export { Conv2d, type Conv2dOptions } from './conv2d.js';
export { DropPath, type DropPathOptions } from './drop-path.js';
export { Dropout, type DropoutOptions } from './dropout.js';
export { Embedding, type EmbeddingOptions } from './embedding.js';
export * as init from './init.js';
export { LayerNorm, type LayerNormOptions } from './layer-norm.js';
export { forwardAll, Linear, type LinearOptions } from './linear.js';
export { type BufferOptions, Module } from './module.js';
export type { LoadOptions, LoadReport } from './state-dict.js';
