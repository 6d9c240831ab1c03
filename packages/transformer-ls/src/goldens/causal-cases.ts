/** The golden families `ar_attention` and `lm`: causal attention and whole language models, run through the public modules. */
import type { LanguageModelConfig } from '@transformer-ls/formats';
import { asTypedArray, languageModelSchema, parseConfig } from '@transformer-ls/formats';
import { cat, dispose, type Module, scope, type Tensor, tensor } from '@transformer-ls/torch';
import { ReferenceCausalAttention } from '../attention/causal-reference.js';
import type { ReferenceMemory } from '../models/language-model/reference-model.js';
import { ReferenceLanguageModel } from '../models/language-model/reference-model.js';
import { type CaseResult, Comparison } from './comparison.js';
import { type GoldenFile, goldenTensor, numberSetting, requiredTensor, tensorsUnder } from './golden-file.js';
import { cotangentValues, digest, fillParameters, unit } from './hash-rule.js';

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
    const mask = goldenTensor(file, 'input.chunked_attn_mask');
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
  for (const [key, parameter] of model.namedParameters()) {
    compareDigest(comparison, file, `digest.param.${key}`, parameter, streams.get(key)!);
    compareDigest(comparison, file, `digest.grad.param.${key}`, parameter.grad, streams.get(key)!);
  }
  return comparison.result();
}

/** The README's rule for digests: [1] to 1e-5 relative, [0] to 1e-5 of [1], [2] to 2e-5, [3] to 1e-4 of sqrt([2]). */
function compareDigest(
  comparison: Comparison,
  file: GoldenFile,
  key: string,
  actual: Tensor | null,
  k: number,
): void {
  const stored = file.tensors.get(key);
  if (stored === undefined) {
    comparison.expect(false, `${key}: the golden file has no such tensor`);
    return;
  }
  const [sum, absolute, squares, weighted] = [...(asTypedArray(stored) as Float64Array)];
  if (absolute! < 1e-3) return; // zero in exact arithmetic
  if (actual === null) {
    comparison.expect(false, `${key}: expected a gradient, there is none`);
    return;
  }
  const found = digest(actual.to('float64').toTypedArray() as Float64Array, k);
  const errors = [
    Math.abs(found[0] - sum!) / (1e-5 * absolute!),
    Math.abs(found[1] - absolute!) / (1e-5 * absolute!),
    Math.abs(found[2] - squares!) / (2e-5 * squares!),
    Math.abs(found[3] - weighted!) / (1e-4 * Math.sqrt(squares!)),
  ];
  comparison.scaled(key.startsWith('digest.grad') ? 'gradient' : 'output', key, Math.max(...errors));
}

function leaf(value: Tensor): Tensor {
  value.requiresGrad = true;
  return value;
}

/** The golden loss: sum(y * cotangent). */
function backpropagate(y: Tensor, cotangent: Tensor): void {
  y.mul(cotangent).sum().backward();
}

function compareParameterGradients(comparison: Comparison, file: GoldenFile, model: Module): void {
  for (const [key, parameter] of model.namedParameters()) {
    const gradient = parameter.grad;
    if (file.noGradParameters.includes(key))
      comparison.expect(gradient === null, `${key}: expected no gradient, there is one`);
    else comparison.gradient(`grad.param.${key}`, gradient);
    dispose(gradient);
  }
}
