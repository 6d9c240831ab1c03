/** Making a language model of either mode. */
import type { LanguageModelConfig } from '@transformer-ls/formats';
import type { Module, ShardedSequence, Tensor } from '@transformer-ls/torch';
import type { RunBlocks } from './blocks.js';
import type { Memory } from './memory.js';
import { LanguageModel } from './model.js';
import { ReferenceLanguageModel } from './reference-model.js';

export interface ForwardOptions {
  /** Of which the ids are this process's stretch, whole chunks; the memory is of what came before the whole. Consistent form only. */
  readonly sequence?: ShardedSequence | undefined;
}

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
