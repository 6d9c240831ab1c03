/** The golden families `im_attention`, `msvit` and `cvt`: attention on a grid and whole vision models. */
import { cvtLsSchema, parseConfig, type VilLsConfig, vilLsSchema } from '@transformer-ls/formats';
import { noGrad, scope, tensor } from '@transformer-ls/torch';
import { LongShortSpatialAttention } from '../attention/spatial.js';
import { CvtLs } from '../models/cvt-ls/model.js';
import { parseArchString } from '../models/vil-ls/arch-string.js';
import { VilLs } from '../models/vil-ls/model.js';
import {
  backpropagate,
  compareParameterDigests,
  compareParameterGradients,
  leaf,
  withoutEmpty,
} from './case-parts.js';
import { type CaseResult, Comparison } from './comparison.js';
import { type GoldenFile, numberSetting, requiredTensor, tensorsUnder } from './golden-file.js';
import { cotangentValues, fillParameters, signed } from './hash-rule.js';

export function runGridAttentionCase(file: GoldenFile): CaseResult {
  const [rows, columns] = [numberSetting(file, 'nx'), numberSetting(file, 'ny')];
  const attention = new LongShortSpatialAttention({
    modelDim: numberSetting(file, 'dim'),
    heads: numberSetting(file, 'num_heads'),
    windowSize: numberSetting(file, 'w'),
    projectionRank: numberSetting(file, 'dp_rank'),
    globalTokens: numberSetting(file, 'nglo'),
    relativeBias: file.config.rpe === true,
    scoreScale: file.config.qk_scale === null ? null : numberSetting(file, 'qk_scale'),
    queryKeyValueBiases: file.config.qkv_bias === true,
    attentionDropout: 0,
    dropout: 0,
    mode: 'reference',
  }).to({ dtype: file.dtype });
  return scope(() => {
    attention.loadStateDict(withoutEmpty(tensorsUnder(file, 'param.')));
    const x = leaf(requiredTensor(file, 'input.x'));
    const y = attention.forward(x, { rows, columns });
    backpropagate(y, requiredTensor(file, 'cotangent'));

    const comparison = new Comparison(file);
    comparison.output('output.y', y);
    comparison.gradient('grad.input.x', x.grad);
    compareParameterGradients(comparison, file, attention);
    attention.dispose();
    return comparison.result();
  });
}

export function runVisionModelCase(file: GoldenFile): CaseResult {
  const config = configOf(file);
  const model = new VilLs(config).to({ dtype: file.dtype });
  model.eval();
  try {
    return scope(() => (file.byRule ? runByRule(file, model) : runStored(file, model)));
  } finally {
    model.dispose();
  }
}

function configOf(file: GoldenFile): VilLsConfig {
  const stages = parseArchString(String(file.config.arch), 'reference');
  const side = numberSetting(file, 'img_size');
  const meansAll = file.config.avg_pool === true || stages.at(-1)!.globalTokens === 0;
  return parseConfig(vilLsSchema, {
    kind: 'vil-ls',
    mode: 'reference',
    imageHeight: side,
    imageWidth: side,
    channels: numberSetting(file, 'in_chans'),
    classes: numberSetting(file, 'num_classes'),
    stages,
    pooling: meansAll ? 'mean' : 'global-token',
    normalizeEmbedding: file.config.norm_embed === true,
    queryKeyValueBiases: file.config.qkv_bias === true,
  });
}

function runStored(file: GoldenFile, model: VilLs): CaseResult {
  model.loadStateDict(withoutEmpty(tensorsUnder(file, 'param.')));
  const comparison = new Comparison(file);
  const images = leaf(requiredTensor(file, 'input.image'));
  const logits = model.forward(images);
  backpropagate(logits, requiredTensor(file, 'cotangent'));
  comparison.output('output.y', logits);
  comparison.gradient('grad.input.image', images.grad);
  compareParameterGradients(comparison, file, model);
  return comparison.result();
}

/** A model of published size: parameters and image by the hash rule, gradients compared by digests. */
function runByRule(file: GoldenFile, model: VilLs): CaseResult {
  const comparison = new Comparison(file);
  const streams = fillParameters(model);
  const { channels, imageHeight, imageWidth, classes } = model.config;
  const B = numberSetting(file, 'batch');
  const shape = [B, channels, imageHeight, imageWidth];
  const count = B * channels * imageHeight * imageWidth;
  const pixels = Float32Array.from({ length: count }, (_, i) => 1.5 * signed(0, i));
  const logits = model.forward(tensor(pixels, { shape }).to(file.dtype));
  backpropagate(logits, tensor(cotangentValues(B * classes), { shape: [B, classes] }).to(file.dtype));
  comparison.output('output.y', logits);
  compareParameterDigests(comparison, file, model, streams);
  return comparison.result();
}

/** The published CvT: a forward pass in training, which moves the running statistics, then evaluation and its gradients. */
export function runCvtCase(file: GoldenFile): CaseResult {
  const stages = file.config.stages as readonly object[];
  const model = new CvtLs(
    parseConfig(cvtLsSchema, {
      kind: 'cvt-ls',
      ...file.config,
      stages: stages.map((stage) => ({ ...stage, attention: 'full' })),
      activation: 'quick-gelu',
      scoreScale: 'model-dim',
    }),
  ).to({ dtype: file.dtype });
  return scope(() => {
    model.loadStateDict(tensorsUnder(file, 'param.'));
    const comparison = new Comparison(file);
    const images = requiredTensor(file, 'input.image');
    comparison.output(
      'output.training',
      noGrad(() => model.forward(images)),
    );
    for (const [name, value] of model.namedBuffers())
      if (!name.endsWith('num_batches_tracked')) comparison.output(`output.moved.${name}`, value);
    model.eval();
    const logits = model.forward(leaf(images));
    backpropagate(logits, requiredTensor(file, 'cotangent'));
    comparison.output('output.y', logits);
    comparison.gradient('grad.input.image', images.grad);
    compareParameterGradients(comparison, file, model);
    model.dispose();
    return comparison.result();
  });
}
