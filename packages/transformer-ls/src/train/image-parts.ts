/** Pictures, model and task of a vision model's run. */
import { availableParallelism } from 'node:os';
import type { ImageTrainingConfig } from '@transformer-ls/formats';
import { rangeOf, type Share, WHOLE } from '../data/share.js';
import type { ImageScores } from '../evaluate/image-scores.js';
import { scoreImages } from '../evaluate/images.js';
import { ImageLoader } from '../images/loader/image-loader.js';
import { createImageClassifier } from '../models/vision/image-classifier.js';
import { formatInteger } from '../text/numbers.js';
import { CLASSES_NAME, classNamesText } from '../weights/class-names.js';
import { type ImageData, openImageData } from './image-data.js';
import { completed } from './image-settings.js';
import { ImageTask } from './image-task.js';
import type { Parts, PartsOptions } from './parts.js';
import type { Precision } from './precision.js';

/** Throws ConfigError or DataError in one line. */
export async function imageParts(
  asked: ImageTrainingConfig,
  precision: Precision,
  { classesFromData = false, say = () => undefined, ranks }: PartsOptions,
): Promise<Parts> {
  const share = ranks?.share ?? WHOLE;
  const data = await openImageData(asked);
  const loaders: ImageLoader[] = [];
  const close = async () => {
    for (const loader of loaders) await loader.close();
    await data.close();
  };
  try {
    const batches = trainingLoader(asked, data, share);
    loaders.push(batches);
    const { classes, classIds, fingerprint } = data.train.set;
    const found = { classes: classes.length, batchesPerEpoch: batches.batchesPerEpoch };
    const config = completed(asked, found, classesFromData);
    say(described(config, data));
    const validation = validationLoader(config, data, share);
    if (validation !== null) loaders.push(validation);
    const model = createImageClassifier(config.model);
    const { device } = config;
    model.to({ device });
    const named = classIds.map((id, label) => ({ id, name: classes[label]! }));
    const sayProblems = problemTeller(loaders, say);
    const validate = async () => {
      if (validation === null) return NOTHING_SCORED;
      const scores = await scoreImages(model, validation, { device, precision });
      sayProblems();
      return scores;
    };
    return {
      config,
      task: new ImageTask({ model, config, batches, fingerprint, validate, precision }),
      data: { name: config.data.name, sha256: fingerprint, caution: '' },
      companions: new Map([[CLASSES_NAME, classNamesText(named)]]),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Says of each picture that cannot be used why, once. */
function problemTeller(loaders: readonly ImageLoader[], say: (line: string) => void): () => void {
  const said = loaders.map(() => 0);
  return () => {
    for (const [i, { problems }] of loaders.entries()) {
      for (const { message } of problems.slice(said[i])) say(`left out: ${message}`);
      said[i] = problems.length;
    }
  };
}

/** Threads beside those of the model: one does for a CPU that trains, a GPU wants to be fed. */
function threadsOf({ loaderThreads, device }: ImageTrainingConfig): number {
  return loaderThreads ?? (device === 'cpu' ? 1 : Math.max(1, Math.min(16, availableParallelism() - 1)));
}

function trainingLoader(config: ImageTrainingConfig, { train }: ImageData, share: Share): ImageLoader {
  const { augmentation, batchSize, seed, model } = config;
  return new ImageLoader({
    ...train,
    size: model.imageHeight,
    batchSize,
    seed,
    view: { kind: 'training', augmentation },
    share,
    threads: threadsOf(config),
  });
}

/** Where there are more processes than pictures. */
const NOTHING_SCORED: ImageScores = { images: 0, loss: 0, accuracy: 0, top5: 0 };

/** For this process's part of the pictures; null where that has none. */
function validationLoader(
  config: ImageTrainingConfig,
  { valid }: ImageData,
  share: Share,
): ImageLoader | null {
  const { first, count } = rangeOf(valid.pictures.length, share);
  if (count === 0 && share.world > 1) return null;
  const { augmentation, batchSize, seed, model, evaluationCropRatio } = config;
  const { mean, std } = augmentation;
  return new ImageLoader({
    ...valid,
    pictures: valid.pictures.subarray(first, first + count),
    size: model.imageHeight,
    batchSize,
    seed,
    view: { kind: 'evaluation', cropRatio: evaluationCropRatio, filter: 'bicubic', mean, std },
    threads: threadsOf(config),
  });
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
