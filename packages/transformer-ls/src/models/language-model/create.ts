/** Making a language model of either mode. */
import type { LanguageModelConfig } from '@transformer-ls/formats';
import type { Module, Tensor } from '@transformer-ls/torch';
import type { ForwardOptions, RunBlocks } from './blocks.js';
import type { Memory } from './memory.js';
import { LanguageModel } from './model.js';
import { ReferenceLanguageModel } from './reference-model.js';

/** What training, evaluation and generation need of a causal language model. */
export interface CausalLanguageModel extends Module {
  readonly config: LanguageModelConfig;
  /** The memory of `batch` streams that have not begun. */
  emptyMemory(batch: number): Memory;
  /** ids (B, T) → logits (B, T, V) and the memory after these tokens. */
  forward(ids: Tensor, memory?: Memory, how?: ForwardOptions): { logits: Tensor; memory: Memory };
  /** The same with the blocks run by `runBlocks`, such as with activation checkpointing, and in the caller's scope. */
  forwardThrough(
    runBlocks: RunBlocks,
    ids: Tensor,
    memory: Memory,
    how?: ForwardOptions,
  ): { logits: Tensor; memory: Memory };
}

/** The model a configuration describes, with random weights drawn from libtorch's generator. */
export function createLanguageModel(config: LanguageModelConfig): CausalLanguageModel {
  const model = config.mode === 'reference' ? new ReferenceLanguageModel(config) : new LanguageModel(config);
  return model as CausalLanguageModel;
}
