/** `transformer-ls import`: weights that PyTorch programs have saved become a model folder. */
import { Command, Option } from 'commander';
import { type ImportedModel, importModel } from '../import/import.js';
import type { ImageSize } from '../import/said.js';
import { formatBytes, formatCount, formatInteger } from '../text/numbers.js';
import { parseOverride } from '../train/overrides.js';
import { UsageError } from './errors.js';
import { imageSize, repeated } from './flags.js';
import { layoutText } from './layout-text.js';

interface ImportFlags {
  readonly out: string;
  readonly arch?: string;
  readonly imageSize?: ImageSize;
  readonly preset?: string;
  readonly set: readonly string[];
  readonly dictionary?: string;
  readonly dtype: 'stored' | 'float32';
  readonly force?: boolean;
  readonly json?: boolean;
}

const EXAMPLES = `
Nothing in the file is run. Names and shapes must be exactly those of the model; all that differ are listed. The published files do not
say everything: windows and heads of Long Range Arena files come from --preset or --set, images of models that do not depend on
their size from --image-size, the rest from the shapes; what was inferred is said.

Examples:
  transformer-ls import vil-ls-medium-224.pth --out models/vil-ls-medium
  transformer-ls import text.model --preset lra-text --out models/text
  transformer-ls import checkpoint_best.pt --dictionary dict.txt --out models/enwik8
  transformer-ls import other.pth --set heads=4 --set attention.windowSize=16 --out models/other`;

export function importCommand(): Command {
  return new Command('import')
    .description(
      'Turn a checkpoint of the published PyTorch code (.pth, .pt) into a model folder: safetensors and config.',
    )
    .argument('<file>', 'file of torch.save, in the zip or the legacy format')
    .requiredOption('--out <folder>', 'model folder to write')
    .option(
      '--arch <string>',
      'stages of ViL-LS, such as l1,h3,d96,n1,s1,g1,p4,f7,a0,r8_l2,…; compared with the file',
    )
    .option(
      '--image-size <pixels>',
      'images the model was trained on: 224, or height x width as 256x320',
      imageSize,
    )
    .option('--preset <name>', 'sizes that the file does not say: lra-text, enwik8-base, …')
    .option(
      '--set <key=value>',
      'one of them: heads=2, attention.windowSize=8, pooling=mean, …',
      repeated,
      [],
    )
    .option('--dictionary <file>', "fairseq's dict.txt of the training, for language models")
    .addOption(
      new Option('--dtype <type>', 'numbers on disk: as stored (half precision stays), or widened')
        .choices(['stored', 'float32'])
        .default('stored'),
    )
    .option('--force', 'replace a model that lies at --out')
    .option('--json', 'print a JSON record')
    .addHelpText('after', EXAMPLES)
    .action(runImport);
}

async function runImport(path: string, flags: ImportFlags): Promise<void> {
  const { out, arch, preset, dictionary, dtype, force = false, json } = flags;
  const said = { arch, imageSize: flags.imageSize, preset, settings: settingsOf(flags.set) };
  const imported = await importModel({ path, out, said, dictionary, dtype, force });
  process.stdout.write(
    json ? `${JSON.stringify(recordOf(path, out, imported), null, 2)}\n` : described(path, out, imported),
  );
}

function settingsOf(set: readonly string[]): Record<string, unknown> {
  try {
    return Object.fromEntries(set.map(parseOverride));
  } catch (error) {
    throw new UsageError(`--set: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function recordOf(
  path: string,
  out: string,
  { config, source, state, notes, parameters, dtypes, files }: ImportedModel,
) {
  const { layout, kind, container, prefix, tensors } = state;
  return {
    file: path,
    out,
    bytes: source.size,
    sha256: source.sha256,
    layout: { name: layout, kind, container, prefix },
    tensors: tensors.size,
    parameters,
    dtypes,
    notes,
    files,
    config,
  };
}

function described(path: string, out: string, imported: ImportedModel): string {
  const { config, source, state, notes, parameters, dtypes, files } = imported;
  const rows: [string, string][] = [
    ['file', `${path}, ${formatBytes(source.size)}`],
    ['SHA-256', source.sha256],
    ['layout', layoutText(state)],
    ...notes.map((note, i): [string, string] => [i === 0 ? 'inferred' : '', note]),
    [
      'model',
      `${config.kind}, ${formatCount(parameters)} parameters (${formatInteger(parameters)}) in ${state.tensors.size} tensors, ${dtypes.join(' and ')}`,
    ],
    ['wrote', `${out}: model.safetensors, config.json, ${files.join(', ')}`],
  ];
  return rows
    .map(([name, value]) => `  ${name.padEnd(8)} ${value}\n`.replace(/[^\P{Cc}\n]+/gu, ' '))
    .join('');
}
