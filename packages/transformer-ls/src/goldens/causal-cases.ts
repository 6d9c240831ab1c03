/** The golden families `ar_attention` and `lm`: causal attention and whole language models, run through the public modules. */
import type { LanguageModelConfig } from '@transformer-ls/formats';
import { languageModelSchema, parseConfig } from '@transformer-ls/formats';
import { cat, scope, type Tensor, tensor } from '@transformer-ls/torch';
import { type ChunkMask, causalChunkMask, ReferenceCausalAttention } from '../attention/causal-reference.js';
import type { ReferenceMemory } from '../models/language-model/reference-model.js';
import { ReferenceLanguageModel } from '../models/language-model/reference-model.js';
import { backpropagate, compareParameterDigests, compareParameterGradients, leaf } from './case-parts.js';
import { type CaseResult, Comparison } from './comparison.js';
import { type GoldenFile, goldenTensor, numberSetting, requiredTensor, tensorsUnder } from './golden-file.js';
import { cotangentValues, fillParameters, unit } from './hash-rule.js';

export function runAttentionCase(file: GoldenFile): CaseResult {
  const attention = new ReferenceCausalAttention({
    modelDim: numberSetting(file, 'd_model'),
    heads: numberSetting(file, 'n_head'),
    windowSize: numberSetting(file, 'window_len'),
    chunkSize: numberSetting(file, 'chunk_size'),
    projectionRank: numberSetting(file, 'chunk_rank'),
    projectionBiases: file.config.use_bias === true,
  });
  return scope(() => {
    attention.to({ dtype: file.dtype }).loadStateDict(tensorsUnder(file, 'param.'));
    const names = ['h', 'h_cache', 'key_pe', 'pos_embed_window'];
    const inputs = names.map((name) => leaf(requiredTensor(file, `input.${name}`)));
    const [h, cache, chunkPositions, windowPositions] = inputs as [Tensor, Tensor, Tensor, Tensor];
    const mask = chunkMaskOf(file, h, cache);
    const y = attention.forward(h, cache, chunkPositions, windowPositions, mask);
    backpropagate(y, requiredTensor(file, 'cotangent'));

    const comparison = new Comparison(file);
    comparison.output('output.y', y);
    names.forEach((name, i) => {
      comparison.gradient(`grad.input.${name}`, inputs[i]!.grad);
    });
    compareParameterGradients(comparison, file, attention);
    attention.dispose();
    return comparison.result();
  });
}

/** The mask of the file, named where it is the causal one, so that attention computes as it does in models. */
function chunkMaskOf(file: GoldenFile, h: Tensor, cache: Tensor): ChunkMask | null {
  const mask = goldenTensor(file, 'input.chunked_attn_mask');
  if (mask === null) return null;
  const chunkSize = numberSetting(file, 'chunk_size');
  const [rows, cached] = [h.size(1) / chunkSize, cache.size(1) / chunkSize];
  const causal = causalChunkMask(rows, cached, numberSetting(file, 'chunk_rank'));
  const given = Array.from(mask.to('uint8').toTypedArray() as Uint8Array, Boolean);
  const same = given.length === causal.length && given.every((hidden, i) => hidden === causal[i]);
  return same ? 'causal' : mask;
}

export function runLanguageModelCase(file: GoldenFile): CaseResult {
  const model = new ReferenceLanguageModel(configOf(file)).to({ dtype: file.dtype });
  model.eval();
  try {
    return scope(() => (file.byRule ? runByRule(file, model) : runStored(file, model)));
  } finally {
    model.dispose();
  }
}

function configOf(file: GoldenFile): LanguageModelConfig {
  const limit = (key: string) => (numberSetting(file, key) > 0 ? numberSetting(file, key) : null);
  return parseConfig(languageModelSchema, {
    kind: 'language-model',
    mode: 'reference',
    vocabularySize: numberSetting(file, 'vocab_size'),
    layers: numberSetting(file, 'n_layer'),
    modelDim: numberSetting(file, 'd_model'),
    heads: numberSetting(file, 'n_head'),
    innerDim: numberSetting(file, 'd_inner'),
    windowSize: numberSetting(file, 'window_len'),
    chunkSize: numberSetting(file, 'chunk_size'),
    projectionRank: numberSetting(file, 'chunk_rank'),
    memoryLength: numberSetting(file, 'mem_len'),
    activation: file.config.use_gelu === true ? 'gelu' : 'relu',
    normPlacement: file.config.pre_ln === true ? 'pre' : 'post',
    projectionBiases: file.config.use_bias === true,
    windowPositionClamp: limit('clamp_len'),
    chunkPositionClamp: limit('cpos_clamp_len'),
  });
}

function segmentsOf(file: GoldenFile): number[] {
  const { segments } = file.config;
  if (!Array.isArray(segments)) throw new Error('config.segments: expected a list of lengths');
  return segments.map(Number);
}

/** Two or more segments with the memory carried along, log-probabilities of all of them joined. */
function runStored(file: GoldenFile, model: ReferenceLanguageModel): CaseResult {
  model.loadStateDict(tensorsUnder(file, 'param.'));
  const comparison = new Comparison(file);
  const first = firstMemory(file, model);
  let memory: ReferenceMemory = { layers: first.map((hidden) => ({ hidden })) };
  const outputs = segmentsOf(file).map((_, segment) => {
    const step = model.forward(requiredTensor(file, `input.x.${segment}`), memory);
    memory = step.memory;
    memory.layers.forEach(({ hidden }, layer) => {
      comparison.output(`output.h_cache_next.${segment}.${layer}`, hidden);
    });
    return step.logits.logSoftmax(-1);
  });
  const y = cat(outputs, 1);
  backpropagate(y, requiredTensor(file, 'cotangent'));
  comparison.output('output.y', y);
  first.forEach((hidden, layer) => {
    if (file.tensors.has(`grad.input.h_cache.${layer}`))
      comparison.gradient(`grad.input.h_cache.${layer}`, hidden.grad);
  });
  compareParameterGradients(comparison, file, model);
  return comparison.result();
}

function firstMemory(file: GoldenFile, model: ReferenceLanguageModel): Tensor[] {
  const batch = requiredTensor(file, 'input.x.0').size(0);
  return model
    .emptyMemory(batch)
    .layers.map(({ hidden }, layer) => leaf(goldenTensor(file, `input.h_cache.${layer}`) ?? hidden));
}

/** A model of published size: parameters and inputs by the hash rule, gradients compared by digests. */
function runByRule(file: GoldenFile, model: ReferenceLanguageModel): CaseResult {
  const comparison = new Comparison(file);
  const streams = fillParameters(model);
  const vocabulary = numberSetting(file, 'vocab_size');
  const [T] = segmentsOf(file) as [number];
  const ids = Int32Array.from({ length: T }, (_, i) => Math.floor(unit(0, i) * vocabulary));
  const logProbabilities = model.forward(tensor(ids, { shape: [1, T] })).logits.logSoftmax(-1);
  const targets = tensor(ids.slice(1), { shape: [1, T - 1, 1] }).to('int64');
  const y = logProbabilities
    .narrow(1, 0, T - 1)
    .gather(2, targets)
    .squeeze(2)
    .neg();
  backpropagate(y, tensor(cotangentValues(T - 1), { shape: [1, T - 1] }).to(file.dtype));
  comparison.output('output.y', y);
  if (file.tensors.has('output.logprobs_every_32'))
    comparison.output('output.logprobs_every_32', logProbabilities.slice(1, 31, null, 32));
  compareParameterDigests(comparison, file, model, streams);
  return comparison.result();
}
