/** `transformer-ls train`: from flags to a run, shown while it goes on. The training itself is in worker-train.ts. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { attentionNames, type TrainingConfig } from '@transformer-ls/formats';
import { Command, InvalidArgumentError } from 'commander';
import { preset, presetNames } from '../models/language-model/presets.js';
import { classifierPreset, classifierPresetNames } from '../models/sequence-classifier/presets.js';
import { attentionOverrides, parseOverride, withOverrides } from '../train/overrides.js';
import { recipe, recipeNames } from '../train/recipes.js';
import type { TrainingRequest } from '../train/training.js';
import { corpusSearchFolders, dataFolder } from './data-folder.js';
import { UsageError } from './errors.js';
import { decimalNumber, repeated, wholeNumber } from './flags.js';
import { superviseTraining } from './train-supervisor.js';

/** Flags as commander gives them; absent where they were not given. */
interface TrainFlags {
  readonly data?: string;
  readonly from?: string;
  readonly model?: string;
  readonly attention?: string;
  readonly out?: string;
  readonly steps?: number;
  readonly maxTime?: number;
  readonly maxTokens?: number;
  readonly batch?: number;
  readonly segment?: number;
  readonly learningRate?: number;
  readonly seed?: number;
  readonly threads?: number;
  readonly device?: string;
  readonly precision?: string;
  readonly initialWeights?: string;
  readonly resume?: string;
  readonly set: readonly string[];
  readonly dataFolder?: string;
  readonly json?: boolean;
}

const HELP = `
Recipes:
  ${recipeNames.join('\n  ')}

Models for --model: ${presetNames.join(', ')};
of the recipes lra/…: ${classifierPresetNames.join(', ')}.
Mechanisms for --attention (recipes lra/…):
  ${attentionNames.slice(0, 6).join(', ')},
  ${attentionNames.slice(6).join(', ')}
Flags change the recipe; --steps, --max-time and --max-tokens replace all of its limits. Any other setting of config.json:
--set optimizer.beta2=0.98. Ctrl-C saves and says how to go on.

Examples:
  transformer-ls train embedded/quickstart
  transformer-ls train text/small --from notes.txt --max-time 15m
  transformer-ls train wikipedia-100m/small-1h --out runs/wiki --seed 2
  transformer-ls train lra/listops --attention linformer
  transformer-ls train --resume runs/wiki --max-time 2h`;

export function trainCommand(): Command {
  return new Command('train')
    .description('Train a language model by a recipe, or continue a run.')
    .argument('[recipe]', 'what to train on what, how long: one of the recipes below')
    .option('--data <corpus>', 'corpus to train on: enwik8, text8, wikipedia-100m, text, embedded')
    .option('--from <path>', 'file or folder the corpus is made from')
    .option('--model <preset>', `model size: ${presetNames.join(', ')}`)
    .option('--attention <name>', 'how the tokens of a classifier attend to one another: one of those below')
    .option('--out <folder>', 'new folder of the run (default: runs/<recipe>)')
    .option('--steps <n>', 'stop after n updates', wholeNumber({ min: 1 }))
    .option('--max-time <time>', 'stop after this time, such as 90s, 15m, 1.5h', duration)
    .option('--max-tokens <n>', 'stop after n trained tokens, such as 10M', wholeNumber({ min: 1 }))
    .option('--batch <n>', 'lanes trained side by side', wholeNumber({ min: 1 }))
    .option('--segment <n>', 'tokens of a lane in one step', wholeNumber({ min: 1 }))
    .option('--learning-rate <rate>', 'peak learning rate', decimalNumber({ above: 0 }))
    .option('--seed <n>', 'seed of every random choice', wholeNumber())
    .option('--threads <n>', 'CPU threads (default: all cores)', wholeNumber({ min: 1 }))
    .option('--device <device>', 'cpu, cuda or cuda:<n>')
    .option('--precision <type>', 'float32, bfloat16 or float16')
    .option('--initial-weights <path>', 'start from the weights of a run, checkpoint or .safetensors file')
    .option('--resume <folder>', 'continue the run in this folder')
    .option('--set <key=value>', 'change any setting; may be repeated', repeated, [])
    .option('--data-folder <folder>', 'where prepared corpora lie (default: TRANSFORMER_LS_DATA or ./data)')
    .option('--json', 'print one JSON record a line')
    .addHelpText('after', HELP)
    .action(async (name: string | undefined, flags: TrainFlags) => {
      const request = trainingRequest(name, flags, (line) => console.error(line));
      process.exitCode = await superviseTraining(request, {
        json: flags.json ?? false,
        resumeCommand: (folder) => resumeCommand(folder, flags),
      });
    });
}

/** What the flags ask for; `say` gets what they bring about besides. Throws UsageError. */
export function trainingRequest(
  name: string | undefined,
  flags: TrainFlags,
  say: (line: string) => void = () => undefined,
): TrainingRequest {
  const overrides = overridesOf(flags);
  const data = { folder: dataFolder(flags.dataFolder), searchFolders: corpusSearchFolders() };
  if (flags.resume !== undefined) {
    if (name !== undefined)
      throw new UsageError(`expected a recipe or --resume, received ${name} and --resume`);
    if (flags.out !== undefined) throw new UsageError('expected --out or --resume, received both');
    if (flags.model !== undefined)
      throw new UsageError('--model cannot change in a run that is resumed; start a new run');
    if (flags.attention !== undefined)
      throw new UsageError('--attention cannot change in a run that is resumed; start a new run');
    return { kind: 'resume', folder: flags.resume, data, overrides };
  }
  if (name === undefined)
    throw new UsageError(`expected a recipe, one of ${recipeNames.join(', ')}, or --resume <folder>`);
  const config = asUsage(() => configOf(name, flags, overrides, say));
  const title = flags.attention === undefined ? name : `${name}-${flags.attention}`;
  return { kind: 'new', config, folder: flags.out ?? freeFolder(title), data };
}

function configOf(
  name: string,
  { model, attention }: TrainFlags,
  overrides: Readonly<Record<string, unknown>>,
  say: (line: string) => void,
): TrainingConfig {
  const base = withModel(recipe(name), model);
  if (attention === undefined) return withOverrides(base, overrides);
  const own = attentionOverrides(base, attention);
  const config = withOverrides(base, { ...own.overrides, ...overrides });
  // A pooling that the user chose himself needs no word.
  if (own.note !== null && !('model.pooling' in overrides)) say(own.note);
  return config;
}

function withModel(base: TrainingConfig, model: string | undefined): TrainingConfig {
  if (model === undefined) return base;
  return base.kind === 'training'
    ? { ...base, model: preset(model) }
    : { ...base, model: classifierPreset(model, base.model.mode) };
}

/** Dotted key of the configuration → value. */
function overridesOf(flags: TrainFlags): Record<string, unknown> {
  const given: [flag: string, key: string, value: unknown][] = [
    ['--data', 'data.name', flags.data],
    ['--from', 'data.path', flags.from === undefined ? undefined : resolve(flags.from)],
    ['--attention', 'model.attention.name', flags.attention],
    ['--batch', 'batchSize', flags.batch],
    ['--segment', 'segmentLength', flags.segment],
    ['--learning-rate', 'optimizer.learningRate', flags.learningRate],
    ['--seed', 'seed', flags.seed],
    ['--threads', 'threads', flags.threads],
    ['--device', 'device', flags.device],
    ['--precision', 'precision', flags.precision],
    ['--initial-weights', 'initialWeights', flags.initialWeights],
    ...limits(flags),
  ];
  const overrides = new Map<string, { source: string; value: unknown }>();
  const add = (source: string, key: string, value: unknown) => {
    const before = overrides.get(key);
    if (before !== undefined && before.value !== value)
      throw new UsageError(`${before.source} and ${source} disagree about ${key}`);
    overrides.set(key, { source, value });
  };
  for (const [flag, key, value] of given) if (value !== undefined) add(flag, key, value);
  for (const text of flags.set) {
    const [key, value] = asUsage(() => parseOverride(text));
    add(`--set ${text}`, key, value);
  }
  return Object.fromEntries([...overrides].map(([key, { value }]) => [key, value]));
}

/** A limit that is given takes the place of all the recipe has; those not given are lifted. */
function limits({ steps, maxTokens, maxTime }: TrainFlags): [string, string, unknown][] {
  if (steps === undefined && maxTokens === undefined && maxTime === undefined) return [];
  return [
    ['--steps', 'maxSteps', steps ?? null],
    ['--max-tokens', 'maxTokens', maxTokens ?? null],
    ['--max-time', 'maxSeconds', maxTime ?? null],
  ];
}

/** Seconds of `90`, `90s`, `15m`, `1.5h`. */
export function duration(text: string): number {
  const [, digits, unit = 's'] = /^(\d+(?:\.\d+)?)([smhd]?)$/.exec(text.trim()) ?? [];
  const seconds = Number(digits) * ({ s: 1, m: 60, h: 3600, d: 86_400 }[unit] ?? 1);
  if (!(seconds > 0))
    throw new InvalidArgumentError(`Expected a time such as 90s, 15m or 2h, received '${text}'.`);
  return seconds;
}

function freeFolder(name: string): string {
  const base = `runs/${name.replaceAll('/', '-')}`;
  let folder = base;
  for (let count = 2; existsSync(folder); count++) folder = `${base}-${count}`;
  return folder;
}

function resumeCommand(folder: string, { dataFolder: place, json }: TrainFlags): string {
  const words = ['npx transformer-ls train --resume', quoted(folder)];
  if (place !== undefined) words.push('--data-folder', quoted(place));
  if (json === true) words.push('--json');
  return words.join(' ');
}

/** For a shell. */
function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}

function asUsage<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw error instanceof Error && error.name === 'ConfigError' ? new UsageError(error.message) : error;
  }
}
