/** The accuracy of a vision model on pictures, or on a published test of ImageNet models: measured, and kept as a file beside the weights. */
import { basename, join } from 'node:path';
import {
  IMAGENET_MEAN,
  IMAGENET_STD,
  type Infer,
  PUBLISHED_CROP_RATIO,
  parseConfigText,
  schema,
} from '@transformer-ls/formats';
import type { FixedView } from '../images/loader/picture-view.js';
import { resizedText } from '../models/vil-ls/resolution.js';
import type { LoadedImageClassifier } from '../models/vision/weights.js';
import { replaceFile } from '../run/durable.js';
import { nodeFileSystem } from '../run/file-system.js';
import { writeJson } from '../run/json.js';
import { textOrNothing } from '../weights/model-place.js';
import {
  type CorruptionErrors,
  corruptionErrors,
  corruptionNames,
  findCorruptions,
  meanCorruptionError,
} from './corruptions.js';
import type { ImageScores } from './image-scores.js';
import {
  type ImagenetTest,
  openCorruption,
  openImagenet,
  openReal,
  openSubset,
  openV2,
} from './imagenet-tests.js';
import { type EvaluateImagesOptions, evaluateImages } from './images.js';
import { openPictures, type PicturesUnderTest } from './labelled-pictures.js';
import { hardwareLine } from './report.js';

const { field, integer, list, nullable, number, object, oneOf, schemaOf, text } = schema;
const anyText = schemaOf('a text', (value): value is string => typeof value === 'string');
const share = () => number({ min: 0, max: 1 });
const texts = () => list(anyText, { min: 0, max: MOST_NAMED });

/** Unreadable pictures that are named; all are counted. */
const MOST_NAMED = 1000;

const corruptionSchema = object({
  corruption: field('Which.', oneOf(...corruptionNames)),
  errors: field('Share of wrong answers by severity, 1 to 5.', list(share(), { min: 5, max: 5 })),
  meanError: field('Their mean.', share()),
  corruptionError: field("The mean over AlexNet's.", number({ min: 0 })),
});

/** Content of the file. */
const evaluationSchema = object({
  kind: field('What this file describes.', oneOf('image-evaluation')),
  date: field('Date and time.', text()),
  model: field(
    'What was evaluated.',
    object({
      path: field('As it was named.', text()),
      step: field('Updates done; null where the weights do not say.', nullable(integer({ min: 0 }))),
      parameters: field('Number of weights.', integer({ min: 0 })),
      kind: field('Kind of model.', text()),
      mode: field('consistent or reference.', text()),
      imageHeight: field('Rows of pixels.', integer({ min: 1 })),
      imageWidth: field('Columns of pixels.', integer({ min: 1 })),
      resized: field('Tables of positions that were interpolated for this size.', texts()),
    }),
  ),
  data: field(
    'What it was evaluated on.',
    object({
      name: field('What the pictures are called.', text()),
      test: field('Published test, or pictures.', oneOf('pictures', 'imagenet', 'real', 'v2', 'a', 'r', 'c')),
      part: field(
        'Which pictures of those the place has; of a published test, all it takes.',
        oneOf('train', 'valid', 'test'),
      ),
      sha256: field('SHA-256 of names, sizes and labels.', text()),
      classes: field('Classes that could be chosen.', integer({ min: 1 })),
      complete: field('Whether all pictures of the part were scored.', schema.boolean()),
      notes: field('What is to be known about the result.', texts()),
    }),
  ),
  cropRatio: field('Share of the short side of a picture that was seen.', number({ above: 0, max: 1 })),
  images: field('Pictures scored.', integer({ min: 0 })),
  unreadable: field('Pictures that could not be read and were left out.', integer({ min: 0 })),
  unreadablePictures: field('The first of them, with what is wrong.', texts()),
  accuracy: field('Share of the pictures that got their class (top-1).', share()),
  top5: field('Share of the pictures whose class is among the five likeliest.', share()),
  loss: field(
    'Mean cross-entropy, nats; null where pictures have several labels, or it is not finite.',
    nullable(number({ min: 0 })),
  ),
  corruptions: field(
    'Errors by corruption; null for other tests.',
    nullable(list(corruptionSchema, { min: 1, max: 15 })),
  ),
  meanCorruptionError: field(
    "mCE: mean over the 15 corruptions, as a share of AlexNet's error; null where one is missing.",
    nullable(number({ min: 0 })),
  ),
  seconds: field('Time it took.', number({ min: 0 })),
  hardware: field('What it ran on.', text()),
});

export type ImageEvaluation = Infer<typeof evaluationSchema>;

export interface ImageEvaluationRequest {
  /** Folder or archive. Default: what the model was trained on. */
  readonly data?: string | undefined;
  /** Default: any pictures. */
  readonly test?: ImagenetTest | undefined;
  /** Of any pictures. */
  readonly part: 'train' | 'valid' | 'test';
  /** Labels of ImageNet-Real. */
  readonly labels?: string | undefined;
  /** Share of the short side that is seen. Default: as in training, 1 for ImageNet-C, else 0.875. */
  readonly cropRatio?: number | undefined;
  /** Only so many pictures, spread evenly. */
  readonly most?: number | undefined;
}

export interface ImageEvaluationOptions
  extends Pick<EvaluateImagesOptions, 'batchSize' | 'loaderThreads' | 'device' | 'signal'> {
  /** Called when pictures are about to be scored. */
  readonly onStart?: (name: string, pictures: number) => void;
  /** Called after each batch: pictures done of all of this part, and the scores so far. */
  readonly onProgress?: (done: number, total: number, scores: ImageScores) => void;
}

/** @throws DataError in one line where the pictures are not there, not laid out as they must be, or of other classes */
export async function measureImages(
  path: string,
  loaded: LoadedImageClassifier,
  request: ImageEvaluationRequest,
  options: ImageEvaluationOptions,
): Promise<ImageEvaluation> {
  const started = performance.now();
  const measured =
    request.test === 'c'
      ? await measureCorruptions(loaded, request, options)
      : await measurePictures(loaded, await openTest(loaded, request), request, options);
  const { config, model, step, resized } = loaded;
  const { scores, unreadable, ...rest } = measured;
  return {
    kind: 'image-evaluation',
    date: new Date().toISOString(),
    model: {
      path,
      step: step ?? null,
      parameters: model.countParameters(),
      kind: config.kind,
      mode: config.mode,
      imageHeight: config.imageHeight,
      imageWidth: config.imageWidth,
      resized: resized.map(resizedText),
    },
    data: { ...rest.data, test: request.test ?? 'pictures', part: request.part },
    cropRatio: viewOf(loaded, request).cropRatio,
    ...scores,
    loss: Number.isFinite(scores.loss) ? scores.loss : null,
    unreadable: unreadable.length,
    unreadablePictures: unreadable.slice(0, MOST_NAMED),
    corruptions: rest.corruptions,
    meanCorruptionError: rest.corruptions === null ? null : meanCorruptionError(rest.corruptions),
    seconds: (performance.now() - started) / 1000,
    hardware: hardwareLine(),
  };
}

interface Measured {
  readonly scores: ImageScores;
  readonly unreadable: readonly string[];
  readonly data: Omit<ImageEvaluation['data'], 'test' | 'part'>;
  readonly corruptions: readonly CorruptionErrors[] | null;
}

async function openTest(
  loaded: LoadedImageClassifier,
  { data, test, part, labels }: ImageEvaluationRequest,
): Promise<PicturesUnderTest> {
  if (test === undefined || test === 'c') return openPictures(loaded, { data, part });
  const path = data!; // asked for by the command together with a test
  switch (test) {
    case 'imagenet':
      return openImagenet(loaded, path);
    case 'real':
      return openReal(loaded, path, labels);
    case 'v2':
      return openV2(loaded, path);
    default:
      return openSubset(loaded, test, path);
  }
}

/** Closes the set. */
async function measurePictures(
  loaded: LoadedImageClassifier,
  { set, source, pictures, scorer, classes, notes }: PicturesUnderTest,
  request: ImageEvaluationRequest,
  { onStart, onProgress, ...options }: ImageEvaluationOptions,
): Promise<Measured> {
  try {
    const all = pictures ?? Uint32Array.from(set.labels.keys());
    const chosen = spread(all, request.most);
    onStart?.(set.name, chosen.length);
    const toScore = { set, source, pictures: chosen, view: viewOf(loaded, request) };
    const { scores, unreadable } = await evaluateImages(loaded.model, toScore, {
      ...options,
      scorer: scorer(),
      onBatch: (sofar) => onProgress?.(sofar.images, chosen.length, sofar),
    });
    const complete = chosen.length === all.length;
    const data = { name: set.name, sha256: set.fingerprint, classes, complete, notes: [...notes] };
    return { scores, unreadable, data, corruptions: null };
  } finally {
    await set.close();
  }
}

/** So many of them, the same distance from one to the next: pictures lie class by class. */
function spread(pictures: Uint32Array, most: number | undefined): Uint32Array {
  if (most === undefined || most >= pictures.length) return pictures;
  return Uint32Array.from({ length: most }, (_, i) => pictures[Math.floor((i * pictures.length) / most)]!);
}

/** Every severity of every corruption, one after the other. */
async function measureCorruptions(
  loaded: LoadedImageClassifier,
  request: ImageEvaluationRequest,
  options: ImageEvaluationOptions,
): Promise<Measured> {
  const path = request.data!; // asked for by the command together with a test
  const parts: Measured[] = [];
  const corruptions: CorruptionErrors[] = [];
  for (const { corruption, folders } of await findCorruptions(path)) {
    const errors: number[] = [];
    for (const folder of folders) {
      const part = await measurePictures(loaded, await openCorruption(loaded, folder), request, options);
      parts.push(part);
      errors.push(1 - part.scores.accuracy);
    }
    corruptions.push(corruptionErrors(corruption, errors));
  }
  const missing = corruptionNames.filter(
    (name) => !corruptions.some(({ corruption }) => corruption === name),
  );
  const first = parts[0]!; // there is at least one corruption
  const notes =
    missing.length === 0 ? [] : [`no mCE, which needs all 15 corruptions: there is no ${missing.join(', ')}`];
  return {
    scores: pooled(parts.map(({ scores }) => scores)),
    unreadable: parts.flatMap(({ unreadable }) => unreadable),
    data: {
      ...first.data,
      name: basename(path),
      complete: parts.every(({ data }) => data.complete),
      notes: [...first.data.notes, ...notes],
    },
    corruptions,
  };
}

/** Over all pictures of all parts. */
function pooled(all: readonly ImageScores[]): ImageScores {
  const images = all.reduce((sum, one) => sum + one.images, 0);
  const mean = (value: (one: ImageScores) => number) =>
    all.reduce((sum, one) => sum + one.images * value(one), 0) / images;
  return {
    images,
    accuracy: mean((one) => one.accuracy),
    top5: mean((one) => one.top5),
    loss: mean((one) => one.loss),
  };
}

/** As the model saw pictures in its own evaluations; published ones as published. */
export function viewOf(
  { training }: Pick<LoadedImageClassifier, 'training'>,
  { cropRatio, test }: Pick<ImageEvaluationRequest, 'cropRatio' | 'test'>,
): FixedView {
  const usual = training?.evaluationCropRatio ?? PUBLISHED_CROP_RATIO;
  const { mean = IMAGENET_MEAN, std = IMAGENET_STD } = training?.augmentation ?? {};
  // The pictures of ImageNet-C are cut out already.
  return {
    kind: 'evaluation',
    cropRatio: cropRatio ?? (test === 'c' ? 1 : usual),
    filter: 'bicubic',
    mean,
    std,
  };
}

/** The test part is what results are about; other parts and published tests have their names in the file's. */
function fileOf({ test, part }: Pick<ImageEvaluation['data'], 'test' | 'part'>): string {
  if (test !== 'pictures') return `evaluation-${test}.json`;
  return part === 'test' ? 'evaluation.json' : `evaluation-${part}.json`;
}

/** Writes the record into a folder that exists, and returns the file's path. */
export async function writeImageEvaluation(folder: string, record: ImageEvaluation): Promise<string> {
  const path = join(folder, fileOf(record.data));
  await replaceFile(nodeFileSystem, path, [new TextEncoder().encode(writeJson(record))]);
  return path;
}

/** The record of the whole test part in a folder, or undefined. @throws ConfigError where the file is none */
export async function readImageEvaluation(folder: string): Promise<ImageEvaluation | undefined> {
  const path = join(folder, fileOf({ test: 'pictures', part: 'test' }));
  const json = await textOrNothing(path);
  const record = json === undefined ? undefined : parseConfigText(evaluationSchema, json, path);
  return record?.data.complete ? record : undefined;
}
