/**
 * Weights of language models as safetensors. Whatever is read is checked before it is used: names, shapes and sizes against the
 * configuration.
 */
import { totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import {
  type LanguageModelConfig,
  type LanguageModelTrainingConfig,
  languageModelSchema,
  openSafetensors,
  parseConfig,
  safetensorsChunks,
} from '@transformer-ls/formats';
import { scope } from '@transformer-ls/torch';
import {
  byteVocabulary,
  FairseqDictionary,
  type SymbolStyle,
  type Vocabulary,
  writeDictionary,
} from '../../data/vocabulary.js';
import type { TensorFile } from '../../run/checkpoint.js';
import { replaceFile } from '../../run/durable.js';
import { fileSource } from '../../run/file-source.js';
import { nodeFileSystem } from '../../run/file-system.js';
import { writeJson } from '../../run/json.js';
import { CONFIG_NAME } from '../../run/run-folder.js';
import { formatBytes } from '../../text/numbers.js';
import { fillWeights, openWeights } from '../../weights/load.js';
import {
  CONFIG_KEY,
  type FindModelOptions,
  findModel,
  type ModelPlace,
  textOrNothing,
  WEIGHTS_NAME,
  WeightsError,
} from '../../weights/model-place.js';
import { lazyEntryOfTensor } from '../../weights/tensor-entries.js';
import { type CausalLanguageModel, createLanguageModel } from './create.js';

/** The dictionary of a model with fairseq's token ids; without it token ids are byte values. */
export const DICTIONARY_NAME = 'dict.txt';

/** Where the weights of a language model lie and what is known of them. */
export interface LanguageModelPlace extends ModelPlace {
  readonly config: LanguageModelConfig;
  readonly training: LanguageModelTrainingConfig | undefined;
}

export interface LoadedLanguageModel extends LanguageModelPlace {
  /** In evaluation mode, on the CPU. */
  readonly model: CausalLanguageModel;
  readonly vocabulary: Vocabulary;
}

export interface LoadModelOptions extends FindModelOptions {
  /** Settings that replace those of the stored configuration; position tables follow. */
  readonly override?: Partial<Pick<LanguageModelConfig, 'memoryLength'>>;
}

/**
 * Loads a model from a run folder, a checkpoint folder, a model folder (config.json and model.safetensors) or a weight file.
 *
 * @throws WeightsError, RunFolderError, ConfigError or SafetensorsError in one line
 */
export async function loadLanguageModel(
  path: string,
  options: LoadModelOptions = {},
): Promise<LoadedLanguageModel> {
  const place = await findLanguageModel(path, options);
  const config = overridden(place, options);
  const source = await fileSource(place.weightsPath);
  try {
    const file = await openWeights(place.weightsPath, () => openSafetensors(source));
    const shapes = new Map([...file.entries].map(([name, { shape }]) => [name, shape]));
    checkLanguageModelSizes(config, shapes, place.weightsPath);
    const vocabulary = await vocabularyOf(place);
    const model = built(config, place.weightsPath);
    await fillWeights(model, file, place.weightsPath);
    model.eval();
    return { ...place, config, model, vocabulary };
  } finally {
    await source.close();
  }
}

/** Finds and verifies what `loadLanguageModel` would load. @throws WeightsError where it is a model of another kind */
export async function findLanguageModel(
  path: string,
  options: FindModelOptions = {},
): Promise<LanguageModelPlace> {
  const { config, training, ...place } = await findModel(path, options);
  if (config.kind !== 'language-model')
    throw new WeightsError(`${path}: is a ${config.kind}, expected a language-model`);
  return { ...place, config, training: training?.kind === 'training' ? training : undefined };
}

function overridden(place: LanguageModelPlace, { override = {} }: LoadModelOptions): LanguageModelConfig {
  return parseConfig(languageModelSchema, { ...place.config, ...override });
}

/** A dictionary beside the weights or in their run; else tokens are bytes. */
async function vocabularyOf({ weightsPath, run, config }: LanguageModelPlace): Promise<Vocabulary> {
  for (const folder of [dirname(weightsPath), ...(run === undefined ? [] : [run])]) {
    const path = join(folder, DICTIONARY_NAME);
    const text = await textOrNothing(path);
    if (text !== undefined) return checkedVocabulary(parseDictionary(text, path), config, path);
  }
  return checkedVocabulary(byteVocabulary, config, 'byte tokens');
}

function parseDictionary(text: string, path: string): FairseqDictionary {
  const firstSymbol = text.split(' ', 1)[0] ?? '';
  const style: SymbolStyle = /^\d+$/.test(firstSymbol) ? 'decimal' : 'characters';
  return FairseqDictionary.parse(text, style, path);
}

function checkedVocabulary(
  vocabulary: Vocabulary,
  { vocabularySize }: LanguageModelConfig,
  what: string,
): Vocabulary {
  if (vocabulary.vocabularySize === vocabularySize) return vocabulary;
  const hint = vocabulary.kind === 'bytes' ? ` (a model of other tokens needs its ${DICTIONARY_NAME})` : '';
  throw new WeightsError(
    `${what}: expected the model's vocabulary of ${vocabularySize} tokens, found ${vocabulary.vocabularySize}${hint}`,
  );
}

/**
 * The sizes that decide how much memory the model takes, before it is built: a configuration that claims a million layers
 * is found out here. Everything else is compared name by name when the weights are copied.
 */
export function checkLanguageModelSizes(
  config: LanguageModelConfig,
  shapes: ReadonlyMap<string, readonly number[]>,
  path: string,
): void {
  const { vocabularySize, modelDim, innerDim, layers, heads, projectionRank } = config;
  const layerNumbers = [...shapes.keys()].map((name) => Number(/^layers\.(\d+)\./.exec(name)?.[1] ?? -1));
  const stored = layerNumbers.reduce((most, layer) => Math.max(most, layer), -1) + 1;
  if (stored !== layers)
    throw new WeightsError(`${path}: expected weights of ${layers} layers, found ${stored}`);
  const expected: [string, number[]][] = [
    ['in_emb.weight', [vocabularySize, modelDim]],
    ['layers.0.attn.proj_query.weight', [modelDim, modelDim]],
    ['layers.0.ff.fc1.weight', [innerDim, modelDim]],
    ...(projectionRank > 0
      ? [['layers.0.attn.dconv_1.weight', [heads * projectionRank, modelDim]] satisfies [string, number[]]]
      : []),
  ];
  for (const [name, shape] of expected) {
    const found = shapes.get(name);
    if (String(found) !== String(shape))
      throw new WeightsError(
        `${path}: ${name}: expected shape [${shape}], found ${found ? `[${found}]` : 'none'}`,
      );
  }
}

function built(config: LanguageModelConfig, path: string): CausalLanguageModel {
  const { windowSize, memoryLength, chunkSize, projectionRank, modelDim } = config;
  // Position tables are the one large thing that no weight in the file vouches for.
  const tableBytes = (windowSize + (memoryLength / chunkSize) * projectionRank) * modelDim * 4;
  if (tableBytes > totalmem() / 4)
    throw new WeightsError(
      `${path}: windowSize ${windowSize} and memoryLength ${memoryLength} need ${formatBytes(tableBytes)} of position tables, ` +
        `expected at most a quarter of the machine's ${formatBytes(totalmem())}`,
    );
  try {
    return scope(() => createLanguageModel(config));
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new WeightsError(`${path}: the model cannot be built: ${reason}`);
  }
}

/** The weights of a model as a file of a checkpoint; each tensor is copied when its turn comes to be written. */
export function weightsFile(model: CausalLanguageModel): TensorFile {
  const tensors = new Map([...model.stateDict()].map(([name, value]) => [name, lazyEntryOfTensor(value)]));
  return { tensors, metadata: { format: 'transformer-ls', [CONFIG_KEY]: JSON.stringify(model.config) } };
}

/**
 * Writes a model folder: `config.json`, `model.safetensors` and, for a model with fairseq's ids, `dict.txt`.
 *
 * @throws ConfigError, SafetensorsError or a file system error; a file is replaced as a whole or not at all
 */
export async function saveLanguageModel(
  folder: string,
  model: CausalLanguageModel,
  vocabulary: Vocabulary = byteVocabulary,
): Promise<void> {
  const { tensors, metadata } = weightsFile(model);
  await nodeFileSystem.makeFolder(folder);
  await replaceFile(nodeFileSystem, join(folder, WEIGHTS_NAME), safetensorsChunks(tensors, metadata));
  const text = new TextEncoder().encode(writeJson({ ...model.config }));
  await replaceFile(nodeFileSystem, join(folder, CONFIG_NAME), [text]);
  if (vocabulary instanceof FairseqDictionary)
    await writeDictionary(join(folder, DICTIONARY_NAME), vocabulary);
}
