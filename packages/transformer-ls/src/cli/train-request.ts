/** What the flags of `train` ask for. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { TrainingConfig } from '@transformer-ls/formats';
import { preset } from '../models/language-model/presets.js';
import { classifierPreset } from '../models/sequence-classifier/presets.js';
import { attentionOverrides, parseOverride, withOverrides } from '../train/overrides.js';
import { recipe, recipeNames } from '../train/recipes.js';
import type { TrainingRequest } from '../train/training.js';
import { corpusSearchFolders, dataFolder } from './data-folder.js';
import { UsageError } from './errors.js';

/** Flags as commander gives them; absent where they were not given. */
export interface TrainFlags {
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
  readonly seeds?: readonly number[];
  /** Whether a classifier is measured at the end; not false by itself. */
  readonly test?: boolean;
  readonly threads?: number;
  readonly device?: string;
  readonly precision?: string;
  readonly initialWeights?: string;
  readonly resume?: string;
  readonly set: readonly string[];
  readonly dataFolder?: string;
  readonly json?: boolean;
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
  return { kind: 'new', config, folder: flags.out ?? freeFolder(titleOf(name, flags)), data };
}

function configOf(
  name: string,
  { model, attention }: TrainFlags,
  overrides: Readonly<Record<string, unknown>>,
  say: (line: string) => void,
): TrainingConfig {
  const base = withModel(recipe(name), model);
  const own = attention === undefined ? { overrides: {}, notes: [] } : attentionOverrides(base, attention);
  const config = withOverrides(base, { ...keptCycle(base, overrides), ...own.overrides, ...overrides });
  // What the user chose himself needs no word.
  for (const { key, line } of own.notes) if (!(key in overrides)) say(line);
  return config;
}

function withModel(base: TrainingConfig, model: string | undefined): TrainingConfig {
  if (model === undefined) return base;
  return base.kind === 'training'
    ? { ...base, model: preset(model) }
    : { ...base, model: classifierPreset(model, base.model.mode) };
}

/** A one-cycle schedule keeps its shape in a longer or shorter run: its warm-up is a share of the steps. */
function keptCycle(
  { schedule, maxSteps }: TrainingConfig,
  { maxSteps: steps }: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  if (schedule.name !== 'one-cycle' || maxSteps === null || typeof steps !== 'number') return {};
  return { 'schedule.warmupSteps': Math.max(1, Math.round((schedule.warmupSteps * steps) / maxSteps)) };
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

function asUsage<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw error instanceof Error && error.name === 'ConfigError' ? new UsageError(error.message) : error;
  }
}
