/**
 * Language models as graphs: ids and a state of a fixed size to logits and the next state.
 *
 * consistent mode: a step of one token, and one of a block for long prompts. reference mode: a block alone, as results depend on the
 * cutting.
 *
 * Shape letters: B batch, T tokens of the graph.
 */
import { FairseqDictionary, type LanguageModelConfig } from '@transformer-ls/formats';
import { cat, randint, randn, type Tensor } from '@transformer-ls/torch';
import type { TokenWeights } from '../attention/causal-step.js';
import type { Vocabulary } from '../data/vocabulary.js';
import { referenceBlockLength } from '../generate/next-token.js';
import type { CausalLanguageModel } from '../models/language-model/create.js';
import { memoryFromTensors, memoryTensors } from '../models/language-model/memory.js';
import { LanguageModel } from '../models/language-model/model.js';
import type { ReferenceLanguageModel } from '../models/language-model/reference-model.js';
import { emptyStepState, runStep, type StepState } from '../models/language-model/step.js';
import type { GraphName } from './export-folder.js';
import type { Exportable, ExportableGraph } from './exportable.js';
import type { Sample } from './sizes.js';

/** Tokens of a block, about: enough for products to be fast, few enough for what is left over to go token by token. */
const BLOCK = 128;

const NEXT = 'next.';

export function exportableLanguageModel(model: CausalLanguageModel, vocabulary: Vocabulary): Exportable {
  const { config } = model;
  const consistent = model instanceof LanguageModel;
  const blockTokens = consistent ? blockLength(config) : referenceBlockLength(config);
  const graphs = consistent
    ? [consistentGraph(model, 'step', 1), consistentGraph(model, 'block', blockTokens)]
    : [referenceGraph(model as ReferenceLanguageModel, blockTokens)];
  return {
    model,
    graphs,
    manifest: () => ({
      kind: 'language-model',
      model: config,
      vocabulary:
        vocabulary instanceof FairseqDictionary
          ? {
              kind: 'fairseq',
              style: vocabulary.style,
              symbols: vocabulary.entries.map(({ symbol }) => symbol),
            }
          : { kind: 'bytes' },
      step: consistent ? 'step.onnx' : null,
      block: 'block.onnx',
      blockTokens,
    }),
  };
}

/** Whole chunks. */
function blockLength({ chunkSize }: LanguageModelConfig): number {
  return Math.ceil(BLOCK / chunkSize) * chunkSize;
}

/** Batches at which it is recorded. */
const SIZES = { samples: [{ B: 2 }, { B: 3 }, { B: 5 }, { B: 4 }], multiples: [] };

/** Streams that begin, whose first chunks are remembered, and whose memory is full: each where its step begins and ends a chunk. */
function comparedPlaces({ chunkSize, windowSize, memoryLength }: LanguageModelConfig, T: number): Sample[] {
  const full = Math.ceil((windowSize + memoryLength) / chunkSize + 1) * chunkSize;
  const starts = [0, chunkSize, full].map((position, i) => ({ B: 1 + (i % 2), position }));
  const ends = starts.map(({ B, position }) => ({ B, position: position + chunkSize - 1 }));
  return T === 1 && chunkSize > 1 ? [...starts, ...ends] : starts;
}

function consistentGraph(model: LanguageModel, name: GraphName, T: number): ExportableGraph {
  return {
    name,
    sizes: SIZES,
    compared: comparedPlaces(model.config, T),
    inputs: ({ B, position = 0 }) => {
      const { position: begin, ...layers } = stateTensors(emptyStepState(model, B!));
      const place = { position: (begin as Tensor).add(position) };
      return { ids: idsOf(model, B!, T), ...place, ...(position === 0 ? layers : withRandom(layers)) };
    },
    run({ ids, ...state }) {
      const { logits, state: next, weights } = runStep(model, ids!, stateFromTensors(state));
      return { logits, ...renamed(stateTensors(next)), ...attentionOf(weights) };
    },
  };
}

/** (layers, B, W) and (layers, B, m*R): what the token takes, mean over heads. */
function attentionOf(weights: readonly TokenWeights[]): Record<string, Tensor> {
  if (weights.length === 0) return {};
  const stacked = (ofLayer: readonly Tensor[]) =>
    cat(
      ofLayer.map((one) => one.mean(0).transpose(0, 1)),
      0,
    );
  const chunks = weights.flatMap((one) => (one.chunks === null ? [] : [one.chunks]));
  return {
    'attention.window': stacked(weights.map(({ window }) => window)),
    ...(chunks.length === 0 ? {} : { 'attention.chunks': stacked(chunks) }),
  };
}

function referenceGraph(model: ReferenceLanguageModel, T: number): ExportableGraph {
  return {
    name: 'block',
    sizes: SIZES,
    compared: [
      { B: 1, position: 0 },
      { B: 2, position: T },
    ],
    inputs: ({ B, position = 0 }) => {
      const memory = Object.fromEntries(memoryTensors(model.emptyMemory(B!)));
      return { ids: idsOf(model, B!, T), ...(position === 0 ? memory : withRandom(memory)) };
    },
    run({ ids, ...state }) {
      const memory = memoryFromTensors(new Map(Object.entries(state)));
      const result = model.forward(ids!, memory as ReturnType<ReferenceLanguageModel['emptyMemory']>);
      return { logits: result.logits, ...renamed(Object.fromEntries(memoryTensors(result.memory))) };
    },
  };
}

function idsOf({ config }: CausalLanguageModel, B: number, T: number): Tensor {
  return randint(0, config.vocabularySize, [B, T]);
}

/** What a stream might remember. */
function withRandom(memory: Record<string, Tensor>): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(memory).map(([name, { shape }]) => [name, randn(shape)]));
}

function stateTensors({ position, layers }: StepState): Record<string, Tensor> {
  return { position, ...Object.fromEntries(memoryTensors({ layers })) };
}

function stateFromTensors({ position, ...layers }: Record<string, Tensor>): StepState {
  const memory = memoryFromTensors(new Map(Object.entries(layers)));
  return { position: position!, layers: memory.layers as StepState['layers'] };
}

function renamed(state: Record<string, Tensor>): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(state).map(([name, value]) => [NEXT + name, value]));
}
