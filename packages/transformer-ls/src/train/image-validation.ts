/** Measures a vision model on pictures that it is not trained on. */
import { noGrad, scope, tensor } from '@transformer-ls/torch';
import { type ImageScores, ScoreSums } from '../evaluate/image-scores.js';
import type { ImageLoader } from '../images/loader/image-loader.js';
import type { ImageClassifier } from '../models/vision/image-classifier.js';
import type { Precision } from './precision.js';

/**
 * One pass over the loader's pictures, by a model in evaluation mode. Does not block: batches are awaited.
 *
 * @param loader of an evaluation view, at the beginning of a pass
 */
export async function scoreImages(
  model: ImageClassifier,
  loader: Pick<ImageLoader, 'batchesPerEpoch' | 'nextAsync'>,
  { device, precision }: { readonly device: string; readonly precision: Precision },
): Promise<ImageScores> {
  const { channels, imageHeight, imageWidth } = model.config;
  const sums = new ScoreSums();
  for (let batch = 0; batch < loader.batchesPerEpoch; batch++) {
    const { pixels, labels } = await loader.nextAsync();
    scope(() =>
      noGrad(() => {
        const images = tensor(pixels, { shape: [labels.length, channels, imageHeight, imageWidth], device });
        const logits = precision.run(() => model.forward(images)).to('float32');
        sums.add(logits, tensor(labels, { device }).to('int64'));
      }),
    );
  }
  return sums.scores();
}
