/** Changes to a configuration by dotted keys, such as `optimizer.learningRate`. */
import {
  type AttentionName,
  attentionNames,
  ConfigError,
  classifierTrainingSchema,
  closestName,
  describe,
  type ImageTrainingConfig,
  imageClassifierSchemas,
  imageTrainingSchema,
  languageModelTrainingSchema,
  parseConfig,
  type TrainingConfig,
  takesClassToken,
  trainingSchema,
} from '@transformer-ls/formats';
import { unknownName } from '../models/language-model/presets.js';

const FIXED_KEYS = ['kind', 'model.kind', 'recipe'];

/** Keys of such a run that take a value: fields, without the objects around them. */
export function configKeys(config: TrainingConfig): string[] {
  const paths = fieldPaths(config);
  const isObject = (path: string) => paths.some((other) => other.startsWith(`${path}.`));
  return paths.filter((path) => !isObject(path) && !FIXED_KEYS.includes(path));
}

function fieldPaths(config: TrainingConfig): string[] {
  const paths = (schema: Parameters<typeof describe>[0], prefix = '') =>
    describe(schema, prefix).map(({ path }) => path);
  switch (config.kind) {
    case 'training':
      return paths(languageModelTrainingSchema);
    case 'classifier-training':
      return paths(classifierTrainingSchema);
    case 'image-training':
      // Which fields the model has depends on its kind.
      return [...paths(imageTrainingSchema), ...paths(imageClassifierSchemas[config.model.kind], 'model.')];
  }
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
  const keys = configKeys(config);
  for (const [key, value] of Object.entries(withoutEpochs(config, overrides))) {
    requireKey(key, keys);
    const parts = key.split('.');
    const last = parts.pop()!;
    const holder = parts.reduce((at, part) => at[part] as Record<string, unknown>, changed);
    holder[last] = value;
  }
  return parseConfig(trainingSchema, changed);
}

/** maxSteps follows from maxEpochs: who sets the one by itself lifts the other. */
function withoutEpochs(
  { kind }: TrainingConfig,
  overrides: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  if (kind !== 'image-training' || !('maxSteps' in overrides)) return overrides;
  const { maxEpochs = null, maxSteps } = overrides;
  if (maxEpochs !== null && maxSteps !== null)
    throw new ConfigError(['expected a limit in steps or one in epochs, received both']);
  return { ...overrides, maxEpochs };
}

/** What a flag brings about. */
export interface Brought {
  readonly overrides: Readonly<Record<string, unknown>>;
  /** What changes besides what it says itself: the setting, and a line for the user. */
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
export function attentionOverrides(config: TrainingConfig, name: string): Brought {
  if (config.kind === 'image-training') return stageAttention(config, name);
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

const stageAttentions = ['long-short', 'full'] as const;

/** Every stage of a vision model attends alike. */
function stageAttention({ model }: ImageTrainingConfig, name: string): Brought {
  const attention = stageAttentions.find((one) => one === name);
  if (attention === undefined) throw unknownName('attention', name, stageAttentions);
  const stages = model.stages.map((stage) => ({ ...stage, attention }));
  const instead =
    model.kind === 'vil-ls'
      ? 'relative biases, where there are any, span the whole grid'
      : 'keys and values at every keyValueStride-th place, as in CvT';
  const unused = `without window, projection and DualLN; ${instead}`;
  const notes =
    attention === 'full'
      ? [{ key: 'model.stages', line: `full attention in all ${stages.length} stages: ${unused}` }]
      : [];
  return { overrides: { 'model.stages': stages }, notes };
}

function isAttentionName(name: string): name is AttentionName {
  return attentionNames.some((one) => one === name);
}

function requireKey(key: string, keys: readonly string[]): void {
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
