/** `transformer-ls evaluate` of a vision model: top-1 and top-5 on pictures and on published tests. */
import {
  type ImageEvaluation,
  type ImageEvaluationRequest,
  measureImages,
  writeImageEvaluation,
} from '../evaluate/image-evaluation.js';
import type { ImagenetTest } from '../evaluate/imagenet-tests.js';
import type { ImageSize } from '../import/said.js';
import { resizedText } from '../models/vil-ls/resolution.js';
import { type LoadedImageClassifier, loadImageClassifier } from '../models/vision/weights.js';
import { writeJson } from '../run/json.js';
import { formatDuration, formatInteger, formatPercent, formatRate, formatValue } from '../text/numbers.js';
import { UsageError } from './errors.js';
import { makeOutputFolder } from './output-folder.js';
import { StatusLine } from './status-line.js';

/** The flags of `evaluate` that a vision model has a use for. */
export interface ImageFlags {
  readonly split: 'train' | 'valid' | 'test';
  readonly data?: string | undefined;
  readonly benchmark?: ImagenetTest | undefined;
  readonly labels?: string | undefined;
  readonly imageSize?: ImageSize | undefined;
  readonly cropRatio?: number | undefined;
  readonly pictures?: number | undefined;
  readonly batch?: number | undefined;
  readonly loaderThreads?: number | undefined;
  readonly device?: string | undefined;
  readonly newest?: boolean | undefined;
  readonly out?: string | undefined;
  /** `line`: the whole record in one line. */
  readonly json?: boolean | 'line' | undefined;
}

const BATCH = 16;

/** Prints and keeps what comes out. Returns false, with nothing written, where the signal stopped it. */
export async function runEvaluateImages(
  path: string,
  flags: ImageFlags,
  signal: AbortSignal,
): Promise<boolean> {
  checkFlags(flags);
  const { imageSize, newest } = flags;
  const loaded = await loadImageClassifier(path, { choose: newest ? 'newest' : 'best', imageSize });
  for (const line of loaded.skipped) console.error(`transformer-ls evaluate: passed over ${line}`);
  for (const one of loaded.resized)
    console.error(`interpolated for ${sizeText(loaded)}: ${resizedText(one)}`);
  try {
    const { imageHeight, imageWidth } = loaded.config;
    if (imageHeight !== imageWidth)
      throw new UsageError(
        `pictures are evaluated as squares: expected one side, received a model of ${imageHeight} x ${imageWidth}`,
      );
    const record = await measured(path, loaded, flags, signal);
    if (record === null) return false;
    process.stdout.write(textOf(record, flags.json ?? false));
    const folder = flags.out ?? loaded.results;
    if (folder === undefined) return true;
    const written = await writeImageEvaluation(await makeOutputFolder(folder), record);
    if (!flags.json) console.log(`wrote ${written}`);
    return true;
  } finally {
    loaded.model.dispose();
  }
}

function checkFlags({ benchmark, data, labels }: ImageFlags): void {
  if (benchmark !== undefined && data === undefined)
    throw new UsageError(`--benchmark ${benchmark} needs --data <folder> with its pictures`);
  if (labels !== undefined && benchmark !== 'real') throw new UsageError('--labels is for --benchmark real');
}

async function measured(
  path: string,
  loaded: LoadedImageClassifier,
  flags: ImageFlags,
  signal: AbortSignal,
): Promise<ImageEvaluation | null> {
  const { data, benchmark: test, split: part, labels, cropRatio, pictures: most, device = 'cpu' } = flags;
  const request: ImageEvaluationRequest = { data, test, part, labels, cropRatio, most };
  const status = new StatusLine(process.stderr);
  let started = performance.now();
  loaded.model.to({ device });
  try {
    return await measureImages(path, loaded, request, {
      batchSize: flags.batch ?? BATCH,
      loaderThreads: flags.loaderThreads ?? 1,
      device,
      signal,
      onStart: (name, pictures) => {
        started = performance.now();
        if (!flags.json)
          console.error(`evaluating ${loaded.weightsPath} on ${name}: ${formatInteger(pictures)} pictures`);
      },
      onProgress: (done, total, { accuracy }) => {
        const rate = done / ((performance.now() - started) / 1000);
        status.show(
          `${formatInteger(done)}/${formatInteger(total)} pictures   top-1 ${formatPercent(accuracy)}   ${formatRate(rate, 'img')}   ETA ${formatDuration((total - done) / rate)}`,
        );
      },
    });
  } catch (error) {
    if (!signal.aborted) throw error;
    return null;
  } finally {
    status.clear();
  }
}

function sizeText({ config }: LoadedImageClassifier): string {
  return `${config.imageHeight} x ${config.imageWidth}`;
}

function textOf(record: ImageEvaluation, json: boolean | 'line'): string {
  if (json === 'line') return `${JSON.stringify(record)}\n`;
  return json ? writeJson(record) : table(record);
}

const UNREADABLE_SHOWN = 10;

function table(record: ImageEvaluation): string {
  const { model, data, images, accuracy, top5, loss, cropRatio, seconds } = record;
  const step = model.step === null ? '' : `, step ${formatInteger(model.step)}`;
  const seen = cropRatio === 1 ? 'the whole short side' : `${formatPercent(cropRatio)} of the short side`;
  const rows: [string, string][] = [
    ['top-1', `${formatPercent(accuracy)} of ${formatInteger(images)} pictures`],
    ['top-5', formatPercent(top5)],
    ...(loss === null ? [] : [['loss', `${formatValue(loss, 4)} nats`] satisfies [string, string]]),
    ['chance', `${formatPercent(1 / data.classes)} (${formatInteger(data.classes)} classes)`],
    ['model', `${model.kind}, ${formatInteger(model.parameters)} parameters${step}`],
    ['images', `${model.imageHeight} x ${model.imageWidth}, ${seen}`],
    ['data', data.complete ? data.name : `${data.name}, not all of it`],
    ['time', `${formatDuration(seconds)}, ${formatRate(images / seconds, 'img')}; ${record.hardware}`],
    ...data.notes.map((note): [string, string] => ['', note]),
    ...unreadableRows(record),
  ];
  const lines = rows.map(([name, value]) => `  ${name.padEnd(10)} ${value}`);
  return [...corruptionLines(record), ...lines, ''].join('\n').replace(/[^\P{Cc}\n]+/gu, ' ');
}

function unreadableRows({ unreadable, unreadablePictures }: ImageEvaluation): [string, string][] {
  if (unreadable === 0) return [];
  const shown = unreadablePictures.slice(0, UNREADABLE_SHOWN);
  return [
    ['unreadable', `${formatInteger(unreadable)}, left out`],
    ...shown.map((line): [string, string] => ['', line]),
    ...(unreadable > shown.length
      ? [['', `and ${formatInteger(unreadable - shown.length)} more`] satisfies [string, string]]
      : []),
  ];
}

/** Errors by corruption and severity, beside AlexNet's. */
function corruptionLines({ corruptions, meanCorruptionError }: ImageEvaluation): string[] {
  if (corruptions === null) return [];
  const percent = (share: number) => (100 * share).toFixed(1).padStart(6);
  const heading = `  ${'error in %'.padEnd(18)} ${[1, 2, 3, 4, 5].map((severity) => String(severity).padStart(6)).join('')}   mean    CE`;
  return [
    heading,
    ...corruptions.map(
      ({ corruption, errors, meanError, corruptionError }) =>
        `  ${corruption.padEnd(18)} ${errors.map(percent).join('')} ${percent(meanError)}${percent(corruptionError)}`,
    ),
    meanCorruptionError === null
      ? ''
      : `  ${'mCE'.padEnd(18)} ${percent(meanCorruptionError)} % of AlexNet's error (100 is as good as AlexNet)`,
    '',
  ];
}
