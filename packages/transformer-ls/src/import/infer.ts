/** The configuration of a file's weights, and whether their names and shapes are those of the model it describes. */
import { isImageClassifier, type PthFile } from '@transformer-ls/formats';
import { type Module, scope } from '@transformer-ls/torch';
import { createLanguageModel } from '../models/language-model/create.js';
import { checkLanguageModelSizes } from '../models/language-model/weights.js';
import { SequenceClassifier } from '../models/sequence-classifier/model.js';
import { checkClassifierSizes } from '../models/sequence-classifier/weights.js';
import { checkPositionMemory, checkVisionSizes } from '../models/vision/check-sizes.js';
import { createImageClassifier } from '../models/vision/image-classifier.js';
import type { ModelConfig } from '../weights/model-place.js';
import { inferLanguageModel } from './fairseq.js';
import { inferClassifier } from './long-range-arena.js';
import type { Inference, Said } from './said.js';
import { type StateDict, shapesOf, type TensorShapes } from './state-dict.js';
import { inferVilLs } from './vil-ls.js';

/** @throws ConfigError with everything that does not fit together or is not said */
export function inferConfig(
  state: StateDict,
  { object }: Pick<PthFile, 'object'>,
  said: Said,
): Inference<ModelConfig> {
  const shapes = shapesOf(state);
  switch (state.kind) {
    case 'vil-ls':
      return inferVilLs(shapes, said);
    case 'sequence-classifier':
      return inferClassifier(shapes, said);
    case 'language-model':
      return inferLanguageModel(shapes, object, said);
  }
}

/**
 * With random weights. The sizes that a large model is made of are compared with the file before it is built; those of a smaller one
 * show with all other differences when names and shapes are compared.
 *
 * @throws WeightsError that begins with `path`
 */
export function modelOf(config: ModelConfig, shapes: TensorShapes, path: string): Module {
  const isLarge = weightsOf(config) > LARGE_MODEL;
  if (isImageClassifier(config)) {
    if (isLarge) checkVisionSizes(config, shapes, path);
    checkPositionMemory(config, path);
    return scope(() => createImageClassifier(config));
  }
  if (config.kind === 'sequence-classifier') {
    if (isLarge) checkClassifierSizes(config, shapes, path);
    return scope(() => new SequenceClassifier(config));
  }
  if (isLarge) checkLanguageModelSizes(config, shapes, path);
  return scope(() => createLanguageModel(config));
}

/** Half a gigabyte of weights; the largest of the published models has fewer. */
const LARGE_MODEL = 2 ** 27;

/** About as many weights as the model has: its matrices. */
function weightsOf(config: ModelConfig): number {
  if (!isImageClassifier(config)) return sequenceWeights(config);
  return config.stages.reduce((sum, stage, i) => {
    const { modelDim: D, layers, heads, projectionRank } = stage;
    const inChannels = config.stages[i - 1]?.modelDim ?? config.channels;
    const kernel = 'patchSize' in stage ? stage.patchSize : stage.embeddingKernel;
    const block = (4 + 2 * config.innerRatio) * D * D + heads * projectionRank * D;
    return sum + inChannels * D * kernel ** 2 + layers * block;
  }, config.classes * config.stages.at(-1)!.modelDim);
}

function sequenceWeights(config: Exclude<ModelConfig, { stages: unknown }>): number {
  const { vocabularySize, modelDim: D, layers, heads, innerDim } = config;
  const isLanguageModel = config.kind === 'language-model';
  const rank = isLanguageModel ? config.projectionRank : config.attention.projectionRank;
  const rows = isLanguageModel ? 0 : config.maxLength;
  const block = (isLanguageModel ? 6 : 4) * D * D + 2 * innerDim * D + heads * rank * D;
  return (vocabularySize + rows) * D + layers * block;
}
