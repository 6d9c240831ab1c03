/** What the flags of `train` ask for. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageClassifierConfig, TrainingConfig } from '@transformer-ls/formats';
import { preset } from '../models/language-model/presets.js';
import { classifierPreset } from '../models/sequence-classifier/presets.js';
import { parseArchString } from '../models/vil-ls/arch-string.js';
import { vilLsPresetNames } from '../models/vil-ls/presets.js';
import { visionPreset } from '../models/vision/presets.js';
import { CONFIG_NAME } from '../run/run-folder.js';
import { attentionOverrides, type Brought, withOverrides } from '../train/overrides.js';
import { recipe, recipeNames } from '../train/recipes.js';
import type { TrainingRequest } from '../train/training.js';
import { corpusSearchFolders, dataFolder } from './data-folder.js';
import { UsageError } from './errors.js';
import { asUsage, overridesOf, type TrainFlags } from './train-flags.js';

/** What makes a run what it is. */
const FIXED_FLAGS = { model: '--model', arch: '--arch', attention: '--attention' } as const;

/** What the flags ask for; `say` gets what they bring about besides. Throws UsageError. */
export function trainingRequest(
  name: string | undefined,
  flags: TrainFlags,
  say: (line: string) => void = () => undefined,
): TrainingRequest {
  const data = { folder: dataFolder(flags.dataFolder), searchFolders: corpusSearchFolders() };
  if (flags.resume !== undefined) {
    if (name !== undefined)
      throw new UsageError(`expected a recipe or --resume, received ${name} and --resume`);
    if (flags.out !== undefined) throw new UsageError('expected --out or --resume, received both');
    for (const [key, flag] of Object.entries(FIXED_FLAGS))
      if (flags[key as keyof TrainFlags] !== undefined)
        throw new UsageError(`${flag} cannot change in a run that is resumed; start a new run`);
    const overrides = overridesOf(flags, kindOfRun(flags.resume), false);
    return { kind: 'resume', folder: flags.resume, data, overrides };
  }
  if (name === undefined)
    throw new UsageError(`expected a recipe, one of ${recipeNames.join(', ')}, or --resume <folder>`);
  const base = asUsage(() => withModel(recipe(name), flags));
  const overrides = overridesOf(flags, base.kind, true);
  const config = asUsage(() => configOf(base, flags, overrides, say));
  const folder = flags.out ?? freeFolder(titleOf(name, flags));
  const classesFromData = !('model.classes' in overrides);
  return { kind: 'new', config, folder, data, classesFromData };
}

/** What kind of run lies in a folder; that of a language model where there is none, which is found out later. */
function kindOfRun(folder: string): TrainingConfig['kind'] {
  try {
    const { kind } = JSON.parse(readFileSync(join(folder, CONFIG_NAME), 'utf8'));
    return kind === 'image-training' || kind === 'classifier-training' ? kind : 'training';
  } catch {
    return 'training';
  }
}

function configOf(
  base: TrainingConfig,
  flags: TrainFlags,
  overrides: Readonly<Record<string, unknown>>,
  say: (line: string) => void,
): TrainingConfig {
  const { attention } = flags;
  const own = attention === undefined ? { overrides: {}, notes: [] } : attentionOverrides(base, attention);
  refuseTwoAttentions(own.overrides, overrides, flags);
  const precision = precisionOf(base, overrides);
  const config = withOverrides(base, {
    ...keptCycle(base, overrides),
    ...precision.overrides,
    ...own.overrides,
    ...overrides,
  });
  // What the user chose himself needs no word.
  for (const { key, line } of [...own.notes, ...precision.notes]) if (!(key in overrides)) say(line);
  return config;
}

/** The first of what a flag brings about is what it says itself. */
function refuseTwoAttentions(
  own: Readonly<Record<string, unknown>>,
  overrides: Readonly<Record<string, unknown>>,
  { set }: TrainFlags,
): void {
  const [key] = Object.keys(own);
  if (key === undefined || !(key in overrides) || overrides[key] === own[key]) return;
  const text = set.find((one) => one.startsWith(`${key}=`));
  throw new UsageError(`--attention and --set ${text} disagree about ${key}`);
}

/** Recipes for GPUs that are run on the CPU. */
function precisionOf({ precision }: TrainingConfig, { device }: Readonly<Record<string, unknown>>): Brought {
  if (device !== 'cpu' || precision !== 'float16') return { overrides: {}, notes: [] };
  const line = 'the CPU does not train in float16: precision is float32';
  return { overrides: { precision: 'float32' }, notes: [{ key: 'precision', line }] };
}

function withModel(base: TrainingConfig, { model, arch, imageSize }: TrainFlags): TrainingConfig {
  if (base.kind === 'image-training') return withVisionModel(base, model, arch, imageSize);
  if (model === undefined) return base;
  return base.kind === 'training'
    ? { ...base, model: preset(model) }
    : { ...base, model: classifierPreset(model, base.model.mode) };
}

function withVisionModel(
  base: Extract<TrainingConfig, { kind: 'image-training' }>,
  name: string | undefined,
  arch: string | undefined,
  imageSize: number | undefined,
): TrainingConfig {
  const model = name === undefined ? base.model : otherModel(base.model.mode, name, imageSize);
  if (arch === undefined) return { ...base, model };
  if (model.kind !== 'vil-ls') throw new UsageError(`--arch is for ViL-LS; ${model.kind} has other stages`);
  return { ...base, model: { ...model, stages: parseArchString(arch, model.mode) } };
}

/** In the recipe's mode, where it has it. */
function otherModel(
  mode: 'reference' | 'consistent',
  name: string,
  imageSize: number | undefined,
): ImageClassifierConfig {
  const size = imageSize === undefined ? {} : { imageSize };
  return visionPreset(name, vilLsPresetNames.some((one) => one === name) ? { mode, ...size } : size);
}

/** A one-cycle schedule keeps its shape in a longer or shorter run: its warm-up is a share of the steps. */
function keptCycle(
  { schedule, maxSteps }: TrainingConfig,
  { maxSteps: steps }: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  if (schedule.name !== 'one-cycle' || maxSteps === null || typeof steps !== 'number') return {};
  return { 'schedule.warmupSteps': Math.max(1, Math.round((schedule.warmupSteps * steps) / maxSteps)) };
}

/** What a run is called: its recipe, and the mechanism where that was chosen. */
export function titleOf(name: string, { attention }: TrainFlags): string {
  return attention === undefined ? name : `${name}-${attention}`;
}

/** Where the runs of a recipe lie unless the user says otherwise. */
export function usualFolder(name: string): string {
  return `runs/${name.replaceAll('/', '-')}`;
}

function freeFolder(name: string): string {
  const base = usualFolder(name);
  let folder = base;
  for (let count = 2; existsSync(folder); count++) folder = `${base}-${count}`;
  return folder;
}
