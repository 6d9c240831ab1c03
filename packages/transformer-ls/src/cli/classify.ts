/** `transformer-ls classify`: texts or pictures through a trained model, by its kind. */
import { isImageClassifier } from '@transformer-ls/formats';
import { Command } from 'commander';
import type { ModelConfig } from '../weights/model-place.js';
import { findModel } from '../weights/model-place.js';
import { type PictureFlags, runClassifyPictures } from './classify-pictures.js';
import { runClassifyTexts, type TextFlags } from './classify-texts.js';
import { UsageError } from './errors.js';
import { decimalNumber, imageSize, wholeNumber } from './flags.js';
import { useThreads } from './threads.js';

interface ClassifyFlags extends TextFlags, PictureFlags {
  readonly threads?: number;
}

const EXAMPLES = `
A text is read as bytes, a ListOps tree as its words. What is longer than the model reads is cut, and said so. Several files are
classified one after the other; a classifier of pairs takes two. Vision models take pictures (JPEG, PNG, WebP, GIF, TIFF, AVIF), and
folders of them.

Examples:
  transformer-ls classify runs/lra-text review.txt
  transformer-ls classify runs/lra-text --text "I liked every minute of it."
  transformer-ls classify runs/lra-text reviews/*.txt --json
  echo "[MAX 4 [MIN 7 2 ] 1 ]" | transformer-ls classify runs/lra-listops --json
  transformer-ls classify runs/lra-retrieval one.txt other.txt
  transformer-ls classify models/vil-ls-medium photo.jpg holiday/ --top 3
  transformer-ls classify models/vil-ls-medium --image-size 336 --json < photo.jpg`;

export function classifyCommand(): Command {
  return new Command('classify')
    .description('Label and probabilities of texts or pictures by a trained classifier.')
    .argument('<model>', 'run, checkpoint or model folder, weight file, or the name of a shipped model')
    .argument('[files...]', 'texts or pictures to classify (default: standard input)')
    .option('--text <text>', 'the text itself')
    .option(
      '--top <k>',
      'likeliest classes of a picture that are shown (default: 5)',
      wholeNumber({ min: 1 }),
    )
    .option(
      '--image-size <pixels>',
      'give a vision model larger or smaller pictures: 336, or height x width',
      imageSize,
    )
    .option(
      '--crop-ratio <share>',
      'share of a picture that is seen (default: as in training, else 0.875)',
      decimalNumber({ above: 0, max: 1 }),
    )
    .option('--newest', 'the newest checkpoint of a run instead of the best')
    .option('--threads <n>', 'CPU threads (default: all cores)', wholeNumber({ min: 1 }))
    .option('--json', 'print one JSON record a line')
    .addHelpText('after', EXAMPLES)
    .action(runClassify);
}

async function runClassify(path: string, files: readonly string[], flags: ClassifyFlags): Promise<void> {
  useThreads(flags.threads);
  const { config } = await findModel(path, { choose: flags.newest ? 'newest' : 'best' });
  refuseStrangers(path, config, flags);
  const run = isImageClassifier(config) ? runClassifyPictures : runClassifyTexts;
  await run(path, files, flags);
}

/** Flags that only models of texts, or only vision models, have a use for. */
function refuseStrangers(path: string, config: ModelConfig, flags: ClassifyFlags): void {
  const isVision = isImageClassifier(config);
  const strange = isVision
    ? ({ text: '--text' } as const)
    : ({ top: '--top', imageSize: '--image-size', cropRatio: '--crop-ratio' } as const);
  const given = Object.entries(strange).find(([name]) => flags[name as keyof ClassifyFlags] !== undefined);
  if (given === undefined) return;
  throw new UsageError(
    `${given[1]} is for models of ${isVision ? 'texts' : 'pictures'}; ${path} is a ${config.kind}`,
  );
}
