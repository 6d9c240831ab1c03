/**
 * Finding the weights of a model: in a run folder, a checkpoint, a model folder or a file, with the configuration that belongs
 * to them. Checkpoints are checked against their manifest.
 */
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import {
  type ClassifierConfig,
  closestName,
  type ImageClassifierConfig,
  type LanguageModelConfig,
  modelSchema,
  openSafetensors,
  parseConfigText,
  type TrainingConfig,
  trainingSchema,
} from '@transformer-ls/formats';
import { readNewestCheckpoint, verifyCheckpoint } from '../run/checkpoint.js';
import { readSmallFile } from '../run/durable.js';
import { fileSource } from '../run/file-source.js';
import { errorCode, nodeFileSystem } from '../run/file-system.js';
import { MANIFEST_NAME } from '../run/manifest.js';
import { BEST_NAME, CHECKPOINTS_NAME, CONFIG_NAME } from '../run/run-folder.js';
import { openWeights } from './load.js';
import { refusePth } from './pth-start.js';
import { shippedModels } from './shipped-models.js';
import { WeightsError } from './weights-error.js';

export { WeightsError };

/** The file of a checkpoint or model folder that holds the weights. */
export const WEIGHTS_NAME = 'model.safetensors';
/** The file of a model folder that says what the weights were trained by, as the configuration of a run does. */
export const TRAINING_NAME = 'training.json';
/** Metadata of a weight file: the model's configuration as JSON, so that the file alone is a whole model. */
export const CONFIG_KEY = 'model';
const LARGEST_TEXT = 16 * 1024 * 1024;

export type ModelConfig = LanguageModelConfig | ClassifierConfig | ImageClassifierConfig;

/** Where the weights of a model lie and what is known of them. */
export interface ModelPlace {
  readonly weightsPath: string;
  readonly config: ModelConfig;
  /** What they were trained by: that of the run around them, or what the model folder says. */
  readonly training: TrainingConfig | undefined;
  /** The folder of the run they lie in. */
  readonly run: string | undefined;
  /** Updates done when the weights were saved; undefined outside checkpoints. */
  readonly step: number | undefined;
  /** Where evaluations are kept: the run or the model folder; undefined for files elsewhere and shipped models, which stay as they are. */
  readonly results: string | undefined;
  /** Newer or better checkpoints that did not verify, one line each. */
  readonly skipped: readonly string[];
}

export interface FindModelOptions {
  /** Which checkpoint of a run: the best one so far (default, else the newest), or the newest. */
  readonly choose?: 'best' | 'newest';
}

/**
 * Finds and verifies the weights that a path, or the name of a shipped model, stands for, of whatever kind of model.
 *
 * @throws WeightsError, RunFolderError, ConfigError or SafetensorsError in one line
 */
export async function findModel(
  named: string,
  { choose = 'best' }: FindModelOptions = {},
): Promise<ModelPlace> {
  const path = await pathOf(named);
  const kind = await kindOf(path);
  switch (kind) {
    case 'run':
      return placeInRun(path, choose);
    case 'checkpoint':
      return placeOfCheckpoint(path);
    case 'model':
      return { ...(await placeOfModelFolder(path)), results: path === named ? path : undefined };
    case 'file':
      return placeOfWeights(path);
  }
}

/** A plain name that no file has is that of a shipped model, if there is one. */
async function pathOf(named: string): Promise<string> {
  if (basename(named) !== named) return named;
  const isThere = await stat(named).then(
    () => true,
    () => false,
  );
  return isThere ? named : ((await shippedModels()).get(named) ?? named);
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
    const shipped = closestName(path, [...(await shippedModels()).keys()]);
    const meant = near === undefined ? shipped : join(dirname(path), near);
    const hint = meant === undefined ? '' : `; did you mean ${meant}?`;
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
    return { weightsPath, config: training.model, training, run: path, results: path, step, skipped };
  }
  if (skipped.length === 0) throw new WeightsError(`${path}: no checkpoint has been written here yet`);
  throw new WeightsError(
    `${path}: none of its ${skipped.length} checkpoints is whole (${skipped.join('; ')})`,
  );
}

async function placeOfModelFolder(path: string): Promise<ModelPlace> {
  const place = await placeOfWeights(join(path, WEIGHTS_NAME));
  const trainingPath = join(path, TRAINING_NAME);
  const text = await textOrNothing(trainingPath);
  const training = text === undefined ? undefined : parseConfigText(trainingSchema, text, trainingPath);
  return { ...place, training };
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
  const { path, training } = run ?? {};
  return { weightsPath, config, training, run: path, results: path, step: undefined, skipped: [] };
}

async function configInside(weightsPath: string): Promise<ModelConfig | undefined> {
  const source = await fileSource(weightsPath);
  try {
    await refusePth(source, weightsPath);
    const { metadata } = await openWeights(weightsPath, () => openSafetensors(source));
    const text = metadata[CONFIG_KEY];
    if (text === undefined) return undefined;
    return parseConfigText(modelSchema, text, `${weightsPath}: ${CONFIG_KEY}`);
  } finally {
    await source.close();
  }
}

async function configBeside(weightsPath: string): Promise<ModelConfig | undefined> {
  const path = join(dirname(weightsPath), CONFIG_NAME);
  const text = await textOrNothing(path);
  return text === undefined ? undefined : parseConfigText(modelSchema, text, path);
}

/** The run of `<run>/checkpoints/step-…/model.safetensors` or `<run>/best/step-…/model.safetensors`. */
async function runAround(
  weightsPath: string,
): Promise<{ path: string; training: TrainingConfig } | undefined> {
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

/** A text file, or undefined where there is none. @throws WeightsError where it cannot be read */
export async function textOrNothing(path: string): Promise<string | undefined> {
  try {
    const bytes = await readSmallFile(nodeFileSystem, path, LARGEST_TEXT);
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw new WeightsError(`${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
