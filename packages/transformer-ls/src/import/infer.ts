/** The configuration of a file's weights, and whether their names and shapes are those of the model it describes. */
import { isImageClassifier, type PthFile } from '@transformer-ls/formats';
import { type Module, scope } from '@transformer-ls/torch';
import { createLanguageModel } from '../models/language-model/create.js';
import { checkLanguageModelSizes } from '../models/language-model/weights.js';
import { SequenceClassifier } from '../models/sequence-classifier/model.js';
import { checkClassifierSizes } from '../models/sequence-classifier/weights.js';
import { checkVisionSizes } from '../models/vision/check-sizes.js';
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

/** With random weights; the sizes that decide on its memory are checked first. @throws WeightsError that begins with `path` */
export function modelOf(config: ModelConfig, shapes: TensorShapes, path: string): Module {
  if (isImageClassifier(config)) {
    checkVisionSizes(config, shapes, path);
    return scope(() => createImageClassifier(config));
  }
  if (config.kind === 'sequence-classifier') {
    checkClassifierSizes(config, shapes, path);
    return scope(() => new SequenceClassifier(config));
  }
  checkLanguageModelSizes(config, shapes, path);
  return scope(() => createLanguageModel(config));
}
