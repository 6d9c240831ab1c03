/** Changes to a configuration by dotted keys, such as `optimizer.learningRate`. */
import {
  type AttentionName,
  attentionNames,
  ConfigError,
  classifierTrainingSchema,
  closestName,
  describe,
  languageModelTrainingSchema,
  parseConfig,
  type TrainingConfig,
  takesClassToken,
  trainingSchema,
} from '@transformer-ls/formats';
import { unknownName } from '../models/language-model/presets.js';

const FIXED_KEYS = ['kind', 'model.kind', 'recipe'];

/** Keys of a run of this kind that take a value: fields, without the objects around them. */
export function configKeys(kind: TrainingConfig['kind'] = 'training'): string[] {
  const schema = kind === 'training' ? languageModelTrainingSchema : classifierTrainingSchema;
  const paths = describe(schema).map(({ path }) => path);
  const isObject = (path: string) => paths.some((other) => other.startsWith(`${path}.`));
  return paths.filter((path) => !isObject(path) && !FIXED_KEYS.includes(path));
}

/**
 * The configuration with some values replaced; everything is checked again together.
 *
 * Throws ConfigError for unknown keys (with the nearest one) and for values that do not fit.
 */
export function withOverrides(
  config: TrainingConfig,
  overrides: Readonly<Record<string, unknown>>,
): TrainingConfig {
  const changed: Record<string, unknown> = structuredClone(config);
  for (const [key, value] of Object.entries(overrides)) {
    requireKey(key, config.kind);
    const parts = key.split('.');
    const last = parts.pop()!;
    const holder = parts.reduce((at, part) => at[part] as Record<string, unknown>, changed);
    holder[last] = value;
  }
  return parseConfig(trainingSchema, changed);
}

export interface AttentionOverrides {
  readonly overrides: Readonly<Record<string, unknown>>;
  /** What changes besides the mechanism: the setting, and a line for the user. */
  readonly notes: readonly { readonly key: string; readonly line: string }[];
}

/** Sizes of the published comparison where they are not those of long-short attention. */
const publishedSizes: Partial<Record<AttentionName, readonly [key: string, value: number]>> = {
  linformer: ['model.attention.projectionRank', 256],
  nystromformer: ['model.attention.landmarks', 128],
};

/**
 * What another attention changes: its name, its size as published, and the pooling where the mechanism takes no class token.
 *
 * Throws ConfigError for a name that does not exist, and for language models, whose attention is causal.
 */
export function attentionOverrides(config: TrainingConfig, name: string): AttentionOverrides {
  if (config.kind !== 'classifier-training')
    throw new ConfigError([
      `--attention is for classifiers such as lra/listops; ${config.recipe} trains a language model`,
    ]);
  if (!isAttentionName(name)) throw unknownName('attention', name, attentionNames);
  const overrides: Record<string, unknown> = { 'model.attention.name': name };
  const notes: { key: string; line: string }[] = [];
  const change = (key: string, value: unknown, line: string) => {
    overrides[key] = value;
    notes.push({ key, line });
  };
  const { pooling } = config.model;
  if (!takesClassToken(name) && pooling.startsWith('class-token'))
    change(
      'model.pooling',
      'mean',
      `${name} attention takes no class token: pooling is mean instead of ${pooling}`,
    );
  const size = publishedSizes[name];
  if (size !== undefined)
    change(size[0], size[1], `${name} attention: ${size[0]} is ${size[1]}, as published`);
  return { overrides, notes };
}

function isAttentionName(name: string): name is AttentionName {
  return attentionNames.some((one) => one === name);
}

function requireKey(key: string, kind: TrainingConfig['kind']): void {
  const keys = configKeys(kind);
  if (keys.includes(key)) return;
  const near = closestName(key, keys) ?? keys.find((one) => one.endsWith(`.${key}`));
  const hint = near === undefined ? `expected one of ${keys.join(', ')}` : `did you mean ${near}?`;
  throw new ConfigError([`there is no setting ${JSON.stringify(key)}, ${hint}`]);
}

/** `key=value`, the value as JSON where it is (numbers, true, null), else as text. Throws ConfigError. */
export function parseOverride(text: string): [key: string, value: unknown] {
  const at = text.indexOf('=');
  if (at < 1) throw new ConfigError([`expected key=value, received ${JSON.stringify(text)}`]);
  const [key, value] = [text.slice(0, at), text.slice(at + 1)];
  try {
    return [key, JSON.parse(value)];
  } catch {
    return [key, value];
  }
}
