/** Pictures, model and task of a vision model's run. */
import { availableParallelism } from 'node:os';
import {
  ConfigError,
  type ImageTrainingConfig,
  imageTrainingSchema,
  parseConfig,
} from '@transformer-ls/formats';
import { scoreImages } from '../evaluate/images.js';
import { ImageLoader } from '../images/loader/image-loader.js';
import { createImageClassifier } from '../models/vision/image-classifier.js';
import { formatInteger } from '../text/numbers.js';
import { CLASSES_NAME, classNamesText } from '../weights/class-names.js';
import { type ImageData, openImageData } from './image-data.js';
import { ImageTask } from './image-task.js';
import type { DataPlaces, Parts, PartsOptions } from './parts.js';
import type { Precision } from './precision.js';

/** Throws ConfigError or DataError in one line. */
export async function imageParts(
  asked: ImageTrainingConfig,
  _places: DataPlaces,
  precision: Precision,
  { classesFromData = false, say = () => undefined }: PartsOptions,
): Promise<Parts> {
  const data = await openImageData(asked);
  const loaders: ImageLoader[] = [];
  const close = async () => {
    for (const loader of loaders) await loader.close();
    await data.close();
  };
  try {
    const batches = trainingLoader(asked, data);
    loaders.push(batches);
    const config = completed(asked, data, batches.batchesPerEpoch, classesFromData);
    say(described(config, data));
    const validation = validationLoader(config, data);
    loaders.push(validation);
    const model = createImageClassifier(config.model);
    const { device } = config;
    model.to({ device });
    const reported = new Set<string>();
    const validate = async () => {
      const scores = await scoreImages(model, validation, { device, precision });
      for (const { message } of [...batches.problems, ...validation.problems])
        if (!reported.has(message)) say(`left out: ${message}`);
      for (const { message } of [...batches.problems, ...validation.problems]) reported.add(message);
      return scores;
    };
    const { fingerprint, classes, classIds } = data.train.set;
    const named = classIds.map((id, label) => ({ id, name: classes[label]! }));
    const task = new ImageTask({ model, config, batches, fingerprint, validate, precision });
    return {
      config,
      task,
      data: { name: config.data.name, sha256: fingerprint, caution: '' },
      companions: new Map([[CLASSES_NAME, classNamesText(named)]]),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Threads beside those of the model: one does for a CPU that trains, a GPU wants to be fed. */
function threadsOf({ loaderThreads, device }: ImageTrainingConfig): number {
  return loaderThreads ?? (device === 'cpu' ? 1 : Math.max(1, Math.min(16, availableParallelism() - 1)));
}

function trainingLoader(config: ImageTrainingConfig, { train }: ImageData): ImageLoader {
  const { augmentation, batchSize, seed, model } = config;
  return new ImageLoader({
    ...train,
    size: model.imageHeight,
    batchSize,
    seed,
    view: { kind: 'training', augmentation },
    threads: threadsOf(config),
  });
}

function validationLoader(config: ImageTrainingConfig, { valid }: ImageData): ImageLoader {
  const { augmentation, batchSize, seed, model, evaluationCropRatio } = config;
  const { mean, std } = augmentation;
  return new ImageLoader({
    ...valid,
    size: model.imageHeight,
    batchSize,
    seed,
    view: { kind: 'evaluation', cropRatio: evaluationCropRatio, filter: 'bicubic', mean, std },
    threads: threadsOf(config),
  });
}

/** With the steps that so many epochs take, and as many classes as there are. */
function completed(
  config: ImageTrainingConfig,
  { train }: ImageData,
  batchesPerEpoch: number,
  classesFromData: boolean,
): ImageTrainingConfig {
  const { maxEpochs, gradientAccumulation, model } = config;
  const classes = train.set.classIds.length;
  if (!classesFromData && classes !== model.classes)
    throw new ConfigError([
      `model.classes: expected ${classes}, the classes of ${config.data.name}, received ${model.classes}`,
    ]);
  const maxSteps =
    maxEpochs === null
      ? config.maxSteps
      : Math.max(1, Math.floor((maxEpochs * batchesPerEpoch) / gradientAccumulation));
  return parseConfig(imageTrainingSchema, { ...config, maxSteps, model: { ...model, classes } });
}

function described(
  { maxEpochs, maxSteps, data }: ImageTrainingConfig,
  { train, valid, validationIs }: ImageData,
): string {
  const count = (selection: ImageData['train']) => formatInteger(selection.pictures.length);
  const counts = `${count(train)} pictures of ${formatInteger(train.set.classIds.length)} classes to train on`;
  const choose = `${count(valid)} to choose the checkpoint (${validationIs})`;
  const epochs =
    maxEpochs === null ? '' : `; ${formatInteger(maxEpochs)} epochs are ${formatInteger(maxSteps!)} steps`;
  return `${data.name}: ${counts}, ${choose}${epochs}`;
}
