/** The golden families `bi_attention`, `lra_model` and `lra_model_dual`: bidirectional attention and whole classifiers. */
import { type ClassifierConfig, classifierSchema, parseConfig } from '@transformer-ls/formats';
import { crossEntropy, scope, type Tensor, tensor } from '@transformer-ls/torch';
import { BidirectionalAttention } from '../attention/bidirectional.js';
import { SequenceClassifier } from '../models/sequence-classifier/model.js';
import {
  backpropagate,
  compareParameterDigests,
  compareParameterGradients,
  leaf,
  withoutEmpty,
} from './case-parts.js';
import { type CaseResult, Comparison } from './comparison.js';
import { type GoldenFile, goldenTensor, numberSetting, requiredTensor, tensorsUnder } from './golden-file.js';
import { cotangentValues, fillParameters, unit } from './hash-rule.js';

export function runBidirectionalCase(file: GoldenFile): CaseResult {
  const attention = new BidirectionalAttention({
    modelDim: numberSetting(file, 'transformer_dim'),
    heads: numberSetting(file, 'num_head'),
    windowSize: numberSetting(file, 'window_size'),
    projectionRank: numberSetting(file, 'num_landmarks'),
    convolutionSize: sizeOrNull(numberSetting(file, 'conv_kernel_size')),
    attentionDropout: 0,
    mode: 'reference',
  }).to({ dtype: file.dtype });
  return scope(() => {
    attention.loadStateDict(withoutEmpty(tensorsUnder(file, 'param.')));
    const x = leaf(requiredTensor(file, 'input.x'));
    const mask = goldenTensor(file, 'input.mask')?.ne(0) ?? null;
    const passed = goldenTensor(file, 'input.cls_embed');
    const classToken = passed === null ? null : leaf(passed);
    const fromFirst = file.config.pooling_mode === 'CLS';
    const rest = x.size(1) - 1;
    const y = fromFirst
      ? attention.forward(x.narrow(1, 1, rest), mask?.narrow(1, 1, rest) ?? null, x.narrow(1, 0, 1))
      : attention.forward(x, mask, classToken);
    backpropagate(y, requiredTensor(file, 'cotangent'));

    const comparison = new Comparison(file);
    comparison.output('output.y', y);
    comparison.gradient('grad.input.x', x.grad);
    if (classToken !== null) comparison.gradient('grad.input.cls_embed', classToken.grad);
    compareParameterGradients(comparison, file, attention);
    attention.dispose();
    return comparison.result();
  });
}

/** One document or, in the dual family, two. */
export function runClassifierCase(file: GoldenFile): CaseResult {
  const model = new SequenceClassifier(configOf(file)).to({ dtype: file.dtype });
  model.eval();
  try {
    return scope(() => (file.byRule ? runByRule(file, model) : runStored(file, model)));
  } finally {
    model.dispose();
  }
}

function configOf(file: GoldenFile): ClassifierConfig {
  const dual = file.family === 'lra_model_dual';
  return parseConfig(classifierSchema, {
    kind: 'sequence-classifier',
    mode: 'reference',
    inputs: dual ? 'two' : 'one',
    classes: numberSetting(file, 'num_classes'),
    vocabularySize: numberSetting(file, 'vocab_size'),
    maxLength: numberSetting(file, 'max_seq_len'),
    layers: numberSetting(file, 'num_layers'),
    sharedLayers: file.config.tied_weights === true,
    modelDim: numberSetting(file, 'transformer_dim'),
    heads: numberSetting(file, 'num_head'),
    innerDim: numberSetting(file, 'transformer_hidden_dim'),
    attention: {
      name: file.config.attn_type === 'softmax' ? 'full' : 'long-short',
      windowSize: numberSetting(file, 'window_size'),
      projectionRank: numberSetting(file, 'num_landmarks'),
      convolutionSize: sizeOrNull(numberSetting(file, 'conv_kernel_size')),
    },
    pooling: poolingOf(file),
    normalizeClassToken: file.config.debug === true,
  });
}

function poolingOf({ config }: GoldenFile): ClassifierConfig['pooling'] {
  if (config.pooling_mode === 'CLS') return 'first-token';
  if (config.cls_token === true) return 'class-token';
  return config.cls_last_layer === true ? 'class-token-last-layer' : 'mean';
}

/** The published "off" is -1. */
function sizeOrNull(size: number): number | null {
  return size > 0 ? size : null;
}

const documentsOf = (file: GoldenFile) => (file.family === 'lra_model_dual' ? [0, 1] : [0]);

function runStored(file: GoldenFile, model: SequenceClassifier): CaseResult {
  model.loadStateDict(withoutEmpty(tensorsUnder(file, 'param.')));
  const comparison = new Comparison(file);
  const documents = documentsOf(file).map((i) => ({
    ids: requiredTensor(file, `input.input_ids_${i}`),
    mask: requiredTensor(file, `input.mask_${i}`).ne(0),
  }));
  const logits = model.forward(...documents);
  compareResults(
    comparison,
    file,
    logits,
    requiredTensor(file, 'input.label'),
    requiredTensor(file, 'cotangent'),
  );
  compareParameterGradients(comparison, file, model);
  return comparison.result();
}

/** Loss of each sample, logits and accuracy; runs the backward pass. */
function compareResults(
  comparison: Comparison,
  file: GoldenFile,
  logits: Tensor,
  label: Tensor,
  cotangent: Tensor,
): void {
  const loss = crossEntropy(logits, label.to('int64'), { reduction: 'none' });
  backpropagate(loss, cotangent);
  comparison.output('output.y', loss);
  comparison.output('output.logits', logits);
  comparison.output('output.accu', logits.argmax(-1).eq(label).to(file.dtype));
}

/** A model of published size: parameters and inputs by the hash rule, gradients compared by digests. */
function runByRule(file: GoldenFile, model: SequenceClassifier): CaseResult {
  const comparison = new Comparison(file);
  const streams = fillParameters(model);
  const lengths = lengthsOf(file);
  const [B, L] = [lengths.length, numberSetting(file, 'max_seq_len')];
  const classes = numberSetting(file, 'num_classes');
  const documents = documentsOf(file).map((i) => {
    const own = i === 0 ? lengths : lengths.toReversed();
    const ids = hashedIds(i === 0 ? 0 : 3_000_000, own, L, numberSetting(file, 'vocab_size'));
    return { ids: tensor(ids, { shape: [B, L] }), mask: tensor(ids, { shape: [B, L] }).ne(0) };
  });
  const label = tensor(Int32Array.from(lengths, (_, b) => (7 * b) % classes));
  const logits = model.forward(...documents);
  const cotangent = tensor(cotangentValues(B)).to(file.dtype);
  compareResults(comparison, file, logits, label, cotangent);
  compareParameterDigests(comparison, file, model, streams);
  return comparison.result();
}

/** The files do not hold the lengths; the golden files' README gives those of this case. */
const RULE_LENGTHS: Readonly<Record<string, readonly number[]>> = { lra_listops_2048: [2000, 1337] };

function lengthsOf({ name, config }: GoldenFile): readonly number[] {
  if (Array.isArray(config.lengths)) return config.lengths.map(Number);
  const known = RULE_LENGTHS[name.replace(/\.f64$/, '')];
  if (known === undefined)
    throw new Error(`config.lengths: expected the tokens of each row, which ${name} lacks`);
  return known;
}

/** Ids from 1 up to each row's length, then padding. */
function hashedIds(k: number, lengths: readonly number[], L: number, vocabulary: number): Int32Array {
  return Int32Array.from({ length: lengths.length * L }, (_, i) =>
    i % L < lengths[Math.floor(i / L)]! ? 1 + Math.floor(unit(k, i) * (vocabulary - 2)) : 0,
  );
}
