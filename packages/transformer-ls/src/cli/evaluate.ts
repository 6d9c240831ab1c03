/** `transformer-ls evaluate`: bits per character on held-out text; classifiers and vision models in files of their own. */
import { join } from 'node:path';
import { isImageClassifier } from '@transformer-ls/formats';
import { Command, Option } from 'commander';
import type { ByteCorpus, SplitName } from '../data/byte-corpus.js';
import { splitNames } from '../data/byte-corpus.js';
import { corpusDescriptor } from '../data/corpora.js';
import { openCorpus } from '../data/prepare.js';
import { compressorScores } from '../evaluate/compressors.js';
import { contextCurve } from '../evaluate/context.js';
import { imagenetTests } from '../evaluate/imagenet-tests.js';
import {
  defaultBlockLength,
  evaluateLanguageModel,
  publishedMemoryLength,
} from '../evaluate/language-model.js';
import { type Evaluated, evaluationChart, evaluationRecord, evaluationTable } from '../evaluate/report.js';
import { type LoadedLanguageModel, loadLanguageModel } from '../models/language-model/weights.js';
import { replaceFile } from '../run/durable.js';
import { nodeFileSystem } from '../run/file-system.js';
import { writeJson } from '../run/json.js';
import { formatDuration, formatInteger, formatRate } from '../text/numbers.js';
import { findModel, type ModelConfig } from '../weights/model-place.js';
import { corpusSearchFolders, dataFolder } from './data-folder.js';
import { exitCodes, UsageError } from './errors.js';
import { runEvaluateClassifier } from './evaluate-classifier.js';
import { type ImageFlags, runEvaluateImages } from './evaluate-images.js';
import { decimalNumber, imageSize, wholeNumber } from './flags.js';
import { interruptible } from './interrupt.js';
import { StatusLine } from './status-line.js';
import { useThreads } from './threads.js';

interface EvaluateFlags extends Omit<ImageFlags, 'split' | 'json'> {
  readonly split: SplitName;
  readonly data?: string;
  readonly from?: string;
  readonly dataFolder?: string;
  readonly block?: number;
  readonly memory: number | 'trained';
  readonly maxTokens?: number;
  readonly contextChart?: boolean;
  readonly newest?: boolean;
  readonly threads?: number;
  readonly compressors: boolean;
  readonly out?: string;
  readonly json?: boolean;
}

export const EVALUATION_NAME = 'evaluation.json';
export const EVALUATION_CHART_NAME = 'evaluation.svg';

const EXAMPLES = `
The published protocol: the whole split as one stream, ${publishedMemoryLength} tokens of memory, 255 of every 256 tokens scored.

Examples:
  transformer-ls evaluate runs/first
  transformer-ls evaluate runs/first --memory trained
  transformer-ls evaluate runs/first --split valid --max-tokens 100k
  transformer-ls evaluate runs/first --context-chart
  transformer-ls evaluate runs/first/checkpoints/step-00001000 --data wikipedia-100m --json
  transformer-ls evaluate models/vil-ls-medium --data imagenet/ --benchmark imagenet
  transformer-ls evaluate models/vil-ls-medium --data imagenet-c/ --benchmark c
  transformer-ls evaluate models/vil-ls-medium --data photos/ --image-size 336 --pictures 500`;

export function evaluateCommand(): Command {
  return new Command('evaluate')
    .description(
      'Measure a language model (bits per character on held-out text, beside gzip -9 and xz -9e), a classifier (accuracy) or a vision model (top-1 and top-5).',
    )
    .argument('<model>', 'run, checkpoint or model folder, weight file, or the name of a shipped model')
    .addOption(new Option('--split <name>', 'part of the corpus').choices(splitNames).default('test'))
    .option('--data <corpus>', "corpus, or folder or archive of pictures (default: the run's own)")
    .option('--from <path>', "file or folder of the corpus, as for 'prepare'")
    .option('--data-folder <folder>', 'where prepared corpora lie (default: TRANSFORMER_LS_DATA or ./data)')
    .option(
      '--block <tokens>',
      'tokens fed at once (default: 256 in reference mode, 1024 in consistent mode)',
      wholeNumber({ min: 1 }),
    )
    .option(
      '--memory <tokens>',
      "tokens of memory; 'trained': as many as the model was trained with, which is faster",
      memoryFlag,
      publishedMemoryLength,
    )
    .option('--max-tokens <n>', 'only the first n tokens of the split', wholeNumber({ min: 1 }))
    .option('--context-chart', 'also measure bits per character against context length, and draw it')
    .addOption(
      new Option(
        '--benchmark <name>',
        'published test of ImageNet models, with its folder as --data',
      ).choices(imagenetTests),
    )
    .option('--labels <file>', 'real.json of ImageNet-Real (default: in or beside --data)')
    .option(
      '--image-size <pixels>',
      'give a vision model larger or smaller pictures than it was trained on',
      imageSize,
    )
    .option(
      '--crop-ratio <share>',
      'share of the short side that is seen (default: as in training, else 0.875)',
      decimalNumber({ above: 0, max: 1 }),
    )
    .option('--pictures <n>', 'only n pictures, spread evenly', wholeNumber({ min: 1 }))
    .option('--batch <n>', 'pictures of one forward pass (default: 16)', wholeNumber({ min: 1 }))
    .option(
      '--loader-threads <n>',
      'threads that read pictures (default: 1)',
      wholeNumber({ min: 0, max: 64 }),
    )
    .option('--device <device>', 'cpu or cuda, for vision models (default: cpu)')
    .option('--threads <n>', 'CPU threads (default: all cores)', wholeNumber({ min: 1 }))
    .option('--newest', 'the newest checkpoint of a run instead of the best')
    .option('--no-compressors', 'leave gzip and xz out')
    .option('--out <folder>', 'where to write the results (default: the run or model folder)')
    .option('--json', 'print the record as JSON')
    .addHelpText('after', EXAMPLES)
    .action(runEvaluate);
}

function memoryFlag(text: string): number | 'trained' {
  return text === 'trained' ? text : wholeNumber({ min: 0 })(text);
}

async function runEvaluate(path: string, flags: EvaluateFlags): Promise<void> {
  const interrupt = interruptible();
  try {
    useThreads(flags.threads);
    const { config } = await findModel(path, { choose: flags.newest ? 'newest' : 'best' });
    refuseStrangers(path, config, flags);
    if (config.kind !== 'language-model') {
      const run = config.kind === 'sequence-classifier' ? runEvaluateClassifier : runEvaluateImages;
      if (await run(path, flags, interrupt.signal)) return;
      console.error('transformer-ls evaluate: interrupted; nothing was written');
      process.exitCode = exitCodes.interrupted;
      return;
    }
    const loaded = await loadLanguageModel(path, {
      override: flags.memory === 'trained' ? {} : { memoryLength: flags.memory },
      choose: flags.newest ? 'newest' : 'best',
    });
    for (const line of loaded.skipped) console.error(`transformer-ls evaluate: passed over ${line}`);
    const corpus = await openData(loaded, flags);
    if (!flags.json) console.error(startLine(loaded, corpus) + memoryHint(loaded, flags));
    const evaluated = await evaluate(path, loaded, corpus, flags, interrupt.signal);
    corpus.close();
    await report(evaluated, loaded, flags, interrupt.signal);
  } finally {
    interrupt.end();
  }
}

/** Flags that only one kind of model has a use for. */
const FOR_LANGUAGE_MODELS = {
  block: '--block',
  maxTokens: '--max-tokens',
  contextChart: '--context-chart',
} as const;
const FOR_VISION_MODELS = {
  benchmark: '--benchmark',
  labels: '--labels',
  imageSize: '--image-size',
  cropRatio: '--crop-ratio',
  pictures: '--pictures',
  batch: '--batch',
  loaderThreads: '--loader-threads',
  device: '--device',
} as const;

function refuseStrangers(path: string, config: ModelConfig, flags: EvaluateFlags): void {
  const given = (names: Readonly<Record<string, string>>) =>
    Object.entries(names).find(([name]) => flags[name as keyof EvaluateFlags] !== undefined)?.[1];
  const language = config.kind === 'language-model' ? undefined : given(FOR_LANGUAGE_MODELS);
  const vision = isImageClassifier(config) ? undefined : given(FOR_VISION_MODELS);
  if (language !== undefined)
    throw new UsageError(`${language} is for language models; ${path} is a ${config.kind}`);
  if (vision !== undefined)
    throw new UsageError(`${vision} is for vision models; ${path} is a ${config.kind}`);
}

function startLine({ weightsPath }: LoadedLanguageModel, corpus: ByteCorpus): string {
  return `evaluating ${weightsPath} on ${corpus.name} ${corpus.split}: ${formatInteger(corpus.length)} bytes`;
}

/** A model that has never seen such distances often does worse with them, and each token costs more. */
function memoryHint({ training, model }: LoadedLanguageModel, flags: EvaluateFlags): string {
  const trained = training?.model.memoryLength;
  if (trained === undefined || flags.memory === 'trained' || trained >= model.config.memoryLength) return '';
  const [used, seen] = [model.config.memoryLength, trained].map(formatInteger);
  return `\n${used} tokens of memory (the published protocol); it was trained with ${seen}: --memory trained is faster and may be better`;
}

async function openData({ training }: LoadedLanguageModel, flags: EvaluateFlags): Promise<ByteCorpus> {
  const own = training?.data;
  const name = flags.data ?? own?.name;
  if (name === undefined)
    throw new UsageError('expected --data <corpus>, since these weights do not lie in a run that names one');
  const from = flags.from ?? (name === own?.name ? (own.path ?? undefined) : undefined);
  return openCorpus(name, flags.split, {
    folder: dataFolder(flags.dataFolder),
    from,
    searchFolders: corpusSearchFolders(),
  });
}

async function evaluate(
  path: string,
  { model, vocabulary, step }: LoadedLanguageModel,
  corpus: ByteCorpus,
  flags: EvaluateFlags,
  signal: AbortSignal,
): Promise<Evaluated> {
  const status = new StatusLine(process.stderr);
  const scores = await evaluateLanguageModel(model, corpus, vocabulary, {
    blockLength: flags.block ?? defaultBlockLength(model.config.mode),
    maxTokens: flags.maxTokens,
    signal,
    onProgress: ({ tokens, total, bpc, seconds }) => {
      status.show(`${progressText(tokens, total, seconds)}   bpc ${bpc.toFixed(3)}`);
    },
  });
  const context =
    flags.contextChart && !signal.aborted
      ? await contextCurve(model, corpus, vocabulary, {
          signal,
          onProgress: ({ tokens, total, seconds }) => {
            status.show(`context chart: ${progressText(tokens, total, seconds)}`);
          },
        })
      : null;
  const bytes = Math.min(corpus.length, scores.tokens + 1);
  if (flags.compressors && !signal.aborted) status.show('gzip -9 and xz -9e of the same text');
  const compressors = flags.compressors && !signal.aborted ? await compressorScores(corpus, bytes) : [];
  status.clear();
  return {
    model: {
      path,
      step: step ?? null,
      parameters: model.countParameters(),
      mode: model.config.mode,
      memoryLength: model.config.memoryLength,
    },
    data: {
      name: corpus.name,
      split: corpus.split,
      bytes: corpus.length,
      sha256: corpus.fingerprint ?? null,
      note: corpusDescriptor(corpus.name).notToBeReportedAs,
    },
    scores,
    compressors,
    context,
  };
}

function progressText(tokens: number, total: number, seconds: number): string {
  const share = `${formatInteger(tokens)}/${formatInteger(total)} tokens (${Math.floor((100 * tokens) / total)}%)`;
  const rest = ((total - tokens) * seconds) / tokens;
  return `${share}   ${formatRate(tokens / seconds, 'tok')}   ETA ${formatDuration(rest)}`;
}

async function report(
  evaluated: Evaluated,
  loaded: LoadedLanguageModel,
  flags: EvaluateFlags,
  signal: AbortSignal,
): Promise<void> {
  const text = writeJson(evaluationRecord(evaluated, new Date()));
  process.stdout.write(flags.json ? text : `${evaluationTable(evaluated)}\n`);
  if (signal.aborted) {
    console.error('transformer-ls evaluate: interrupted; nothing was written');
    process.exitCode = exitCodes.interrupted;
    return;
  }
  const folder = flags.out ?? loaded.results;
  if (folder === undefined) return;
  await nodeFileSystem.makeFolder(folder);
  const written = [await writeFile(join(folder, EVALUATION_NAME), text)];
  if (evaluated.context !== null)
    written.push(await writeFile(join(folder, EVALUATION_CHART_NAME), evaluationChart(evaluated)));
  if (!flags.json) console.log(`wrote ${written.join(' and ')}`);
}

async function writeFile(path: string, text: string): Promise<string> {
  await replaceFile(nodeFileSystem, path, [new TextEncoder().encode(text)]);
  return path;
}
