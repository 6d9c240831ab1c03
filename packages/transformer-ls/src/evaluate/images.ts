/** Measures a vision model on labelled pictures. */
import { noGrad, scope, type Tensor, tensor } from '@transformer-ls/torch';
import type { ImageSet } from '../images/image-set.js';
import { ImageLoader } from '../images/loader/image-loader.js';
import type { FixedView } from '../images/loader/picture-view.js';
import type { ImageSource } from '../images/sources.js';
import type { ImageClassifier } from '../models/vision/image-classifier.js';
import type { Precision } from '../train/precision.js';
import { type ImageScores, ScoreSums } from './image-scores.js';

/** Adds up how well logits of batches agree with what the pictures show. Shape letters: B pictures, C classes. */
export interface ImageScorer {
  /** @param logits float32 (B, C) @param labels int64 (B) @param indices places of the pictures in their set (B) */
  add(logits: Tensor, labels: Tensor, indices: Int32Array): void;
  scores(): ImageScores;
}

export interface ScoreImagesOptions {
  readonly device: string;
  /** Number type of the forward passes; float32 where not given. */
  readonly precision?: Precision | undefined;
  /** Default: each picture has its label. */
  readonly scorer?: ImageScorer;
  /** Called after each batch with the pictures scored so far. */
  readonly onBatch?: (scores: ImageScores) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * One pass over the loader's pictures, by a model in evaluation mode. Does not block: batches are awaited.
 *
 * @param loader of an evaluation view, at the beginning of a pass
 */
export async function scoreImages(
  model: ImageClassifier,
  loader: Pick<ImageLoader, 'batchesPerEpoch' | 'nextAsync'>,
  { device, precision, scorer = new ScoreSums(), onBatch, signal }: ScoreImagesOptions,
): Promise<ImageScores> {
  const { channels, imageHeight, imageWidth } = model.config;
  for (let batch = 0; batch < loader.batchesPerEpoch; batch++) {
    signal?.throwIfAborted();
    const { pixels, labels, indices } = await loader.nextAsync();
    if (labels.length === 0) continue;
    scope(() =>
      noGrad(() => {
        const images = tensor(pixels, { shape: [labels.length, channels, imageHeight, imageWidth], device });
        const forward = () => model.forward(images);
        const logits = (precision === undefined ? forward() : precision.run(forward)).to('float32');
        scorer.add(logits, tensor(labels, { device }).to('int64'), indices);
      }),
    );
    onBatch?.(scorer.scores());
  }
  return scorer.scores();
}

/** Pictures of a set, and how they are seen. */
export interface PicturesToScore {
  /** Labels are those of the model. Closed by the caller. */
  readonly set: ImageSet;
  /** Where threads open the same set. */
  readonly source: ImageSource;
  /** Places of the pictures that are scored. Default: all. */
  readonly pictures?: Uint32Array | undefined;
  readonly view: FixedView;
}

export interface EvaluateImagesOptions extends ScoreImagesOptions {
  readonly batchSize: number;
  /** That read pictures, beside those of the model; 0: none. */
  readonly loaderThreads: number;
}

export interface MeasuredImages {
  readonly scores: ImageScores;
  /** Pictures that could not be read and were left out: a line each that begins with the name. */
  readonly unreadable: readonly string[];
}

/** @throws DataError in one line where so many pictures are unreadable that the rest say nothing */
export async function evaluateImages(
  model: ImageClassifier,
  { set, source, pictures, view }: PicturesToScore,
  { batchSize, loaderThreads, ...options }: EvaluateImagesOptions,
): Promise<MeasuredImages> {
  const loader = new ImageLoader({
    set,
    source,
    ...(pictures === undefined ? {} : { pictures }),
    size: model.config.imageHeight,
    batchSize,
    seed: 0, // nothing is drawn in evaluation
    view,
    threads: loaderThreads,
    cacheBytes: 0,
  });
  try {
    const scores = await scoreImages(model, loader, options);
    return { scores, unreadable: loader.problems.map(({ message }) => message) };
  } finally {
    await loader.close();
  }
}
