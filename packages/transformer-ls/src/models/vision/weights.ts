/** Weights of vision models: found, checked, loaded, for images of another size where asked. */
import {
  cvtLsSchema,
  type ImageClassifierConfig,
  type ImageTrainingConfig,
  isImageClassifier,
  openSafetensors,
  parseConfig,
} from '@transformer-ls/formats';
import { scope } from '@transformer-ls/torch';
import { fileSource } from '../../run/file-source.js';
import { type ClassName, classNamesOf, numberedClasses } from '../../weights/class-names.js';
import { fillWeights, openWeights } from '../../weights/load.js';
import {
  type FindModelOptions,
  findModel,
  type ModelPlace,
  WeightsError,
} from '../../weights/model-place.js';
import { type ResizedTable, resizeVilLsTables, vilLsAt } from '../vil-ls/resolution.js';
import { checkPositionMemory, checkVisionSizes } from './check-sizes.js';
import { createImageClassifier, type ImageClassifier } from './image-classifier.js';

export interface LoadedImageClassifier extends ModelPlace {
  /** With the size of images that was asked for. */
  readonly config: ImageClassifierConfig;
  readonly training: ImageTrainingConfig | undefined;
  /** In evaluation mode, on the CPU. */
  readonly model: ImageClassifier;
  /** By label; their numbers where no names are kept with the weights. */
  readonly classes: readonly ClassName[];
  /** False: `classes` are numbers. */
  readonly hasClassNames: boolean;
  /** Tables of positions that are not those of the file. */
  readonly resized: readonly ResizedTable[];
}

export interface LoadImageClassifierOptions extends FindModelOptions {
  /** Rows and columns of pixels. Default: those of the model. */
  readonly imageSize?: { readonly height: number; readonly width: number } | undefined;
}

/**
 * Loads a vision model from a run folder, a checkpoint folder, a model folder or a weight file.
 *
 * @throws WeightsError, RunFolderError, ConfigError or SafetensorsError in one line
 */
export async function loadImageClassifier(
  path: string,
  { imageSize, ...options }: LoadImageClassifierOptions = {},
): Promise<LoadedImageClassifier> {
  const place = await findModel(path, options);
  const { config: stored, weightsPath } = place;
  if (!isImageClassifier(stored))
    throw new WeightsError(`${path}: is a ${stored.kind}, expected a vision model`);
  const config = imageSize === undefined ? stored : atSize(stored, imageSize);
  const names = await classNamesOf(place, config.classes);
  const source = await fileSource(weightsPath);
  try {
    const file = await openWeights(weightsPath, () => openSafetensors(source));
    checkVisionSizes(
      stored,
      new Map([...file.entries].map(([name, { shape }]) => [name, shape])),
      weightsPath,
    );
    checkPositionMemory(config, weightsPath);
    const model = scope(() => createImageClassifier(config));
    let resized: ResizedTable[] = [];
    await fillWeights(model, file, weightsPath, (tensors) => {
      if (stored.kind === 'vil-ls' && config.kind === 'vil-ls')
        resized = resizeVilLsTables(tensors, stored, config);
    });
    model.eval();
    const training = place.training?.kind === 'image-training' ? place.training : undefined;
    const classes = names ?? numberedClasses(config.classes);
    return { ...place, config, training, model, classes, hasClassNames: names !== undefined, resized };
  } finally {
    await source.close();
  }
}

/** CvT-LS has no positions: any size that its schema takes will do. */
function atSize(
  config: ImageClassifierConfig,
  { height, width }: { height: number; width: number },
): ImageClassifierConfig {
  if (config.kind === 'vil-ls') return vilLsAt(config, height, width);
  return parseConfig(cvtLsSchema, { ...config, imageHeight: height, imageWidth: width }, 'model');
}
