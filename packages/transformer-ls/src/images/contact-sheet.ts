/**
 * What an augmentation makes of some pictures, as one picture: each step alone, each operation of RandAugment, and the whole course
 * as a training with that seed will see it.
 */
import {
  evaluationView,
  type ImageAugmentationConfig,
  type Normalisation,
  normalisation,
  normalised,
  parseRandAugment,
  type RgbImage,
} from '@transformer-ls/formats';
import { EDGE, FONT, Sheet } from '../charts/sheet.js';
import { element, svgDocument, text, textWidth } from '../charts/svg.js';
import { CHART_STYLE } from '../charts/theme.js';
import { Random } from '../data/random.js';
import { erase } from './augment/erasing.js';
import { drawMixing, type Mixing, type MixingSettings, mixPictures } from './augment/mixing.js';
import { AugmentationPolicy } from './augment/policy.js';
import { augmentation } from './augment/presets.js';
import { randAugmentNames, randAugmentOperations, STRONGEST } from './augment/rand-augment.js';
import { loadSharp } from './load-sharp.js';
import { augmentationRandom } from './loader/batch-maker.js';

export interface SheetPicture {
  /** In its set: a training draws by it. */
  readonly index: number;
  readonly image: RgbImage;
}

export interface ContactSheet {
  readonly title: string;
  /** Pictures that are shown, a row each; mixed with one another. At least one. */
  readonly pictures: readonly SheetPicture[];
  readonly augmentation: ImageAugmentationConfig;
  /** Pixels a side that the network sees. */
  readonly size: number;
  readonly seed: number;
}

/** A column of a table: the same thing done to every picture. */
interface Column {
  readonly label: string;
  readonly note: string;
  make(picture: SheetPicture, row: number): RgbImage;
}

/** Pixels on the page of a picture a side, the space between two, and the height of a column's two lines of text. */
const CELL = 96;
const GAP = 8;
const HEAD = 34;
/** Epochs of which the whole course is shown. */
const EPOCHS = 8;
/** Of the pictures inside: what is seen of noise needs a high one. */
const JPEG_QUALITY = 92;

/** An SVG document. @throws DataError where the package sharp is not installed */
export async function contactSheet(sheet: ContactSheet): Promise<string> {
  const tables = [
    {
      heading: 'Each step alone',
      meaning: 'Every step as it is drawn when it happens; most happen with a probability only.',
      columns: stepColumns(sheet),
    },
    {
      heading: 'The operations of RandAugment',
      meaning: `Each at the strength of ${sheet.augmentation.randAugment}; in training a picture gets a few, drawn for it.`,
      columns: operationColumns(sheet),
    },
    {
      heading: 'The whole course',
      meaning: `What a training with seed ${sheet.seed} sees in its first epochs, before batches are mixed.`,
      columns: courseColumns(sheet),
    },
  ].filter(({ columns }) => columns.length > 0);
  const widest = Math.max(...tables.map(({ columns }) => columns.length));
  const width = Math.max(640, 2 * EDGE + widest * (CELL + GAP) - GAP);
  const page = new Sheet(width);
  page.title(sheet.title);
  for (const { heading, meaning, columns } of tables) {
    page.heading(heading, meaning);
    await placeTable(page, columns, sheet.pictures);
  }
  const height = page.y + EDGE;
  const ground = element('rect', { class: 'tls-page', width, height });
  const document = { title: sheet.title, style: CHART_STYLE, width, height, fontSize: FONT };
  return svgDocument(document, [ground, ...page.parts]);
}

async function placeTable(
  page: Sheet,
  columns: readonly Column[],
  pictures: readonly SheetPicture[],
): Promise<void> {
  const left = (column: number) => EDGE + column * (CELL + GAP);
  page.place(HEAD, (y) =>
    columns
      .flatMap(({ label, note }, i) => [
        text(fitted(label), { class: 'tls-ink', x: left(i), y: y + 12 }),
        text(fitted(note), { class: 'tls-muted', x: left(i), y: y + 27 }),
      ])
      .join(''),
  );
  for (const [row, picture] of pictures.entries()) {
    const cells = await Promise.all(columns.map((column) => encoded(column.make(picture, row))));
    page.place(CELL + GAP, (y) =>
      cells.map((href, i) => element('image', { href, x: left(i), y, width: CELL, height: CELL })).join('\n'),
    );
  }
}

/** Labels must not run into one another. */
function fitted(label: string): string {
  let shown = label;
  while (textWidth(shown, FONT) > CELL + GAP - 2) shown = shown.slice(0, -1);
  return shown;
}

async function encoded({ width, height, data }: RgbImage): Promise<string> {
  const sharp = await loadSharp('contact sheets');
  const options = { quality: JPEG_QUALITY, chromaSubsampling: '4:4:4' };
  const jpeg = await sharp(data, { raw: { width, height, channels: 3 } })
    .jpeg(options)
    .toBuffer();
  return `data:image/jpeg;base64,${jpeg.toString('base64')}`;
}

/** The steps that this augmentation has, beside the picture as it is evaluated. */
function stepColumns(sheet: ContactSheet): Column[] {
  const { augmentation: config, size, seed } = sheet;
  const { crop, scale, padding, flip, randAugment, colorJitter, mixup, cutmix, mixProbability } = config;
  const step = (label: string, note: string, changes: Partial<ImageAugmentationConfig>): Column => {
    const { interpolation, mean, std } = config;
    const policy = new AugmentationPolicy(
      augmentation('none', { interpolation, mean, std, ...changes }),
      size,
    );
    return {
      label,
      note,
      make: ({ image, index }) => policy.augmented(image, augmentationRandom(seed, 0, index)),
    };
  };
  const cropNote = crop === 'pad-and-crop' ? `by up to ${padding} px` : `${scale.min} to ${scale.max}`;
  return [
    step('Original', 'the middle', {}),
    ...(crop === 'none' ? [] : [step('Crop', cropNote, { ...config, ...onlyCrop })]),
    ...(flip > 0 ? [step('Flip', `p ${flip}`, { flip: 1 })] : []),
    ...(randAugment === null ? [] : [step('RandAugment', 'drawn', { randAugment })]),
    ...(colorJitter > 0 && randAugment === null
      ? [step('Colour jitter', `up to ${colorJitter}`, { colorJitter })]
      : []),
    ...(config.erasing > 0 ? [erasingColumn(sheet)] : []),
    ...(mixup > 0 ? [mixingColumn('Mixup', `p ${mixProbability}`, { mixup, cutmix: 0 }, sheet)] : []),
    ...(cutmix > 0 ? [mixingColumn('Cutmix', `p ${mixProbability}`, { mixup: 0, cutmix }, sheet)] : []),
  ];
}

/** Turns off what comes after the crop. */
const onlyCrop = { flip: 0, randAugment: null, colorJitter: 0, erasing: 0 } as const;

function erasingColumn({ augmentation: config, size, seed }: ContactSheet): Column {
  return {
    label: 'Erasing',
    note: `p ${config.erasing}`,
    make: ({ image, index }) => {
      const planes = planesOf(image, config, size);
      erase(planes, size, augmentationRandom(seed, 0, index));
      return imageOf(planes, config, size);
    },
  };
}

type DrawnMixing = Exclude<Mixing, { kind: 'none' }>;

/** Every picture mixed with the next one. */
function mixingColumn(
  label: string,
  note: string,
  kind: { readonly mixup: number; readonly cutmix: number },
  { pictures, augmentation: config, size, seed }: ContactSheet,
): Column {
  const settings = { ...config, ...kind, mixProbability: 1 };
  const mixing = showableMixing(settings, size, seed);
  return {
    label: `${label} ${mixing.share.toFixed(2)}`,
    note,
    make: ({ image }, row) => {
      const other = pictures[(row + 1) % pictures.length]!.image;
      const both = new Float32Array(2 * 3 * size * size);
      both.set(planesOf(image, config, size));
      both.set(planesOf(other, config, size), both.length / 2);
      mixPictures(both, mixing, size);
      return imageOf(both.subarray(0, both.length / 2), config, size);
    },
  };
}

/** The first that is drawn in which both pictures have a good share: many have almost nothing of one of them. */
function showableMixing(settings: MixingSettings, size: number, seed: number): DrawnMixing {
  const random = new Random(seed);
  for (;;) {
    const mixing = drawMixing(settings, size, random);
    if (mixing.kind !== 'none' && mixing.share > 0.3 && mixing.share < 0.7) return mixing;
  }
}

/** Each operation at the strength of the configuration, to the stronger side. */
function operationColumns({ augmentation: config, size, seed }: ContactSheet): Column[] {
  const settings = config.randAugment === null ? undefined : parseRandAugment(config.randAugment);
  if (settings === undefined) return [];
  const { fill } = new AugmentationPolicy(config, size);
  const look = { sampling: config.interpolation === 'bilinear' ? 'bilinear' : 'bicubic', fill } as const;
  const random = new Random(seed);
  return randAugmentNames.map((name): Column => {
    const { amount, apply } = randAugmentOperations[name];
    const value = amount(settings.magnitude / STRONGEST, random.unit() < 0.5 ? -1 : 1);
    return {
      label: name.replace(/Increasing|Rel/, ''),
      note: value === 0 ? '' : String(Math.round(100 * value) / 100),
      make: ({ image }) => apply(evaluationView(image, { size, cropRatio: 1 }), value, look),
    };
  });
}

function courseColumns({ augmentation: config, size, seed }: ContactSheet): Column[] {
  const policy = new AugmentationPolicy(config, size);
  return Array.from({ length: EPOCHS }, (_, epoch) => ({
    label: `Epoch ${epoch + 1}`,
    note: '',
    make: ({ image, index }) => {
      const planes = new Float32Array(3 * size * size);
      policy.write(image, augmentationRandom(seed, epoch, index), planes);
      return imageOf(planes, config, size);
    },
  }));
}

function planesOf(image: RgbImage, { mean, std }: ImageAugmentationConfig, size: number): Float32Array {
  const tables: Normalisation = normalisation(mean, std);
  return normalised(evaluationView(image, { size, cropRatio: 1 }), tables);
}

/** What planes look like: the other way round, values beyond black and white cut off. */
function imageOf(planes: Float32Array, { mean, std }: ImageAugmentationConfig, size: number): RgbImage {
  const pixels = size * size;
  const data = new Uint8ClampedArray(3 * pixels);
  for (let channel = 0; channel < 3; channel++)
    for (let i = 0; i < pixels; i++)
      data[3 * i + channel] = 255 * (planes[channel * pixels + i]! * std[channel]! + mean[channel]!);
  return { width: size, height: size, data: new Uint8Array(data.buffer) };
}
