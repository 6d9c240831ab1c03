/** `transformer-ls classify` of pictures: the likeliest classes with their probabilities. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { noGrad, scope, tensor } from '@transformer-ls/torch';
import { DataError, fileError, messageOf } from '../data/errors.js';
import { viewOf } from '../evaluate/image-evaluation.js';
import { type DecodeImage, imageDecoder, MOST_ENCODED_BYTES } from '../images/decode.js';
import { folderFiles } from '../images/folder-files.js';
import { ImageError } from '../images/image-set.js';
import { viewForModel } from '../images/view-for-model.js';
import type { ImageSize } from '../import/said.js';
import { resizedText } from '../models/vil-ls/resolution.js';
import { type LoadedImageClassifier, loadImageClassifier } from '../models/vision/weights.js';
import { exitCodes, UsageError } from './errors.js';

/** The flags of `classify` that a vision model has a use for. */
export interface PictureFlags {
  readonly top?: number;
  readonly imageSize?: ImageSize;
  readonly cropRatio?: number;
  readonly newest?: boolean;
  readonly json?: boolean;
}

const TOP = 5;
const STANDARD_INPUT = 'standard input';

/** A picture that cannot be read does not keep the others from being classified; the command then fails in the end. */
export async function runClassifyPictures(
  path: string,
  files: readonly string[],
  flags: PictureFlags,
): Promise<void> {
  const { imageSize, newest, json } = flags;
  const pictures = await picturesOf(files);
  const decode = await imageDecoder();
  const loaded = await loadImageClassifier(path, { choose: newest ? 'newest' : 'best', imageSize });
  for (const line of loaded.skipped) console.error(`transformer-ls classify: passed over ${line}`);
  for (const one of loaded.resized)
    console.error(
      `interpolated for ${loaded.config.imageHeight} x ${loaded.config.imageWidth}: ${resizedText(one)}`,
    );
  if (!loaded.hasClassNames)
    console.error('transformer-ls classify: there is no classes.txt: classes are numbers');
  try {
    for (const picture of pictures) {
      const result = await classified(loaded, picture, decode, flags);
      if (typeof result === 'string') {
        console.error(`transformer-ls classify: ${result}`);
        process.exitCode = exitCodes.failed;
      } else
        process.stdout.write(
          json ? `${JSON.stringify(result)}\n` : described(result, process.stdout.columns),
        );
    }
  } finally {
    loaded.model.dispose();
  }
}

/** Files, those in folders in the order of their names, or standard input. @throws UsageError where there are none */
async function picturesOf(files: readonly string[]): Promise<string[]> {
  if (files.length === 0) {
    if (process.stdin.isTTY) throw new UsageError('expected pictures, or one on standard input');
    return [STANDARD_INPUT];
  }
  const found: string[] = [];
  for (const file of files) {
    const isFolder = await stat(file).then(
      (stats) => stats.isDirectory(),
      () => false,
    );
    if (!isFolder) found.push(file);
    else {
      const { names } = await folderFiles(file);
      if (names.length === 0) throw new UsageError(`${file}: holds no pictures`);
      found.push(...names.map((name) => join(file, name)));
    }
  }
  return found;
}

export interface ClassifiedPicture {
  readonly file: string;
  /** The likeliest, from the first. */
  readonly top: readonly {
    readonly label: number;
    readonly id: string;
    readonly name: string;
    readonly probability: number;
  }[];
}

/** The result, or a line on what is wrong with the picture. */
async function classified(
  loaded: LoadedImageClassifier,
  file: string,
  decode: DecodeImage,
  flags: PictureFlags,
): Promise<ClassifiedPicture | string> {
  try {
    const bytes = await bytesOf(file);
    return await classifyPicture(loaded, file, bytes, decode, flags);
  } catch (error) {
    if (error instanceof ImageError || error instanceof DataError) return messageOf(error);
    throw error;
  }
}

/** @throws ImageError in one line where the bytes are no picture */
export async function classifyPicture(
  { model, config, classes, training }: LoadedImageClassifier,
  file: string,
  bytes: Uint8Array,
  decode: DecodeImage,
  { top = TOP, cropRatio }: Pick<PictureFlags, 'top' | 'cropRatio'>,
): Promise<ClassifiedPicture> {
  const { imageHeight: height, imageWidth: width } = config;
  const image = await decode(bytes, file);
  const pixels = viewForModel(image, { height, width }, viewOf({ training }, { cropRatio, test: undefined }));
  const shares = scope(() =>
    noGrad(() => {
      const logits = model.forward(tensor(pixels, { shape: [1, 3, height, width] }));
      return logits.to('float32').softmax(-1).toTypedArray() as Float32Array;
    }),
  );
  const likeliest = Array.from(shares.keys()).sort((a, b) => shares[b]! - shares[a]! || a - b);
  return {
    file,
    top: likeliest.slice(0, top).map((label) => ({ label, ...classes[label]!, probability: shares[label]! })),
  };
}

async function bytesOf(file: string): Promise<Uint8Array> {
  const isInput = file === STANDARD_INPUT;
  const stream: AsyncIterable<Uint8Array> = isInput ? process.stdin : createReadStream(file);
  const pieces: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const piece of stream) {
      pieces.push(piece);
      size += piece.length;
      if (size > MOST_ENCODED_BYTES)
        throw new DataError(`${file}: has more than ${MOST_ENCODED_BYTES} bytes, expected at most as many`);
    }
  } catch (error) {
    throw fileError('read', file, error);
  }
  return Buffer.concat(pieces);
}

const USUAL_COLUMNS = 80;
const LONGEST_BAR = 40;
const LEAST_BAR = 8;

/**
 * The file, then a line a class: name, probability, a bar as long as there is room for.
 *
 * @param columns of the terminal; undefined: it is none
 */
export function described({ file, top }: ClassifiedPicture, columns = USUAL_COLUMNS): string {
  const clean = (text: string) => text.replace(/\p{Cc}+/gu, ' ');
  const label = ({ id, name }: ClassifiedPicture['top'][number]) =>
    clean(id === name ? name : `${name} (${id})`);
  // Two blanks before, two after the name, eight places for the share, two more.
  const room = columns - 14;
  const longest = Math.max(...top.map((one) => label(one).length));
  const nameWidth = Math.max(LEAST_BAR, Math.min(longest, room - LEAST_BAR));
  const barWidth = Math.max(0, Math.min(LONGEST_BAR, room - nameWidth - 1));
  const rows = top.map((one) => {
    const name = label(one);
    const shown = name.length <= nameWidth ? name.padEnd(nameWidth) : `${name.slice(0, nameWidth - 1)}…`;
    const share = (100 * one.probability).toFixed(1).padStart(6);
    return `  ${shown}  ${share} %  ${'█'.repeat(Math.round(barWidth * one.probability))}`.trimEnd();
  });
  return [clean(file), ...rows, ''].join('\n');
}
