/** `transformer-ls attend` of a vision model: a picture of what one token of one block takes, and from where. */
import { normalisation, normalised } from '@transformer-ls/formats';
import { scope, tensor } from '@transformer-ls/torch';
import { imageAttentionPicture } from '../charts/image-attention.js';
import { type HeadMaps, headMaps, type TakenParts } from '../charts/image-attention-shares.js';
import { viewOf } from '../evaluate/image-evaluation.js';
import type { ImageSize } from '../import/said.js';
import { resizedText } from '../models/vil-ls/resolution.js';
import { type ObservedImage, observeImage } from '../models/vision/attention-weights.js';
import type { GridPlace, QueryChoice } from '../models/vision/grid-weights.js';
import { type StageGrid, stageGrids } from '../models/vision/stage-grids.js';
import { type LoadedImageClassifier, loadImageClassifier } from '../models/vision/weights.js';
import { formatBytes } from '../text/numbers.js';
import { type NamedPicture, readPicture, tokenAt } from './attend-image-input.js';
import { imageAttentionRecord } from './attend-image-record.js';
import { UsageError } from './errors.js';
import { type PictureFormat, pictureFormat, writePicture } from './picture-file.js';

export type AskedToken = QueryChoice;

/** Of the picture file. */
export interface Pixel {
  readonly x: number;
  readonly y: number;
}

export interface AttendImageFlags {
  readonly stage?: number;
  readonly block?: number;
  readonly head?: number;
  readonly at?: AskedToken;
  readonly atPixel?: Pixel;
  readonly imageSize?: ImageSize;
  readonly cropRatio?: number;
  readonly out?: string;
  readonly newest?: boolean;
  readonly json?: boolean;
}

const DEFAULT_OUT = 'attention.png';

/** @throws UsageError, WeightsError, DataError or ImageError in one line */
export async function attendImage(
  path: string,
  files: readonly string[],
  flags: AttendImageFlags,
): Promise<void> {
  if (flags.at !== undefined && flags.atPixel !== undefined)
    throw new UsageError('expected --at or --at-pixel, received both');
  const out = flags.out ?? (flags.json ? undefined : DEFAULT_OUT);
  const format = out === undefined ? undefined : await pictureFormat(out);
  const { imageSize, newest } = flags;
  const loaded = await loadImageClassifier(path, { choose: newest ? 'newest' : 'best', imageSize });
  for (const line of loaded.skipped) console.error(`transformer-ls attend: passed over ${line}`);
  for (const one of loaded.resized)
    console.error(
      `interpolated for ${loaded.config.imageHeight} x ${loaded.config.imageWidth}: ${resizedText(one)}`,
    );
  try {
    const attended = await attend(files, flags, loaded);
    const record = flags.json ? `${JSON.stringify(recordOf(attended))}\n` : undefined;
    const written = out === undefined || format === undefined ? [] : [await draw(attended, out, format)];
    process.stdout.write(record ?? `${[...described(attended), ...written].join('\n')}\n`);
  } finally {
    loaded.model.dispose();
  }
}

/** Writes the picture; returns what to say of it. */
async function draw(attended: Attended, out: string, format: PictureFormat): Promise<string> {
  const bytes = await format(pictureOf(attended));
  await writePicture(out, bytes);
  return `wrote ${out} (${formatBytes(bytes.length)})`;
}

/** An image with the weights of one block. */
interface Attended {
  readonly loaded: LoadedImageClassifier;
  readonly picture: NamedPicture;
  readonly observed: ObservedImage;
  /** From 0, as are `block` and `heads`. */
  readonly stage: number;
  readonly block: number;
  readonly heads: readonly number[];
  readonly grid: StageGrid;
}

async function attend(
  files: readonly string[],
  flags: AttendImageFlags,
  loaded: LoadedImageClassifier,
): Promise<Attended> {
  const { config, model } = loaded;
  const { stage, block, heads } = chosenBlock(flags, loaded);
  const grid = stageGrids(config)[stage]!;
  checkToken(flags.at, grid, loaded, stage);
  const { imageHeight: height, imageWidth: width } = config;
  const view = viewOf(loaded, { cropRatio: flags.cropRatio, test: undefined });
  const picture = await readPicture(files, { height, width }, view);
  const query = flags.atPixel === undefined ? (flags.at ?? 'centre') : tokenAt(flags.atPixel, picture, grid);
  const observed = scope(() => {
    const planes = normalised(picture.image, normalisation(view.mean, view.std));
    const image = tensor(planes, { shape: [1, 3, height, width] });
    return observeImage(model, image, { stage, block, query });
  });
  return { loaded, picture, observed, stage, block, heads, grid };
}

/** The last block of the last stage with long-short attention, where nothing else is asked for. */
function chosenBlock(
  flags: AttendImageFlags,
  { config }: LoadedImageClassifier,
): Pick<Attended, 'stage' | 'block' | 'heads'> {
  const { stages } = config;
  const lastLongShort = stages.findLastIndex(({ attention }) => attention === 'long-short') + 1;
  const stage = chosen('stage', flags.stage, stages.length) ?? (lastLongShort || stages.length);
  const { layers, heads } = stages[stage - 1]!;
  const block = chosen('block', flags.block, layers, ` in stage ${stage}`) ?? layers;
  const head = chosen('head', flags.head, heads, ` in stage ${stage}`);
  return {
    stage: stage - 1,
    block: block - 1,
    heads: head === undefined ? Array.from({ length: heads }, (_, i) => i) : [head - 1],
  };
}

function chosen(what: string, asked: number | undefined, count: number, where = ''): number | undefined {
  if (asked !== undefined && asked > count)
    throw new UsageError(`--${what}: expected a number from 1 to ${count}${where}, received ${asked}`);
  return asked;
}

/** Before anything is computed. */
function checkToken(
  at: AskedToken | undefined,
  { rows, columns }: StageGrid,
  { config }: LoadedImageClassifier,
  stage: number,
): void {
  if (at === undefined || at === 'centre') return;
  if (at === 'global-token') {
    const hasGlobal =
      config.kind === 'vil-ls'
        ? config.stages[stage]!.globalTokens > 0
        : config.classToken && stage === config.stages.length - 1;
    if (!hasGlobal)
      throw new UsageError(`--at: stage ${stage + 1} has no global token, expected row:column or centre`);
    return;
  }
  if (at.row >= rows || at.column >= columns)
    throw new UsageError(
      `--at: expected row 0 to ${rows - 1} and column 0 to ${columns - 1} in stage ${stage + 1}, received ${at.row}:${at.column}`,
    );
}

const KINDS = { 'vil-ls': 'ViL-LS', 'cvt-ls': 'CvT-LS' } as const;

function pictureOf(attended: Attended): string {
  const { loaded, picture, observed, heads, grid } = attended;
  return imageAttentionPicture({
    title: `${KINDS[loaded.config.kind]}, ${blockText(attended)}, looks at ${picture.name}`,
    subtitle: `${verdict(attended)}; ${mechanism(attended)}`,
    image: picture.image,
    patch: grid.patch,
    weights: observed.weights,
    heads,
  });
}

function blockText({ loaded, stage, block }: Attended): string {
  const { stages } = loaded.config;
  return `stage ${stage + 1} of ${stages.length}, block ${block + 1} of ${stages[stage]!.layers}`;
}

/** `long-short attention, window 7, rank 8, 1 global token` */
function mechanism({ loaded, stage, observed }: Attended): string {
  const { attention, windowSize, projectionRank } = loaded.config.stages[stage]!;
  const globals = observed.weights.heads[0]!.globals.length;
  const parts = [
    `${attention} attention`,
    ...(attention === 'full' ? [] : [`window ${windowSize}`, `rank ${projectionRank}`]),
    ...(globals === 0 ? [] : [`${globals} global token${globals === 1 ? '' : 's'}`]),
  ];
  return parts.join(', ');
}

function verdict({ loaded, observed }: Attended): string {
  const [first] = bestClasses(loaded, observed, 1);
  return `says ${first!.class} (${(100 * first!.probability).toFixed(1)} %)`;
}

/** The most probable first. */
function bestClasses(
  { classes }: LoadedImageClassifier,
  { probabilities }: ObservedImage,
  most: number,
): { label: number; class: string; probability: number }[] {
  const labels = [...probabilities.keys()].sort((a, b) => probabilities[b]! - probabilities[a]!);
  return labels
    .slice(0, most)
    .map((label) => ({ label, class: classes[label]!.name, probability: probabilities[label]! }));
}

/** The answer, the block, and what its token takes. */
function described(attended: Attended): string[] {
  const { observed, heads, grid } = attended;
  const { query } = observed.weights;
  const [drawn] = headMaps(observed.weights, heads) as [HeadMaps];
  return [
    verdict(attended),
    `${blockText(attended)}: ${mechanism(attended)}; ${grid.rows} x ${grid.columns} tokens, each ${grid.patch} x ${grid.patch} pixels`,
    `the token at ${placeText(query)} takes ${partsText(drawn.parts)} (${drawn.name.toLowerCase()})`,
  ];
}

function placeText({ row, column }: GridPlace): string {
  return `row ${row}, column ${column}`;
}

function partsText({ tokens, slots, globals }: TakenParts): string {
  const all = [
    ['tokens', tokens],
    ['slots', slots.reduce((a, b) => a + b, 0)],
    ['global tokens', globals],
  ] as const;
  return all
    .filter(([, share]) => share > 0)
    .map(([name, share]) => `${(100 * share).toFixed(1)} % from ${name}`)
    .join(', ');
}

function recordOf(attended: Attended) {
  const { loaded, picture, observed, stage, block, heads, grid } = attended;
  const { name, width, height, box } = picture;
  return {
    kind: 'image-attention-weights',
    model: { path: loaded.weightsPath, step: loaded.step ?? null, kind: loaded.config.kind },
    picture: { name, width, height, seen: box },
    best: bestClasses(loaded, observed, 5),
    stage: stage + 1,
    block: block + 1,
    patch: grid.patch,
    ...imageAttentionRecord(observed.weights, heads),
  };
}
