import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { IMAGENET_MEAN, IMAGENET_STD } from '@transformer-ls/formats';
import { noGrad, scope, tensor } from '@transformer-ls/torch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../transformer-ls/src/data/random.js';
import { viewForModel } from '../../transformer-ls/src/images/view-for-model.js';
import type { LoadedImageClassifier } from '../../transformer-ls/src/models/vision/weights.js';
import { exportImages, smallCvtLs, smallVilLs } from '../../transformer-ls/test/export/small-exports.js';
import { type ImageClassifier, loadImageClassifier, type Picture } from '../src/index.js';
import { failure, testFolder } from './exported-models.js';

const scratch = testFolder();

interface Both {
  readonly libtorch: LoadedImageClassifier;
  readonly exported: ImageClassifier;
  readonly folder: string;
}

const MODELS: Record<string, () => LoadedImageClassifier> = {
  'ViL-LS': () => smallVilLs(),
  'ViL-LS that is not square': () => smallVilLs({ imageHeight: 19, imageWidth: 30 }),
  'ViL-LS with full attention': () => smallVilLs({}, { attention: 'full' }),
  'CvT-LS': () => smallCvtLs(),
  'CvT-LS without projection': () => smallCvtLs({ classToken: false }, { projectionRank: 0 }),
};
const models = new Map<string, Both>();

beforeAll(async () => {
  for (const [name, make] of Object.entries(MODELS)) {
    const folder = join(scratch.path, name);
    mkdirSync(folder);
    const libtorch = make();
    await exportImages(libtorch, folder);
    models.set(name, { libtorch, folder, exported: await loadImageClassifier(folder) });
  }
});
afterAll(async () => {
  for (const { libtorch, exported } of models.values()) {
    libtorch.model.dispose();
    await exported.dispose();
  }
  scratch.remove();
});

function picture(width: number, height: number, seed = 1): Picture & { readonly data: Uint8Array } {
  const random = new Random(seed, 0);
  return { width, height, data: Uint8Array.from({ length: 3 * width * height }, () => random.below(256)) };
}

/** As a canvas has it: four bytes a pixel. */
function withAlpha({ width, height, data }: Picture): Picture {
  const four = new Uint8ClampedArray(4 * width * height);
  for (let i = 0; i < width * height; i++)
    four.set([data[3 * i]!, data[3 * i + 1]!, data[3 * i + 2]!, (i * 7) % 256], 4 * i);
  return { width, height, data: four };
}

function expected({ model, config }: LoadedImageClassifier, image: Picture & { data: Uint8Array }) {
  const { imageHeight: height, imageWidth: width } = config;
  const view = { cropRatio: 0.875, filter: 'bicubic', mean: IMAGENET_MEAN, std: IMAGENET_STD } as const;
  const pixels = viewForModel(image, { height, width }, { kind: 'evaluation', ...view });
  return scope(() =>
    noGrad(() => {
      const features = model.features(tensor(pixels, { shape: [1, 3, height, width] }));
      return {
        features: features.toFloat32Array(),
        shares: model.logitsOf(features).softmax(-1).toFloat32Array(),
      };
    }),
  );
}

function expectClose(received: ArrayLike<number>, wanted: ArrayLike<number>): void {
  expect(received.length).toBe(wanted.length);
  const largest = Math.max(...Array.from(wanted, Math.abs));
  Array.from(wanted).forEach((value, i) => {
    expect(Math.abs(received[i]! - value)).toBeLessThan(2e-5 * largest);
  });
}

describe.each(Object.keys(MODELS))('%s', (name) => {
  it.each([
    [24, 24],
    [100, 37],
    [5, 90],
    [1, 1],
  ])('says of a picture of %i x %i what libtorch says', async (width, height) => {
    const { libtorch, exported } = models.get(name)!;
    const image = picture(width, height);
    const { features, shares } = expected(libtorch, image);
    const { classes, label } = await exported.classify(image);
    const byLabel = libtorch.classes.map(({ id }) => classes.find((one) => one.id === id)!.probability);
    expectClose(byLabel, shares);
    expect(classes.map(({ probability }) => probability)).toEqual(byLabel.toSorted((a, b) => b - a));
    expect(label).toBe(classes[0]!.name);
    expect(label).toMatch(/^class \d$/);
    expectClose(await exported.embed(image), features);
    expect((await exported.classify(withAlpha(image))).classes).toEqual(classes);
  });
});

describe('heat', () => {
  it.each<[string, number, number]>([
    ['ViL-LS', 3, 3],
    ['ViL-LS that is not square', 3, 4],
    ['ViL-LS with full attention', 3, 3],
    ['CvT-LS', 3, 3],
  ])('of %s is a grid over what was seen of the picture', async (name, rows, columns) => {
    const { exported } = models.get(name)!;
    const { heat } = await exported.classify(picture(90, 60));
    expect(heat).toMatchObject({ rows, columns });
    expect(heat!.values.length).toBe(rows * columns);
    expect(heat!.values.every((share) => share >= 0 && share <= 1)).toBe(true);
    expect(heat!.values.reduce((a, b) => a + b, 0)).toBeGreaterThan(0);
    const { left, top, right, bottom } = heat!.box;
    const { imageHeight, imageWidth } = exported.manifest.model;
    expect(Math.min(left, top)).toBeGreaterThanOrEqual(0);
    expect(right).toBeLessThanOrEqual(90);
    expect(bottom).toBeLessThanOrEqual(60);
    // In the middle, and of the shape that the model sees, but for pixels that are whole.
    expect(Math.abs((left + right) / 2 - 45)).toBeLessThanOrEqual(2);
    expect(Math.abs((top + bottom) / 2 - 30)).toBeLessThanOrEqual(2);
    expect(Math.abs((right - left) / (bottom - top) - imageWidth / imageHeight)).toBeLessThan(0.15);
  });

  it('is none where the model has none', async () => {
    const { exported } = models.get('CvT-LS without projection')!;
    expect(exported.manifest.heat).toBe('none');
    expect((await exported.classify(picture(30, 30))).heat).toBeNull();
  });
});

describe('refused is', () => {
  it.each<[string, Picture, string]>([
    [
      'a picture with too few bytes',
      { width: 4, height: 4, data: new Uint8Array(47) },
      'expected 48 or 64 bytes for 4 x 4 pixels, received 47',
    ],
    [
      'a picture of grey',
      { width: 4, height: 4, data: new Uint8Array(16) },
      'expected 48 or 64 bytes for 4 x 4 pixels, received 16',
    ],
    [
      'a picture without a pixel',
      { width: 0, height: 0, data: new Uint8Array() },
      'expected a picture of at least one pixel, received 0 x 0',
    ],
    [
      'a picture with a part of a pixel',
      { width: 1.5, height: 2, data: new Uint8Array(9) },
      'expected a picture of at least one pixel, received 1.5 x 2',
    ],
    [
      'a picture of less than nothing',
      { width: -2, height: -2, data: new Uint8Array(12) },
      'expected a picture of at least one pixel, received -2 x -2',
    ],
  ])('%s', async (_, image, message) => {
    const { exported } = models.get('ViL-LS')!;
    expect(await failure(exported.classify(image))).toEqual({ code: 'bad-input', message });
    expect(await failure(exported.embed(image))).toEqual({ code: 'bad-input', message });
  });
});

it('a model ends when it is disposed', async () => {
  const exported = await loadImageClassifier(models.get('ViL-LS')!.folder);
  const before = exported.classify(picture(8, 8));
  await exported.dispose();
  expect((await before).classes).toHaveLength(5);
  expect((await failure(exported.classify(picture(8, 8)))).code).toBe('disposed');
  await exported.dispose();
});
