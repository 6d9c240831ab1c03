/**
 * The consistent language model in steps whose state has a fixed size (causal-step.ts): what `export` writes down.
 *
 * Shape letters: B batch, T tokens of the step, D width, V vocabulary.
 */
import { scope, type Tensor, zeros } from '@transformer-ls/torch';
import {
  attendStep,
  emptyStepMemory,
  placeStep,
  type StepMemory,
  type TokenWeights,
} from '../../attention/causal-step.js';
import type { LanguageModel } from './model.js';

export interface StepState {
  /** (1) int64: tokens before this step, the same for the whole batch. */
  readonly position: Tensor;
  readonly layers: readonly StepMemory[];
}

export interface StepOutput {
  /** (B, T, V) */
  readonly logits: Tensor;
  readonly state: StepState;
  /** Of each layer, for a step of one token. */
  readonly weights: readonly TokenWeights[];
}

/** The state of `batch` streams that have not begun. */
export function emptyStepState(model: LanguageModel, batch: number): StepState {
  return {
    position: zeros([1], { dtype: 'int64' }),
    layers: Array.from(model.layers, ({ attn }) => emptyStepMemory(attn, batch)),
  };
}

/**
 * @param ids (B, T) int64: one token each, or whole chunks after whole chunks
 * @returns logits, the state after these tokens, and what a single one looked at
 */
export function runStep(model: LanguageModel, ids: Tensor, state: StepState): StepOutput {
  return scope(() => {
    const { config } = model;
    const T = ids.size(1);
    const place = placeStep(config, T, state.position);
    const positions = model.positionKeys();
    let x = model.in_emb.forward(ids).mul(Math.sqrt(config.modelDim));
    const weights: TokenWeights[] = [];
    const layers = Array.from(model.layers, (block, i) => {
      const attended = attendStep(block.attn, block.norm1.forward(x), state.layers[i]!, positions[i]!, place);
      const u = x.add(attended.output);
      x = u.add(block.ff.forward(block.norm2.forward(u)));
      if (attended.weights !== null) weights.push(attended.weights);
      return attended.memory;
    });
    const logits = model.out_emb.forward(model.norm.forward(x));
    return { logits, state: { position: state.position.add(T), layers }, weights };
  });
}
