/**
 * Classifiers of pictures as a graph: images of one size to logits and features.
 *
 * Shape letters: B batch.
 */
import type { ExportedHeat } from '@transformer-ls/formats';
import { randn } from '@transformer-ls/torch';
import { viewOf } from '../evaluate/image-evaluation.js';
import type { LoadedImageClassifier } from '../models/vision/weights.js';
import { ExportError } from './error.js';
import type { Exportable } from './exportable.js';
import { watchImage } from './heat.js';

export function exportableImageClassifier(loaded: LoadedImageClassifier): Exportable {
  const { model, config, classes } = loaded;
  const { imageHeight, imageWidth, channels } = config;
  if (channels !== 3)
    throw new ExportError(`channels: expected 3, red, green and blue, received ${channels}`);
  const { cropRatio, filter, mean, std } = viewOf(loaded, { cropRatio: undefined, test: undefined });
  let heatSource: ExportedHeat = 'none';
  return {
    model,
    graphs: [
      {
        name: 'classify',
        sizes: { samples: [{ B: 2 }, { B: 3 }, { B: 5 }, { B: 4 }], multiples: [] },
        compared: [{ B: 1 }, { B: 3 }],
        inputs: ({ B }) => ({ images: randn([B!, channels, imageHeight, imageWidth]) }),
        run({ images }) {
          const { result: features, heat, source } = watchImage(model, () => model.features(images!));
          heatSource = source;
          const named = heat.map((one) => ['heat', one] as const);
          return { logits: model.logitsOf(features), features, ...Object.fromEntries(named) };
        },
      },
    ],
    manifest: () => ({
      kind: 'image-classifier',
      model: config,
      graph: 'classify.onnx',
      heat: heatSource,
      cropRatio,
      filter,
      mean: [...mean],
      std: [...std],
      classes: classes.map(({ id, name }) => ({ id, name })),
    }),
  };
}
