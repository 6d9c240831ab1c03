/**
 * Weights of language models as safetensors, and finding them: in a run folder, a checkpoint, a model folder or a file.
 * Whatever is read is checked before it is used: names, shapes and sizes against the configuration, checkpoints against
 * their manifest.
 */
import { readdir, stat } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import {
  closestName,
  type LanguageModelConfig,
  type LazySafetensors,
  languageModelSchema,
  openSafetensors,
  parseConfig,
  parseConfigText,
  SafetensorsError,
  safetensorsChunks,
  type TrainingConfig,
  trainingSchema,
} from '@transformer-ls/formats';
import { ArgumentError, dispose, scope, type Tensor } from '@transformer-ls/torch';
import { formatBytes } from '../../cli/format.js';
import {
  byteVocabulary,
  FairseqDictionary,
  type SymbolStyle,
  type Vocabulary,
} from '../../data/vocabulary.js';
import { readNewestCheckpoint, type TensorFile, verifyCheckpoint } from '../../run/checkpoint.js';
import { readSmallFile, replaceFile } from '../../run/durable.js';
import { fileSource } from '../../run/file-source.js';
import { errorCode, nodeFileSystem } from '../../run/file-system.js';
import { writeJson } from '../../run/json.js';
import { MANIFEST_NAME } from '../../run/manifest.js';
import { BEST_NAME, CHECKPOINTS_NAME, CONFIG_NAME } from '../../run/run-folder.js';
import { lazyEntryOfTensor, tensorOfEntry } from '../../weights/tensor-entries.js';
import { type CausalLanguageModel, createLanguageModel } from './create.js';

/** The file of a checkpoint or model folder that holds the weights. */
export const WEIGHTS_NAME = 'model.safetensors';
/** The dictionary of a model with fairseq's token ids; without it token ids are byte values. */
export const DICTIONARY_NAME = 'dict.txt';
/** Metadata of a weight file: the model's configuration as JSON, so that the file alone is a whole model. */
const CONFIG_KEY = 'model';
const LARGEST_TEXT = 16 * 1024 * 1024;

/** Weights that cannot be found or do not fit; the message is one line. */
export class WeightsError extends Error {
  override readonly name = 'WeightsError';
}

/** Where the weights of a model lie and what is known of them. */
export interface ModelPlace {
  readonly weightsPath: string;
  readonly config: LanguageModelConfig;
  /** The run the weights come from, if they lie in one. */
  readonly run: { readonly path: string; readonly training: TrainingConfig } | undefined;
  /** Updates done when the weights were saved; undefined outside checkpoints. */
  readonly step: number | undefined;
  /** The model folder the weights lie in; undefined for checkpoints and weight files elsewhere. */
  readonly modelFolder: string | undefined;
  /** Newer or better checkpoints that did not verify, one line each. */
  readonly skipped: readonly string[];
}

export interface LoadedLanguageModel extends ModelPlace {
  /** In evaluation mode, on the CPU. */
  readonly model: CausalLanguageModel;
  readonly vocabulary: Vocabulary;
}

export interface LoadModelOptions {
  /** Settings that replace those of the stored configuration; position tables follow. */
  readonly override?: Partial<Pick<LanguageModelConfig, 'memoryLength'>>;
  /** Which checkpoint of a run: the best one so far (default, else the newest), or the newest. */
  readonly choose?: 'best' | 'newest';
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
    checkSizes(file, config, place.weightsPath);
    const vocabulary = await vocabularyOf(place);
    const model = built(config, place.weightsPath);
    await fill(model, file, place.weightsPath);
    model.eval();
    return { ...place, config, model, vocabulary };
  } finally {
    await source.close();
  }
}

/** Finds and verifies what `loadLanguageModel` would load. */
export async function findLanguageModel(
  path: string,
  { choose = 'best' }: LoadModelOptions = {},
): Promise<ModelPlace> {
  const kind = await kindOf(path);
  switch (kind) {
    case 'run':
      return placeInRun(path, choose);
    case 'checkpoint':
      return placeOfCheckpoint(path);
    case 'model':
      return { ...(await placeOfWeights(join(path, WEIGHTS_NAME))), modelFolder: path };
    case 'file':
      return placeOfWeights(path);
  }
}

type PlaceKind = 'run' | 'checkpoint' | 'model' | 'file';

async function kindOf(path: string): Promise<PlaceKind> {
  const names = await namesIn(path);
  if (names === undefined) return 'file';
  if (names.includes(MANIFEST_NAME)) return 'checkpoint';
  if (names.includes(CHECKPOINTS_NAME) || names.includes(BEST_NAME)) return 'run';
  if (names.includes(WEIGHTS_NAME)) return 'model';
  if (names.includes(CONFIG_NAME))
    throw new WeightsError(
      `${path}: no checkpoint has been written here yet (${CONFIG_NAME} is all there is)`,
    );
  throw new WeightsError(
    `${path}: expected a run, checkpoint or model folder, found none of ${CONFIG_NAME}, ${MANIFEST_NAME}, ${WEIGHTS_NAME}`,
  );
}

/** Names in a folder; undefined for a file. @throws WeightsError where there is nothing at `path`. */
async function namesIn(path: string): Promise<string[] | undefined> {
  try {
    return (await stat(path)).isDirectory() ? await readdir(path) : undefined;
  } catch (error) {
    if (errorCode(error) !== 'ENOENT' && errorCode(error) !== 'ENOTDIR')
      throw new WeightsError(`${path}: cannot be read (${errorCode(error) ?? String(error)})`);
    const whole = resolve(path);
    const near = closestName(basename(whole), await readdir(dirname(whole)).catch(() => []));
    const hint = near === undefined ? '' : `; did you mean ${join(dirname(path), near)}?`;
    throw new WeightsError(`${path}: no such file or folder${hint}`);
  }
}

async function placeInRun(path: string, choose: 'best' | 'newest'): Promise<ModelPlace> {
  const [first, second] = choose === 'best' ? [BEST_NAME, CHECKPOINTS_NAME] : [CHECKPOINTS_NAME, BEST_NAME];
  const training = await readTraining(path);
  const skipped: string[] = [];
  for (const folder of [first, second]) {
    const found = await readNewestCheckpoint(join(path, folder));
    skipped.push(...found.skipped.map((one) => `${one.path}: ${one.reason}`));
    if (found.newest === undefined) continue;
    const weightsPath = join(found.newest.path, WEIGHTS_NAME);
    const { step } = found.newest;
    return {
      weightsPath,
      config: training.model,
      run: { path, training },
      modelFolder: undefined,
      step,
      skipped,
    };
  }
  if (skipped.length === 0) throw new WeightsError(`${path}: no checkpoint has been written here yet`);
  throw new WeightsError(
    `${path}: none of its ${skipped.length} checkpoints is whole (${skipped.join('; ')})`,
  );
}

async function placeOfCheckpoint(path: string): Promise<ModelPlace> {
  const { step, files } = await verifyCheckpoint(path);
  if (!files.includes(WEIGHTS_NAME))
    throw new WeightsError(`${path}: this checkpoint has no ${WEIGHTS_NAME} (it holds ${files.join(', ')})`);
  return { ...(await placeOfWeights(join(path, WEIGHTS_NAME))), step };
}

/** The configuration of a weight file: its own, else that of its folder, else that of the run it lies in. */
async function placeOfWeights(weightsPath: string): Promise<ModelPlace> {
  const run = await runAround(weightsPath);
  const config =
    (await configInside(weightsPath)) ?? (await configBeside(weightsPath)) ?? run?.training.model;
  if (config === undefined)
    throw new WeightsError(
      `${weightsPath}: expected its configuration inside the file, in ${CONFIG_NAME} beside it, or in the run around it`,
    );
  return { weightsPath, config, run, modelFolder: undefined, step: undefined, skipped: [] };
}

async function configInside(weightsPath: string): Promise<LanguageModelConfig | undefined> {
  const source = await fileSource(weightsPath);
  try {
    const { metadata } = await openWeights(weightsPath, () => openSafetensors(source));
    const text = metadata[CONFIG_KEY];
    if (text === undefined) return undefined;
    return parseConfigText(languageModelSchema, text, `${weightsPath}: ${CONFIG_KEY}`);
  } finally {
    await source.close();
  }
}

async function configBeside(weightsPath: string): Promise<LanguageModelConfig | undefined> {
  const path = join(dirname(weightsPath), CONFIG_NAME);
  const text = await textOrNothing(path);
  return text === undefined ? undefined : parseConfigText(languageModelSchema, text, path);
}

/** The run of `<run>/checkpoints/step-…/model.safetensors` or `<run>/best/step-…/model.safetensors`. */
async function runAround(weightsPath: string): Promise<ModelPlace['run']> {
  const folder = dirname(dirname(resolve(weightsPath)));
  if (![CHECKPOINTS_NAME, BEST_NAME].includes(basename(folder))) return undefined;
  const path = dirname(folder);
  if ((await textOrNothing(join(path, CONFIG_NAME))) === undefined) return undefined;
  return { path, training: await readTraining(path) };
}

async function readTraining(runPath: string): Promise<TrainingConfig> {
  const path = join(runPath, CONFIG_NAME);
  const text = await textOrNothing(path);
  if (text === undefined) throw new WeightsError(`${runPath}: ${CONFIG_NAME} is missing`);
  return parseConfigText(trainingSchema, text, path);
}

async function textOrNothing(path: string): Promise<string | undefined> {
  try {
    const bytes = await readSmallFile(nodeFileSystem, path, LARGEST_TEXT);
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw new WeightsError(`${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function overridden(place: ModelPlace, { override = {} }: LoadModelOptions): LanguageModelConfig {
  return parseConfig(languageModelSchema, { ...place.config, ...override });
}

/** A dictionary beside the weights or in their run; else tokens are bytes. */
async function vocabularyOf({ weightsPath, run, config }: ModelPlace): Promise<Vocabulary> {
  for (const folder of [dirname(weightsPath), ...(run === undefined ? [] : [run.path])]) {
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

/** Puts the file's name before what is wrong with it. */
async function openWeights(path: string, open: () => Promise<LazySafetensors>): Promise<LazySafetensors> {
  try {
    return await open();
  } catch (error) {
    if (error instanceof SafetensorsError)
      throw new SafetensorsError(error.code, `${path}: ${error.message}`);
    throw error;
  }
}

/**
 * The sizes that decide how much memory the model takes, before it is built: a configuration that claims a million layers
 * is found out here. Everything else is compared name by name when the weights are copied.
 */
function checkSizes(file: LazySafetensors, config: LanguageModelConfig, path: string): void {
  const { vocabularySize, modelDim, innerDim, layers, heads, projectionRank } = config;
  const layerNumbers = [...file.entries.keys()].map((name) =>
    Number(/^layers\.(\d+)\./.exec(name)?.[1] ?? -1),
  );
  const stored = layerNumbers.reduce((most, layer) => Math.max(most, layer), -1) + 1;
  if (stored !== layers)
    throw new WeightsError(`${path}: expected weights of ${layers} layers, found ${stored}`);
  const expected: [string, number[]][] = [
    ['in_emb.weight', [vocabularySize, modelDim]],
    ['layers.0.ff.fc1.weight', [innerDim, modelDim]],
    ...(projectionRank > 0
      ? [['layers.0.attn.dconv_1.weight', [heads * projectionRank, modelDim]] satisfies [string, number[]]]
      : []),
  ];
  for (const [name, shape] of expected) {
    const found = file.entries.get(name)?.shape;
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

async function fill(model: CausalLanguageModel, file: LazySafetensors, path: string): Promise<void> {
  const tensors = new Map<string, Tensor>();
  try {
    for (const name of file.entries.keys()) tensors.set(name, tensorOfEntry(await file.read(name), name));
    model.loadStateDict(tensors);
  } catch (error) {
    model.dispose();
    if (error instanceof ArgumentError)
      throw new WeightsError(`${path}: ${error.message.replace(/^loadStateDict: /, '')}`);
    throw error;
  } finally {
    dispose(tensors);
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
  if (vocabulary instanceof FairseqDictionary) await vocabulary.writeFile(join(folder, DICTIONARY_NAME));
}
