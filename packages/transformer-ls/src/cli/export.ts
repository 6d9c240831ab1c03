/** `transformer-ls export`: a model as ONNX files that run without libtorch, or as one folder of weights to pass on. */
import { basename, resolve } from 'node:path';
import { isImageClassifier } from '@transformer-ls/formats';
import { Command, Option } from 'commander';
import { type ExportReport, exportModel } from '../export/export.js';
import { strangersIn } from '../export/export-folder.js';
import type { Exportable } from '../export/exportable.js';
import { exportableImageClassifier } from '../export/image-classifier.js';
import { exportableLanguageModel } from '../export/language-model.js';
import { exportModelFolder } from '../export/model-folder.js';
import type { WeightType } from '../export/stored-weights.js';
import { exportableTextClassifier } from '../export/text-classifier.js';
import type { ImageSize } from '../import/said.js';
import { loadLanguageModel } from '../models/language-model/weights.js';
import { loadClassifier } from '../models/sequence-classifier/weights.js';
import { resizedText } from '../models/vil-ls/resolution.js';
import { loadImageClassifier } from '../models/vision/weights.js';
import { digestFile } from '../run/durable.js';
import { nodeFileSystem } from '../run/file-system.js';
import { formatBytes, formatInteger } from '../text/numbers.js';
import { findModel, type ModelPlace } from '../weights/model-place.js';
import { UsageError } from './errors.js';
import { imageSize, wholeNumber } from './flags.js';
import { makeOutputFolder } from './output-folder.js';
import { useThreads } from './threads.js';
import { readVersion } from './version.js';

interface ExportFlags {
  readonly out: string;
  readonly format: 'onnx' | 'safetensors';
  readonly weights: WeightType;
  readonly name?: string;
  readonly imageSize?: ImageSize;
  readonly newest?: boolean;
  readonly threads?: number;
  readonly json?: boolean;
}

const EXAMPLES = `
Writes ONNX graphs (opset 18), their weights and a manifest. Real runs of several sizes are recorded; before it is done, what was written
is compared with libtorch on fresh inputs, and the report is kept in the manifest. With --format safetensors it writes weights,
configuration and names of classes as one folder, which every command takes in place of a run. An earlier export in the folder is
replaced; a folder that holds anything else is refused.

Examples:
  transformer-ls export runs/first --out exported/first
  transformer-ls export models/film-reviews --out exported/reviews --weights float16
  transformer-ls export runs/pictures --out exported/pictures --name pictures
  transformer-ls export runs/first --out models/first --format safetensors --weights float16
  transformer-ls export models/vil-ls-medium --out exported/vil-ls-336 --image-size 336`;

export function exportCommand(): Command {
  return new Command('export')
    .description(
      'Write a trained model as ONNX, to run in Node or in a browser without libtorch, or as one folder to pass on.',
    )
    .argument('<model>', 'run, checkpoint or model folder, or a weight file')
    .requiredOption('--out <folder>', 'folder to write to: new, empty, or with an earlier export')
    .addOption(
      new Option('--format <format>', 'graphs for every engine, or a model folder for these commands')
        .choices(['onnx', 'safetensors'])
        .default('onnx'),
    )
    .addOption(
      new Option('--weights <type>', 'how weights are stored')
        .choices(['float32', 'float16', 'int8'])
        .default('float32'),
    )
    .option('--name <name>', 'what the model is called (default: the name of its folder)')
    .option(
      '--image-size <pixels>',
      'for larger or smaller pictures than a vision model was trained on: 336, or height x width',
      imageSize,
    )
    .option('--newest', 'the newest checkpoint of a run instead of the best')
    .option('--threads <n>', 'CPU threads (default: all cores)', wholeNumber({ min: 1 }))
    .option('--json', 'print the report as one JSON object')
    .addHelpText('after', EXAMPLES)
    .action(runExport);
}

async function runExport(path: string, flags: ExportFlags): Promise<void> {
  if (flags.format === 'safetensors') return runModelFolder(path, flags);
  useThreads(flags.threads);
  const [stranger] = await strangersIn(flags.out);
  if (stranger !== undefined)
    throw new UsageError(
      `${flags.out}: expected a new or empty folder or an earlier export, found ${stranger}`,
    );
  const place = await findModel(path, { choose: flags.newest ? 'newest' : 'best' });
  if (flags.imageSize !== undefined && !isImageClassifier(place.config))
    throw new UsageError(`--image-size is for models of pictures; ${path} is a ${place.config.kind}`);
  for (const line of place.skipped) console.error(`transformer-ls export: passed over ${line}`);
  const exportable = await exportableOf(path, place, flags);
  try {
    const folder = await makeOutputFolder(flags.out);
    const report = await exportModel(exportable, folder, {
      name: flags.name ?? nameOf(path),
      weights: flags.weights,
      provenance: await provenanceOf(path, place),
      version: readVersion(),
      onProgress: (line) => console.error(`transformer-ls export: ${line}`),
    });
    if (flags.json) console.log(JSON.stringify({ folder, ...report }));
    else console.log(described(report, folder));
  } finally {
    exportable.model.dispose();
  }
}

async function runModelFolder(path: string, { out, weights, newest, name, imageSize, json }: ExportFlags) {
  if (weights === 'int8')
    throw new UsageError('--weights int8 is for --format onnx; safetensors are float32 or float16');
  for (const [flag, value] of Object.entries({ '--name': name, '--image-size': imageSize }))
    if (value !== undefined) throw new UsageError(`${flag} is for --format onnx`);
  const place = await findModel(path, { choose: newest ? 'newest' : 'best' });
  for (const line of place.skipped) console.error(`transformer-ls export: passed over ${line}`);
  const report = await exportModelFolder(place, out, weights, await provenanceOf(path, place));
  if (json) return console.log(JSON.stringify({ folder: out, ...report }));
  const { parameters, files, largestChange } = report;
  const change =
    largestChange === 0 ? 'as they were' : `off by at most ${percent(largestChange)} of the largest`;
  console.log(`${out}: ${place.config.kind}, ${formatInteger(parameters)} weights, ${change}
  ${files.join(', ')}`);
}

async function exportableOf(
  path: string,
  { config }: ModelPlace,
  { newest, imageSize }: ExportFlags,
): Promise<Exportable> {
  const options = { choose: newest ? 'newest' : 'best' } as const;
  switch (config.kind) {
    case 'language-model': {
      const { model, vocabulary } = await loadLanguageModel(path, options);
      return exportableLanguageModel(model, vocabulary);
    }
    case 'sequence-classifier':
      return exportableTextClassifier(await loadClassifier(path, options));
    default: {
      const loaded = await loadImageClassifier(path, { ...options, imageSize });
      const { imageHeight, imageWidth } = loaded.config;
      for (const table of loaded.resized)
        console.error(`interpolated for ${imageHeight} x ${imageWidth}: ${resizedText(table)}`);
      return exportableImageClassifier(loaded);
    }
  }
}

/** Of a weight file without its ending. */
function nameOf(path: string): string {
  return basename(resolve(path)).replace(/(?<=.)\.safetensors$/, '');
}

async function provenanceOf(path: string, { step, training, weightsPath }: ModelPlace) {
  return {
    source: basename(resolve(path)),
    step: step ?? null,
    weightsSha256: (await digestFile(nodeFileSystem, weightsPath)).sha256,
    data: training?.data.name ?? null,
    exported: `${new Date().toISOString().slice(0, 10)} by transformer-ls ${readVersion()}`,
  };
}

function described({ manifest, comparisons, bytes }: ExportReport, folder: string): string {
  const files = manifest.files.map((file) => `  ${file.name.padEnd(16)} ${formatBytes(file.bytes)}`);
  return [
    `${folder}: ${manifest.kind} ${manifest.name}, ${formatBytes(bytes)}, weights in ${manifest.weights}`,
    ...files,
    errorText(manifest),
    ...comparisons.map(({ text }) => `  ${text}`),
  ].join('\n');
}

function errorText({ weights, check: { largestError } }: ExportReport['manifest']): string {
  if (weights === 'float32')
    return `beside libtorch, largest difference over the largest number of a result (at most ${largestError.toExponential(1)}):`;
  return `beside libtorch with float32 weights, the graphs with ${weights} weights are off by at most ${percent(largestError)} of the largest number of a result:`;
}

function percent(share: number): string {
  return `${Number((100 * share).toPrecision(2))} %`;
}
