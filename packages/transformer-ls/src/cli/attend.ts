/** `transformer-ls attend`: a picture of what a trained classifier attends to in one text or image. */
import { isImageClassifier } from '@transformer-ls/formats';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { TokenRange } from '../charts/attention-shares.js';
import { splits } from '../lra/example-set.js';
import { observableNames } from '../models/sequence-classifier/attention-weights.js';
import { findModel, type ModelConfig } from '../weights/model-place.js';
import type { AskedToken, AttendImageFlags, Pixel } from './attend-image.js';
import type { AttendTextFlags } from './attend-text.js';
import { UsageError } from './errors.js';
import { decimalNumber, imageSize, wholeNumber } from './flags.js';
import { useThreads } from './threads.js';

interface AttendFlags extends AttendTextFlags, AttendImageFlags {
  readonly threads?: number;
}

const EXAMPLES = `
Stages, blocks, layers and heads are counted from 1, tokens, rows, columns and pixels from 0.

A classifier of texts: a text is read as bytes, a ListOps tree as its words, an image of Long Range Arena as its grey pixels. A
classifier of pairs takes two files. What can be drawn: ${observableNames.join(', ')}.

A vision model: one picture file, seen as in evaluation. The picture is of one token of one block: what it takes from the tokens
around it, from slots and global tokens, what the slots are made of, and what the global tokens take.

Examples:
  transformer-ls attend runs/lra-text review.txt
  transformer-ls attend runs/lra-text --text "I liked every minute of it." --out liked.png
  transformer-ls attend runs/lra-listops --example 17 --head 2 --tokens 100:160
  echo "[MAX 4 [MIN 7 2 ] 1 ]" | transformer-ls attend runs/lra-listops --json
  transformer-ls attend runs/lra-retrieval one.txt other.txt --layer 1
  transformer-ls attend runs/vision photo.jpg
  transformer-ls attend runs/vision photo.jpg --stage 1 --block 1 --head 2 --at-pixel 310:120 --out eye.png
  transformer-ls attend runs/vision photo.jpg --stage 3 --at global --json`;

export function attendCommand(): Command {
  return new Command('attend')
    .description(
      'Draw what a trained classifier attends to in one text or image: window, slots and class or global tokens, per head.',
    )
    .argument('<model>', 'run, checkpoint or model folder, weight file, or the name of a shipped model')
    .argument('[files...]', 'what it reads, or the picture that it looks at (default: standard input)')
    .option('--text <text>', 'the text itself')
    .option('--example <n>', "an example of the run's own data, from 0", wholeNumber({ min: 0 }))
    .addOption(
      new Option('--split <name>', 'part of the data, for --example').choices(splits).default('test'),
    )
    .option('--data-folder <folder>', 'where prepared data lie (default: TRANSFORMER_LS_DATA or ./data)')
    .option('--layer <n>', 'texts: which layer (default: the last)', wholeNumber({ min: 1 }))
    .option(
      '--stage <n>',
      'images: which stage (default: the last with long-short attention)',
      wholeNumber({ min: 1 }),
    )
    .option('--block <n>', 'images: which block of the stage (default: its last)', wholeNumber({ min: 1 }))
    .option('--head <n>', 'which head (default: all)', wholeNumber({ min: 1 }))
    .option(
      '--tokens <range>',
      'texts: only these tokens, such as 100:160 (default: as many as fit)',
      tokenRange,
    )
    .option(
      '--at <token>',
      'images: which token, as row:column, centre, or global for that which the global token takes most from (default: centre)',
      askedToken,
    )
    .option('--at-pixel <x:y>', 'images: the token at this pixel of the picture file', pixel)
    .option(
      '--image-size <pixels>',
      'give a vision model a larger or smaller picture: 336, or height x width',
      imageSize,
    )
    .option(
      '--crop-ratio <share>',
      'share of a picture that is seen (default: as in training, else 0.875)',
      decimalNumber({ above: 0, max: 1 }),
    )
    .option(
      '--out <file>',
      '.svg or .png to write (default: attention.svg, for images attention.png; with --json none)',
    )
    .option('--newest', 'the newest checkpoint of a run instead of the best')
    .option('--threads <n>', 'CPU threads (default: all cores)', wholeNumber({ min: 1 }))
    .option('--json', 'print the weights as JSON')
    .addHelpText('after', EXAMPLES)
    .action(runAttend);
}

/** `from:to`, the tokens from `from` on that come before `to`. */
function tokenRange(text: string): TokenRange {
  const range = twoNumbers(text);
  if (range === undefined || !(range[1] > range[0]))
    throw new InvalidArgumentError(`Expected a range of tokens such as 100:160, received '${text}'.`);
  return { from: range[0], to: range[1] };
}

function askedToken(text: string): AskedToken {
  if (text === 'centre') return 'centre';
  if (text === 'global') return 'global-token';
  const place = twoNumbers(text);
  if (place === undefined)
    throw new InvalidArgumentError(`Expected row:column such as 3:12, centre or global, received '${text}'.`);
  return { row: place[0], column: place[1] };
}

function pixel(text: string): Pixel {
  const place = twoNumbers(text);
  if (place === undefined)
    throw new InvalidArgumentError(`Expected x:y of a pixel such as 310:120, received '${text}'.`);
  return { x: place[0], y: place[1] };
}

function twoNumbers(text: string): [number, number] | undefined {
  const [, first, second] = /^(\d{1,9}):(\d{1,9})$/.exec(text.trim()) ?? [];
  return first === undefined || second === undefined ? undefined : [Number(first), Number(second)];
}

/** Only the half that is needed is loaded. */
async function runAttend(path: string, files: readonly string[], flags: AttendFlags): Promise<void> {
  useThreads(flags.threads);
  const { config } = await findModel(path, { choose: flags.newest ? 'newest' : 'best' });
  refuseStrangers(path, config, flags);
  if (isImageClassifier(config)) {
    const { attendImage } = await import('./attend-image.js');
    await attendImage(path, files, flags);
  } else {
    const { attendText } = await import('./attend-text.js');
    await attendText(path, files, flags);
  }
}

const TEXT_FLAGS = {
  text: '--text',
  example: '--example',
  dataFolder: '--data-folder',
  layer: '--layer',
  tokens: '--tokens',
};
const IMAGE_FLAGS = {
  stage: '--stage',
  block: '--block',
  at: '--at',
  atPixel: '--at-pixel',
  imageSize: '--image-size',
  cropRatio: '--crop-ratio',
};

/** Flags that only models of texts, or only vision models, have a use for. */
function refuseStrangers(path: string, config: ModelConfig, flags: AttendFlags): void {
  const isVision = isImageClassifier(config);
  const strange = Object.entries(isVision ? TEXT_FLAGS : IMAGE_FLAGS);
  const given = strange.find(([name]) => flags[name as keyof AttendFlags] !== undefined);
  if (given === undefined) return;
  throw new UsageError(
    `${given[1]} is for models of ${isVision ? 'texts' : 'pictures'}; ${path} is a ${config.kind}`,
  );
}
